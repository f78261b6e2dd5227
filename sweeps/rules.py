"""One-line messages for the broken rules of a table: the place, the rule and the given value."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search_spaces.space import hint

_WORDS = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    **dict.fromkeys(("model_type", "dict_type", "model_attributes_type"), "must be a table"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    "string_type": "must be text",
    "finite_number": "must be finite",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
}


def explain(error: ValidationError, source: str, model: type[BaseModel]) -> str:
    """Return the first broken rule of a table in one line: source, key, rule and value.

    Args:
        error: The failed validation.
        source: Name of the table in the message.
        model: The model that the table should fit.
    """
    first = _first(error)
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{source}: unknown key {place!r}{hint(place.split('.')[-1], _keys_at(model, first['loc']))}"
    if first["type"] == "missing":
        return f"{source}: the key {place!r} is missing"
    rule = _rule_of(first)
    if not place:
        return f"{source}: {rule}"
    got = "" if isinstance(first["input"], Mapping) else f", but got {first['input']!r}"
    return f"{source}: {place}: {rule[0].lower()}{rule[1:]}{got}"


def _rule_of(details: ErrorDetails) -> str:
    """Return the broken rule, with this module's words instead of pydantic's for its errors about types."""
    words = _WORDS.get(details["type"])
    return words.format(**details.get("ctx", {})) if words else details["msg"].removeprefix("Value error, ")


def _first(error: ValidationError) -> ErrorDetails:
    """Return the error to report: an unknown key comes before the missing key that its misspelling leaves."""
    return min(error.errors(), key=lambda details: details["type"] != "extra_forbidden")


def _keys_at(model: Any, place: tuple[Any, ...]) -> list[str]:
    """Return the keys of the table at a place; for a place in a list, those of the list's items."""
    for part in place[:-1]:
        if isinstance(part, str):
            model = next(_models_in(model.model_fields[part].annotation))
    return list(model.model_fields)


def _models_in(kind: Any) -> Iterator[Any]:
    """Yield the models that a type is or contains, as an optional or a list does."""
    if hasattr(kind, "model_fields"):
        yield kind
    for part in get_args(kind):
        yield from _models_in(part)
