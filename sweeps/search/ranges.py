"""Learning rates within measured bounds: the range tests that a search needs first, and the resulting space."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from search_spaces import Choice, Constant, Float, FloatBy, RangeTest
from study.config import TrialConfig
from study.seeds import derive_seed
from sweeps.search.history import History
from sweeps.spec import LEARNING_RATE, SweepSpec

OPTIMIZER = "optimizer"
# Kinds of notes in the ledger.
NOTE, LOSS_NOTE, FAILURE_NOTE = "range_test", "range_test_lost", "range_test_failed"


class RangeKey(NamedTuple):
    """A range test's identity within its sweep."""

    optimizer: str

    @property
    def label(self) -> str:
        """Return the name in logs and for `reproduce`: range-adam."""
        return f"range-{self.optimizer}"


def range_keys(spec: SweepSpec) -> list[RangeKey]:
    """Return one test for each optimizer of the space, or none if the learning rate's bounds are given."""
    rate = spec.space.parameters.get(LEARNING_RATE)
    if not isinstance(rate, RangeTest):
        return []
    match spec.space.parameters.get(OPTIMIZER):
        case Choice(values):
            return [RangeKey(str(value)) for value in rate.when.get(OPTIMIZER, values)]
        case Constant(value):
            return [RangeKey(str(value))]
    return [RangeKey(spec.trial_config({}, seed=0).optimizer)]


def range_config(spec: SweepSpec, key: RangeKey) -> TrialConfig:
    """Return a test's configuration: the baseline with the optimizer, and dependent parameters at their defaults."""
    params = spec.defaults_with({OPTIMIZER: key.optimizer})
    return spec.trial_config(params, derive_seed(spec.seed, NOTE, key.optimizer))


def measured_ranges(history: History) -> dict[RangeKey, Mapping[str, Any]]:
    """Return the recorded result of each test that was made."""
    return {RangeKey(note.body[OPTIMIZER]): note.body for note in history.noted(NOTE)}


def due(spec: SweepSpec, history: History) -> list[RangeKey]:
    """Return the tests that must be made before anything is suggested."""
    done = measured_ranges(history)
    return [key for key in range_keys(spec) if key not in done]


def with_measured_space(spec: SweepSpec, history: History) -> SweepSpec:
    """Return the spec with the learning rate's measured bounds; the same spec if none are needed, or not all are known.

    The default, and therefore the baseline's rate, is the valley suggestion of its optimizer.
    """
    keys, found = range_keys(spec), measured_ranges(history)
    if not keys or any(key not in found for key in keys):
        return spec
    ranges = {
        key.optimizer: Float(found[key]["low"], found[key]["high"], log=True, default=found[key]["valley"])
        for key in keys
    }
    when = spec.space.parameters[LEARNING_RATE].when
    first = ranges[keys[0].optimizer]
    parameter = (
        FloatBy(OPTIMIZER, ranges, when=when)
        if OPTIMIZER in spec.space.parameters
        else Float(first.low, first.high, log=True, default=first.default, when=when)
    )
    return spec.model_copy(update={"space": spec.space.replaced(LEARNING_RATE, parameter)})
