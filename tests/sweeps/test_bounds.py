"""Tests of the bounds of metrics: no interval leaves them, and none is narrowed where they are not known."""

import math

import pytest
from fresh import history_of
from hypothesis import given
from hypothesis import strategies as st
from simulation import small_spec

from sweeps.search.bounds import metric_bounds
from sweeps.search.history import TrialKey
from sweeps.search.intervals import interval, paired
from sweeps.spec import load_spec

EVERYWHERE = (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("metric", "values", "bounds"),
    [
        ("accuracy", [0.2, 0.9], (0, 1)),
        ("val_acc", [0.2, 0.9], (0, 1)),
        ("ROC-AUC", [0.5, 1.0], (0, 1)),
        ("valF1", [0.5], (0, 1)),
        ("f1_macro", [0.5], (0, 1)),
        ("accuracy", [20.0, 97.3], (0, 100)),
        ("accuracy", [20.0, 101.0], EVERYWHERE),
        ("accuracy", [-0.1, 0.5], EVERYWHERE),
        ("loss", [0.1, 5.0], (0, math.inf)),
        ("val_loss", [0.1], (0, math.inf)),
        ("evalLoss", [0.1], (0, math.inf)),
        ("RMSE", [3.0], (0, math.inf)),
        ("error_rate", [0.3], (0, 1)),
        ("val_error_rate", [3.0], (0, 100)),
        ("error", [0.3], (0, math.inf)),
        ("word_error_rate", [0.3], (0, math.inf)),
        ("wer", [0.3], (0, math.inf)),
        ("success_rate", [0.3], (0, 1)),
        ("exact_match", [0.3], (0, 1)),
        ("mAP@0.5", [0.3], (0, 1)),
        ("ndcg@10", [0.3], (0, 1)),
        ("mIoU", [0.3], (0, 1)),
        ("r2_score", [0.3, -4.0], (-math.inf, 1)),
        ("mcc", [0.3, -0.5], (-1, 1)),
        ("log_loss", [0.3], (0, math.inf)),
        ("my_accuracy", [0.3], (0, 1)),
        ("accuracy_gap", [0.3], EVERYWHERE),
        ("loss_reduction", [0.3], EVERYWHERE),
        ("log_error", [0.3], EVERYWHERE),
        ("error_delta", [0.3], EVERYWHERE),
        ("train_test_loss_gap", [0.3], EVERYWHERE),
        ("exp(-loss)", [0.3], EVERYWHERE),
        ("loss", [-0.1, 5.0], EVERYWHERE),
        ("reward", [0.1, 0.9], EVERYWHERE),
        ("score", [0.1], EVERYWHERE),
        ("glossary", [0.1], EVERYWHERE),
        ("accuracy", [], (0, 1)),
    ],
)
def test_a_metric_is_bounded_by_its_name_unless_a_value_says_otherwise(
    metric: str, values: list[float], bounds: tuple[float, float]
) -> None:
    spec = small_spec(metric=metric, direction="minimize")
    history = history_of({TrialKey(number): value for number, value in enumerate(values)}, metric)

    assert metric_bounds(spec, history) == bounds


def test_the_studys_metrics_are_bounded() -> None:
    table = {"name": "m", "trials": 1, "space": {"preset": "custom_cnn"}}

    for metric, bounds in (("validation_accuracy", (0, 1)), ("validation_loss", (0, math.inf))):
        direction = "maximize" if metric.endswith("accuracy") else "minimize"
        spec = load_spec({**table, "metric": metric, "direction": direction})
        assert metric_bounds(spec, history_of({})) == bounds


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_no_interval_of_shares_says_more_than_all_or_less_than_none(first: list[float], second: list[float]) -> None:
    found, free = interval(first, (0, 1)), interval(first)
    difference = paired(dict(enumerate(first)), dict(enumerate(second)), (0, 1))

    assert found is not None
    assert free is not None
    assert difference is not None
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.low >= free.low
    assert found.high <= free.high
    assert difference.low is None or -1 <= difference.low <= difference.high <= 1


@given(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_an_interval_that_ends_at_the_bounds_covers_what_it_covered(truth: float, values: list[float]) -> None:
    found, free = interval(values, (0, 1)), interval(values)

    assert found is not None
    assert free is not None
    assert (found.low <= truth <= found.high) == (free.low <= truth <= free.high)
