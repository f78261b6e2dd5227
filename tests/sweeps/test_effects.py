"""Tests of a design's results: t intervals, paired differences, ranks within a protocol, and notes on gaps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.measurement import Measurement
from sweeps.search.effects import effects
from sweeps.search.history import Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.search.intervals import Interval, interval
from sweeps.spec import SweepSpec, load_spec

CELLS = [{"name": name, "params": {"x": x}} for name, x in (("a", 0.1), ("b", 0.2), ("c", 0.3))]


def spec_of(direction: str = "maximize", seeds: int = 3) -> SweepSpec:
    table = {"name": "d", "target": "functions:bowl", "metric": "score", "direction": direction}
    return load_spec({**table, "design": {"cells": CELLS, "seeds": seeds}})


def history_of(values: list[float | None], metric: str = "score") -> History:
    """Return a history in which trial n ended with value n; None makes a trial fail."""
    history = History()
    for number, value in enumerate(values):
        key = TrialKey(number)
        rows: list = [Asked(key, {"x": 0.1}, 0, 0)]
        if value is not None:
            rows.append(Measured(key, Measurement(1, 1, 2.0, 6.0, {metric: value})))
        rows.append(Moved(key, *(("failed", "it broke\nbadly") if value is None else ("complete", "full fidelity"))))
        for row in rows:
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    return history


def test_an_interval_is_students() -> None:
    # By hand: mean 2, standard deviation 1, t(2, 0.975) = 4.302653.
    found = interval([1.0, 2.0, 3.0])

    assert found is not None
    assert (found.n, found.mean) == (3, 2.0)
    assert (found.low, found.high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))


def test_one_value_has_no_interval_and_none_is_nothing() -> None:
    assert interval([0.5]) == Interval(1, 0.5, None, None)
    assert not Interval(1, 0.5, None, None).excludes_zero
    assert interval([]) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=9))
def test_a_mean_lies_within_its_interval(values: list[float]) -> None:
    found = interval(values)

    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.mean <= found.high
    assert math.isclose(found.mean - found.low, found.high - found.mean, rel_tol=1e-6, abs_tol=1e-6)


def test_differences_are_taken_in_pairs() -> None:
    # b is always about 0.1 above a, whatever the seed: the difference is certain, although neither mean is.
    found = effects(spec_of(), history_of([0.1, 0.2, 0.9, 0.4, 0.501, 0.0, 0.7, 0.799, 0.4]))

    assert found[0].difference is None
    paired = found[1].difference
    assert (paired.mean, paired.low, paired.high) == pytest.approx((0.1, 0.1, 0.1), abs=0.005)
    assert paired.excludes_zero
    assert not found[2].difference.excludes_zero


def test_equal_differences_of_two_seeds_are_no_proof() -> None:
    found = effects(spec_of(seeds=2), history_of([0.25, 0.5, 0.9, 0.5, 0.75, 0.0]))[1].difference

    assert found is not None
    assert found.low == found.high == found.mean == 0.25
    assert not found.excludes_zero


def test_a_seed_that_failed_in_one_cell_is_left_out_of_its_pairs_and_told() -> None:
    found = effects(spec_of(), history_of([0.1, None, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9]))

    assert found[1].values == {1: 0.5, 2: 0.9}
    assert found[1].difference is not None
    assert found[1].difference.n == 2
    assert found[1].difference.mean == pytest.approx((0.1 + 0.2) / 2)
    assert found[1].missing == "seed 0: failed: it broke"
    assert found[2].missing == "seed 2: was not run"
    assert found[0].missing == ""


@pytest.mark.parametrize(("direction", "ranks"), [("maximize", [3, 1, 1]), ("minimize", [1, 2, 2])])
def test_ranks_follow_the_direction_and_equals_share_one(direction: str, ranks: list[int]) -> None:
    found = effects(spec_of(direction, seeds=1), history_of([0.1, 0.5, 0.5]))

    assert [effect.rank for effect in found] == ranks


def test_a_cell_without_values_has_neither_mean_nor_rank() -> None:
    found = effects(spec_of(seeds=1), history_of([0.1, None, 0.5]))

    assert (found[1].mean, found[1].rank, found[1].difference) == (None, None, None)
    assert found[2].rank == 1


def test_each_protocol_has_its_own_reference_and_ranks() -> None:
    table = {"name": "d", "metric": "validation_accuracy", "training": {"model": "custom_cnn"}}
    cells = [{"name": "a"}, {"name": "b", "params": {"dropout": True}}]
    spec = load_spec({**table, "design": {"cells": cells, "seeds": 1, "epochs": 2, "seconds": 1.0}})
    found = effects(spec, history_of([0.9, 0.8, 0.1, 0.2], "validation_accuracy"))

    assert [(e.cell, e.protocol, e.rank) for e in found] == [
        ("a", "epochs", 1),
        ("b", "epochs", 2),
        ("a", "wall-clock", 2),
        ("b", "wall-clock", 1),
    ]
    assert [e.difference and round(e.difference.mean, 6) for e in found] == [None, -0.1, None, 0.1]


def test_test_scores_and_the_cost_of_an_epoch_are_means_over_seeds() -> None:
    history = history_of([0.1, 0.2, 0.3])
    history.apply(Stamp(99, 0.0), Noted("scored", {"test_accuracy": 0.75}, TrialKey(1)))
    found = effects(spec_of(seeds=1), history)

    assert found[1].test == Interval(1, 0.75, None, None)
    assert found[0].test is None
    assert (found[1].seconds, found[1].epoch_seconds) == (6.0, 3.0)


def test_a_search_has_no_effects() -> None:
    assert effects(load_spec("quickstart"), History()) == []
