"""Plain parameter values: conversion from other libraries' types, and checks that every store can hold them."""

import math
import sys
from collections.abc import Mapping
from typing import Any

Scalar = bool | int | float | str

SMALLEST, LARGEST = -(2**63), 2**63 - 1  # 64-bit integers, the range that tables and databases can hold


class SpaceError(ValueError):
    """A search space breaks a rule; the message is one line that names place, key, rule and value."""


def plain(value: Any) -> Any:
    """Convert a value, or a table or list of values, to Python's own types.

    NumPy scalars and arrays, and enumerations and other subclasses of bool, int, float and str, are converted.

    Args:
        value: A scalar, mapping, list or tuple.

    Returns:
        The converted value; a tuple becomes a list. A value of any other type is returned unchanged, for the caller to
        refuse.
    """
    numpy: Any = sys.modules.get("numpy")  # if NumPy was never imported, no value can be of its types
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    kinds: tuple[Any, ...] = (bool, int, float, str)
    kind = next((kind for kind in kinds if isinstance(value, kind)), None)
    return value if kind is None or type(value) is kind else kind(_base(kind, value))


def _base(kind: type, value: Any) -> Any:
    """Return the value beneath a subclass, bypassing an overridden __str__ of a text."""
    return str.__str__(value) if kind is str else value


def check_scalar(name: str, value: object) -> None:
    """Raise SpaceError if a value is not plain, is not finite, or cannot be held by every store."""
    match value:
        case bool():
            return
        case int():
            check_size(name, value)
        case float():
            if not math.isfinite(value):
                raise SpaceError(f"{name} must be finite, but got {value!r}")
        case str():
            check_text(name, value)
        case _:
            raise SpaceError(
                f"{name} must hold text, numbers, true or false, but got {value!r}: name it by a text, such as "
                '"none" or "64x64", that your code understands'
            )


def check_size(name: str, value: object) -> None:
    """Raise SpaceError if a whole number does not fit in 64 bits."""
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        raise SpaceError(f"{name} must be a whole number from {SMALLEST} to {LARGEST}, but got {in_brief(value)}")


def in_brief(value: int) -> str:
    """Return a whole number as text, or only its order of magnitude if it has more than 128 bits."""
    return str(value) if value.bit_length() <= 128 else f"{'-' if value < 0 else ''}2**{value.bit_length() - 1} or more"


def check_text(name: str, text: str) -> None:
    """Raise SpaceError if a text has a character that some store cannot hold: a null, or half of a surrogate pair."""
    for place, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise SpaceError(f"{name} must be text that every table can hold, but got {text!r} (character {place + 1})")


def check_name(name: object, what: str = "a parameter's name") -> None:
    """Raise SpaceError if a name cannot be the name of a column."""
    if not isinstance(name, str) or not name:
        raise SpaceError(f"{what} must be text of at least one character, but got {name!r}")
    check_text(what, name)
