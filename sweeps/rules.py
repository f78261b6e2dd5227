"""A table's broken rule in one line: where it stands, which rule, and what was given."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search_spaces.space import hint


def explain(error: ValidationError, source: str, model: type[BaseModel]) -> str:
    """The first broken rule of a table that should be a `model`: source, key, rule, value."""
    first = _first(error)
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{source}: unknown key {place!r}{hint(place.split('.')[-1], _keys_at(model, first['loc']))}"
    if first["type"] == "missing":
        return f"{source}: the key {place!r} is missing"
    rule = first["msg"].removeprefix("Value error, ")
    if not place:
        return f"{source}: {rule}"
    got = "" if isinstance(first["input"], Mapping) else f", but got {first['input']!r}"
    return f"{source}: {place}: {rule[0].lower()}{rule[1:]}{got}"


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
