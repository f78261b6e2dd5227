"""Plain values: what a parameter may hold, whatever library it came from, and whether every store can hold it."""

import math
import sys
from collections.abc import Mapping
from typing import Any

Scalar = bool | int | float | str

SMALLEST, LARGEST = -(2**63), 2**63 - 1  # whole numbers of 64 bits, as tables and databases hold them


class SpaceError(ValueError):
    """A search space breaks a rule; one line that names place, key, rule and value."""


def plain(value: Any) -> Any:
    """Return a value, or a table or list of such, as Python's own types: of NumPy's numbers, texts and enumerations.

    Anything else comes back as it is, for the caller to refuse.
    """
    numpy: Any = sys.modules.get("numpy")  # a process that has not imported it has none of its values
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
    """Return what a value of a subclass is beneath, past a __str__ or __repr__ of its own."""
    return str.__str__(value) if kind is str else value


def check_scalar(name: str, value: object) -> None:
    """Raise SpaceError for a value that is not plain, not finite, or that some store can't hold."""
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
            raise SpaceError(f"{name} must hold plain values, but got {value!r}")


def check_size(name: str, value: object) -> None:
    """Raise SpaceError for a whole number of more than 64 bits."""
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        raise SpaceError(f"{name} must be a whole number from {SMALLEST} to {LARGEST}, but got {in_brief(value)}")


def in_brief(value: int) -> str:
    """Return a whole number, or its order of magnitude where it has very many digits."""
    return str(value) if value.bit_length() <= 128 else f"{'-' if value < 0 else ''}2**{value.bit_length() - 1} or more"


def check_text(name: str, text: str) -> None:
    """Raise SpaceError for text that some store can't hold: a null character, or half of a surrogate pair."""
    for place, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise SpaceError(f"{name} must be text that every table can hold, but got {text!r} (character {place + 1})")


def check_name(name: object, what: str = "a parameter's name") -> None:
    """Raise SpaceError for what can't be the name of a column."""
    if not isinstance(name, str) or not name:
        raise SpaceError(f"{what} must be text of at least one character, but got {name!r}")
    check_text(what, name)
