"""Tests of placing trials on nodes: how many fit at a time, what is refused, and what changing nodes change."""

import pytest

from sweeps.errors import ResourceError, SpecError
from sweeps.execution.placing import Slots, bundle, keeping_off, options_of, slots_of
from sweeps.sections import Resources
from sweeps.spec import load_spec

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
        (5.0, 0.5, [TWO_GPUS], 1),  # limited by the CPUs
        (1.0, 1.0, [TWO_GPUS, {"CPU": 4.0}], 2),
        (5.0, 0.0, [{"CPU": 4.0}, TWO_GPUS], 1),  # CPUs of two nodes together help no trial
    ],
)
def test_as_many_trials_run_at_a_time_as_fit_on_the_nodes(
    cpus: float, gpus: float, nodes: list[dict[str, float]], slots: int
) -> None:
    assert slots_of(Resources(cpus_per_trial=cpus, gpus_per_trial=gpus), nodes) == slots


@pytest.mark.parametrize(("cpus", "gpus"), [(9.0, 0.0), (1.0, 3.0)])
def test_what_fits_on_no_node_is_refused_with_what_there_is(cpus: float, gpus: float) -> None:
    with pytest.raises(ResourceError, match=r"at most 8 CPUs, 2 GPUs.*lower cpus_per_trial or gpus_per_trial"):
        slots_of(Resources(cpus_per_trial=cpus, gpus_per_trial=gpus), [TWO_GPUS, {"CPU": 4.0}])


def test_a_gpu_model_is_asked_for_by_name_and_only_nodes_that_have_it_count() -> None:
    resources = Resources(gpus_per_trial=0.5, accelerator_type="A100")
    nodes = [TWO_GPUS, {**TWO_GPUS, "accelerator_type:A100": 1.0}]

    assert slots_of(resources, nodes) == 4
    assert bundle(resources) == {"CPU": 1.0, "GPU": 0.5, "accelerator_type:A100": 0.001}
    assert options_of(resources) == {"num_cpus": 1.0, "num_gpus": 0.5, "resources": {"accelerator_type:A100": 0.001}}
    with pytest.raises(ResourceError, match=r"of the model L4, but no node .* GPU models: A100\): .*leave resources"):
        slots_of(Resources(gpus_per_trial=1, accelerator_type="L4"), nodes)


def test_a_gpu_model_without_a_share_of_a_gpu_is_refused() -> None:
    table = {"name": "m", "trials": 1, "space": {"learning_rate": {"float": [0.1, 0.2]}}}

    with pytest.raises(SpecError, match="accelerator_type is a GPU's model: give gpus_per_trial too"):
        load_spec({**table, "resources": {"accelerator_type": "A100"}})


def test_a_node_that_joins_or_leaves_changes_how_many_trials_fit_and_is_told() -> None:
    nodes, said, now = {"a": {"CPU": 2.0}}, [], [0.0]
    slots = Slots(Resources(), 5, said.append, lambda: nodes, lambda: now[0])

    assert (slots(), said) == (2, [])
    nodes["b"] = {"CPU": 8.0}
    assert slots() == 2  # the nodes are not read for each leg
    now[0] += 10
    assert (slots(), said) == (5, ["note: 5 trials fit at a time now, 2 did before"])
    nodes.clear()
    now[0] += 10
    assert slots() == 5  # no node for a moment: trials wait, and the sweep is not over


def test_a_node_that_is_excluded_has_no_trial_and_the_last_one_cannot_be() -> None:
    nodes, said = {"a": {"CPU": 2.0}, "b": {"CPU": 3.0}, "c": {"GPU": 1.0}}, []
    slots = Slots(Resources(), None, said.append, lambda: nodes)

    assert (slots(), slots.away) == (5, ())
    assert slots.exclude("a")
    assert (slots(), slots.away, said) == (3, ("a",), ["note: 3 trials fit at a time now, 5 did before"])
    assert not slots.exclude("b")  # no trial fits on c
    assert (slots(), slots.away) == (3, ("a",))
    assert keeping_off(slots.away) == {"bundle_label_selector": [{"ray.io/node-id": "!in(a)"}]}
    assert keeping_off(()) == {}
    assert options_of(Resources(), slots.away)["label_selector"] == {"ray.io/node-id": "!in(a)"}
    assert "label_selector" not in options_of(Resources())


def test_where_gpus_are_to_be_spared_only_nodes_without_have_trials_if_there_are_any() -> None:
    nodes, now = {"gpu": {"CPU": 4.0, "GPU": 2.0}, "plain": {"CPU": 2.0}}, [0.0]
    slots = Slots(Resources(), None, print, lambda: nodes, lambda: now[0], spares_gpus=True)

    assert (slots(), slots.away) == (2, ("gpu",))
    del nodes["plain"]
    now[0] += 10
    assert (slots(), slots.away) == (4, ())
    assert Resources().spares(Resources(gpus_per_trial=1))
    assert not Resources().spares(Resources())
    assert not Resources(gpus_per_trial=1).spares(Resources(gpus_per_trial=1))
