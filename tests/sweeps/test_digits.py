"""Tests of digits: numbers that are read together have the digits that tell them apart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.digits import alike, digits_of, in_digits, number
from sweeps.report import words
from sweeps.search.intervals import Interval

SIZES = st.floats(1e-12, 1e12)


@given(size=SIZES, share=st.floats(1e-7, 1.0), sign=st.sampled_from([-1, 1]))
def test_a_mean_and_its_bounds_look_different(size: float, share: float, sign: int) -> None:
    values = [sign * size * factor for factor in (1 - share / 2, 1.0, 1 + share / 2)]
    in_words = words.estimate("loss", Interval(5, values[1], values[0], values[2]))

    assert len(set(alike(*values))) == 3
    assert len({in_digits(value, digits_of(*values)) for value in values}) == 3
    assert all(in_digits(value, digits_of(*values)) in in_words for value in values)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.0045, 0.001214, 0.007786), ["0.0045", "0.0012", "0.0078"]),
        ((0.9895, 0.98712, 0.992), ["0.9895", "0.9871", "0.9920"]),
        ((1.0, 0.9999999, 1.0), ["1.000000000", "0.999999900", "1.000000000"]),
        ((12.34561, 12.34564), ["12.345610", "12.345640"]),
        ((123456.7, 123458.9), ["123456.7", "123458.9"]),
        ((2e6, 1e6, 3e6), ["2000000", "1000000", "3000000"]),
        ((1.5e10, 1.6e10), ["1.500e+10", "1.600e+10"]),
        ((1.058e-07, 1.007e-07, 1.11e-07), ["1.058e-07", "1.007e-07", "1.110e-07"]),
        ((1.234e-6, 1.237e-6), ["1.2340e-06", "1.2370e-06"]),
        ((0.5, 0.5, 0.5 + 1e-16), ["0.5000", "0.5000", "0.5000"]),
        ((0.0, 0.0, 0.0), ["0.0000", "0.0000", "0.0000"]),
        ((5.0, -math.inf, math.inf), ["5.0000", "-inf", "inf"]),
        ((0.001214,), ["0.001214"]),
    ],
)
def test_values_are_read_to_the_same_place(values: tuple[float, ...], texts: list[str]) -> None:
    assert alike(*values) == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.0000"),
        (0.98765, "0.9877"),
        (3e-5, "3e-05"),
        (0.00345678, "0.003457"),
        (-2e-9, "-2e-09"),
        (9999.0, "9999.0000"),
        (123456.789, "123456.79"),
        (1e308, "1e+308"),
        (math.nan, "nan"),
    ],
)
def test_a_number_alone_has_four_decimals_or_as_many_digits(value: float | None, text: str) -> None:
    assert number(value) == text
