"""Short texts for parameter values, with the digits and quotes that tell values apart."""

import math

from search_spaces.parameters import Choice, Constant, Float, Parameter
from search_spaces.plain import Scalar

FEWEST, _MOST = 3, 15  # significant digits of a number


def as_text(value: Scalar, digits: int | None = FEWEST) -> str:
    """Return a short text for a value; a text that looks like another kind of value is quoted.

    Args:
        value: Value of a parameter.
        digits: Significant digits of a float, or None for all of them.
    """
    if isinstance(value, float) and digits is not None:
        return f"{value:.{digits}g}"
    return repr(value) if isinstance(value, str) and _looks_like_another(value) else str(value)


def digits_of(parameter: Parameter) -> int | None:
    """Return how many significant digits tell the values of a parameter apart, or None for all digits.

    For a Float, the digits resolve its step or, without one, a 90th of its range.
    """
    if isinstance(parameter, Choice | Constant):
        return None  # all digits
    if not isinstance(parameter, Float):
        return FEWEST
    finest = parameter.step or (parameter.high - parameter.low) / 90
    largest = max(abs(parameter.low), abs(parameter.high))
    digits = max(FEWEST, 1 + math.ceil(math.log10(largest / finest)))
    return digits if digits <= _MOST else None


def _looks_like_another(text: str) -> bool:
    """Return whether a text reads like a number, a bool or None, is empty, or has spaces at its ends."""
    if text.strip() != text or text.lower() in ("", "true", "false", "none"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
