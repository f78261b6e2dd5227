"""A table's broken rule in one line: where it stands, which rule, and what was given."""

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
    """The first broken rule of a table that should be a `model`: source, key, rule, value."""
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
    """Return the rule that was broken, in words of ours where pydantic speaks of types."""
    words = _WORDS.get(details["type"])
    return words.format(**details.get("ctx", {})) if words else details["msg"].removeprefix("Value error, ")


def _first(error: ValidationError) -> ErrorDetails:
    """The error to tell: a misspelt key before the gap that it leaves."""
    return min(error.errors(), key=lambda details: details["type"] != "extra_forbidden")


def _keys_at(model: Any, place: tuple[Any, ...]) -> list[str]:
    """The keys that the table at a place knows; a place in a list leads to what it is a list of."""
    for part in place[:-1]:
        if isinstance(part, str):
            model = next(_models_in(model.model_fields[part].annotation))
    return list(model.model_fields)


def _models_in(kind: Any) -> Iterator[Any]:
    """The tables that a type is, or is made of: an optional one, or those of a list."""
    if hasattr(kind, "model_fields"):
        yield kind
    for part in get_args(kind):
        yield from _models_in(part)
