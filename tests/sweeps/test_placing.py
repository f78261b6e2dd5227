"""What a trial asks of the nodes: how many fit at a time, what is refused, and what nodes that come and go change."""

import pytest

from sweeps.errors import ResourceError, SpecError
from sweeps.execution.placing import Slots, bundle, options_of, slots_of
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
    nodes, said, now = [{"CPU": 2.0}], [], [0.0]
    slots = Slots(Resources(), 5, said.append, lambda: nodes, lambda: now[0])

    assert (slots(), said) == (2, [])
    nodes.append({"CPU": 8.0})
    assert slots() == 2  # not asked for each leg
    now[0] += 10
    assert (slots(), said) == (5, ["note: 5 trials fit at a time now, 2 did before"])
    nodes.clear()
    now[0] += 10
    assert slots() == 5  # no node for a moment: trials wait, and the sweep is not over
