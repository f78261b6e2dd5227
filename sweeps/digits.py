"""Texts for numbers, alone or read together, with enough digits to tell them apart."""

import math

_ROUNDING = 1e-9  # share of the largest value: values that differ by less count as equal
_DECIMALS, _DIGITS, _MOST = 4, 4, 8
_SMALL, _LARGE = 1e-4, 1e4


def number(value: float | None) -> str:
    """Return a value with four decimals, or "-" for None.

    A value below 0.01 has four significant digits instead, and one of 10,000 or more has eight.
    """
    if value is None:
        return "-"
    if value == 0 or 0.01 <= abs(value) < _LARGE:
        return f"{value:.{_DECIMALS}f}"
    return in_digits(value)


def in_digits(value: float, digits: int = _DIGITS) -> str:
    """Return a value with `digits` significant digits, or with at least eight if it is 10,000 or more."""
    return f"{value:.{max(digits, _MOST) if abs(value) >= _LARGE else digits}g}"


def digits_of(*values: float, fewest: int = _DIGITS) -> int:
    """Return the number of significant digits that shows two digits of the range of values, but at least `fewest`."""
    apart = _apart(values)
    if apart is None:
        return fewest
    return max(fewest, 2 + _magnitude(max(map(abs, values))) - _magnitude(apart))


def alike(*values: float) -> list[str]:
    """Return values that are read together, all to the same place.

    They have at least four decimals and at least two digits of their range. If the largest is below 0.0001 or is 10,000
    or more, they have significant digits instead. Equal values have the form of `number`.
    """
    apart, largest = _apart(values), max(map(abs, values))
    if apart is None:
        return [number(value) for value in values]
    if not _SMALL <= largest < 10**_MOST:
        return [f"{value:.{digits_of(*values) - 1}e}" for value in values]
    decimals = max(_DECIMALS if largest < _LARGE else 0, 1 - _magnitude(apart))
    return [f"{value:.{decimals}f}" for value in values]


def _apart(values: tuple[float, ...]) -> float | None:
    """Return the size of the range of values, or None if they are equal or not finite."""
    apart = max(values) - min(values)
    return apart if math.isfinite(apart) and apart > _ROUNDING * max(map(abs, values)) else None


def _magnitude(value: float) -> int:
    return math.floor(math.log10(value))
