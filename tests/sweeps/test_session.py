"""Tests of a sweep's Ray: what it reads from the environment, its folder, and why it cannot start."""

import os
import sys
import threading
import types
from pathlib import Path

import pytest

from sweeps.errors import ResourceError
from sweeps.execution import session as sessions
from sweeps.execution.session import (
    Session,
    _start,
    check_length,
    make_private,
    only_one,
    serve_trials,
    set_environment,
)


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


def test_the_folder_of_a_ray_is_entered_by_its_user_alone(tmp_path: Path) -> None:
    place = tmp_path / "above" / "ray"
    for _ in range(2):  # a folder that exists and is open to others is closed
        assert make_private(place) == place
        assert place.parent.stat().st_mode & 0o777 == 0o700
        place.parent.chmod(0o777)


def test_a_folder_that_another_prepared_for_a_ray_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "above").symlink_to(tmp_path / "theirs")

    with pytest.raises(ResourceError, match=r"above belongs to another user, or is no folder: .* TMPDIR"):
        make_private(tmp_path / "above" / "ray")


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        (["queue.py", "types.py", "train.py"], "here queue.py, types.py may hide modules .*: rename"),
        ([], "look into .*"),
    ],
)
def test_a_ray_that_can_not_start_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], advice: str
) -> None:
    def fails(**_: object) -> None:
        raise Exception("The last 20 lines of dashboard.log:\n  Traceback\nEOFError: unexpected EOF\n")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ray.init", fails)
    for name in files:
        (tmp_path / name).touch()

    with pytest.raises(ResourceError, match=rf"^Ray can't be started here \(EOFError: unexpected EOF\): {advice}"):
        _start(verbose=False)


def test_a_folder_whose_sockets_would_have_too_long_names_is_refused_with_what_to_set() -> None:
    assert check_length(Path("/tmp/sweeps-1000/ray"))
    with pytest.raises(ResourceError, match=r"too long for the sockets of Ray .*: set TMPDIR"):
        check_length(Path("/scratch") / ("of-a-user-with-a-long-name" * 2) / "sweeps-1000" / "ray")


def test_a_sweep_within_a_trial_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_IS_OF_TRIALS", threading.Event())
    with only_one():
        pass
    serve_trials()
    with pytest.raises(ResourceError, match=r"a trial can't run a sweep.*run it from a script"), only_one():
        pass


def test_a_process_forked_from_one_that_started_ray_runs_no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    with only_one():
        pass
    monkeypatch.setattr(sessions, "_STARTED_IN", {os.getppid()})
    with pytest.raises(ResourceError, match=r"was forked from one that ran a sweep.*spawn"), only_one():
        pass


def test_a_folder_whose_name_is_not_utf_8_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    strange = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(strange)
    monkeypatch.chdir(os.fsdecode(strange))
    with pytest.raises(ResourceError, match=r"udcff', whose name is not UTF-8: rename the folder"):
        _start(False)
