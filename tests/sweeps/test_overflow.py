"""Tests of values as large as a float: means are exact, and a value that no float holds is missing, never an error."""

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.search.intervals import interval, mean_of, paired, variance_of

LARGEST = sys.float_info.max


@settings(deadline=None)  # the first example imports SciPy
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_finite_values_have_a_finite_mean_and_finite_bounds_or_none(values: list[float]) -> None:
    found = interval(values)

    assert found is not None
    assert math.isfinite(found.mean)
    assert (found.low is None) == (found.high is None)
    if found.low is not None and found.high is not None:
        assert all(map(math.isfinite, (found.low, found.high)))
        assert found.low <= found.mean <= found.high


@pytest.mark.parametrize("values", [[LARGEST, 0.1], [LARGEST, -LARGEST], [1e200, -1e200]])
def test_an_interval_that_no_float_holds_is_missing(values: list[float]) -> None:
    found = interval(values)

    assert found is not None
    assert (found.low, found.high) == (None, None)
    assert not found.excludes_zero
    assert variance_of(values) == math.inf


def test_a_difference_that_no_float_holds_is_infinite_and_without_bounds() -> None:
    found = paired({1: LARGEST, 2: LARGEST}, {1: -LARGEST, 2: -LARGEST})

    assert found is not None
    assert (found.mean, found.low, found.high) == (math.inf, None, None)


def test_a_mean_of_ordinary_values_is_the_rounded_sum() -> None:
    assert mean_of([0.1] * 10) == math.fsum([0.1] * 10) / 10
