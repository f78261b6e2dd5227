"""The Ray of a sweep: how many trials fit, and what it reads from the environment."""

import sys
import types

import pytest

from sweeps.errors import ResourceError
from sweeps.execution.session import Session, set_environment, slots_of
from sweeps.sections import Resources

TWO_GPUS = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("cpus", "gpus", "nodes", "slots"),
    [
        (1.0, 0.0, [TWO_GPUS], 8),
        (0.1, 0.0, [{"CPU": 1.0}], 10),
        (3.0, 0.0, [TWO_GPUS], 2),
        (1.0, 0.5, [TWO_GPUS], 4),
        (1.0, 0.4, [TWO_GPUS], 4),  # a fraction never spans two devices
        (0.0, 0.7, [TWO_GPUS], 2),
        (1.0, 2.0, [TWO_GPUS], 1),
        (5.0, 0.5, [TWO_GPUS], 1),  # the CPUs are what is short
        (1.0, 1.0, [TWO_GPUS, {"CPU": 4.0}], 2),
        (5.0, 0.0, [{"CPU": 4.0}, TWO_GPUS], 1),  # what two nodes have together helps no trial
    ],
)
def test_as_many_trials_run_at_a_time_as_fit_on_the_nodes(
    cpus: float, gpus: float, nodes: list[dict[str, float]], slots: int
) -> None:
    assert slots_of(Resources(cpus_per_trial=cpus, gpus_per_trial=gpus), nodes) == slots


@pytest.mark.parametrize(("cpus", "gpus"), [(9.0, 0.0), (1.0, 3.0)])
def test_what_fits_on_no_node_is_refused_with_what_there_is(cpus: float, gpus: float) -> None:
    with pytest.raises(ResourceError, match=r"at most 8 CPUs, 2 GPUs.*lower --cpus-per-trial"):
        slots_of(Resources(cpus_per_trial=cpus, gpus_per_trial=gpus), [TWO_GPUS, {"CPU": 4.0}])


def test_a_users_own_setting_of_rays_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.delenv("RAY_CHDIR_TO_TRIAL_DIR", raising=False)
    set_environment()
    import os

    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"
    assert os.environ["RAY_CHDIR_TO_TRIAL_DIR"] == "0"


@pytest.mark.parametrize(("is_on", "notes"), [(True, 1), (False, 0)])
def test_a_ray_that_was_imported_too_early_under_uv_is_told(
    monkeypatch: pytest.MonkeyPatch, is_on: bool, notes: int
) -> None:
    constants = types.SimpleNamespace(RAY_ENABLE_UV_RUN_RUNTIME_ENV=is_on)
    monkeypatch.setitem(sys.modules, "ray._private.ray_constants", constants)  # type: ignore[arg-type]
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")

    assert len(set_environment()) == notes


def test_where_ray_asks_for_a_token_the_command_that_shows_it_is_told() -> None:
    url = "http://127.0.0.1:8265"

    assert Session(1, url, ()).where == f"dashboard {url}"
    assert "`ray get-auth-token`" in Session(1, url, (), needs_token=True).where
    assert Session(1, None, (), needs_token=True).where == "no Ray dashboard"
