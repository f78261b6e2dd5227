"""Search spaces as TOML: read with errors that name file, key, rule and value, written so that they read back equal."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from search_spaces.parameters import Choice, Constant, Float, FloatBy, Int, Parameter, RangeTest
from search_spaces.plain import Scalar, SpaceError, plain
from search_spaces.space import SearchSpace, hint

# Which keys a parameter's table may have, by the key that says its kind.
_KEYS = {
    "float": ("log", "step", "default", "when"),
    "int": ("log", "step", "default", "when"),
    "choice": ("default", "when"),
    "value": ("when",),
    "by": ("when",),
    "range_test": ("when",),
}


def parse(table: Mapping[str, Any], source: str) -> SearchSpace:
    """The space that a TOML table describes; `source` names it in errors."""
    parameters = {name: _parse_parameter(value, f"{source}: {name}") for name, value in plain(table).items()}
    return _space(parameters, source)


def _space(parameters: Mapping[str, Parameter], source: str) -> SearchSpace:
    try:
        return SearchSpace(parameters)
    except SpaceError as error:
        raise SpaceError(f"{source}: {error}") from None


def extend(base: SearchSpace, table: Mapping[str, Any], source: str) -> SearchSpace:
    """A space with the parameters of `table` put in the place of, or added to, those of `base`.

    Narrowing a parent takes its dependents along: what of `base` can't become active any more is left out, such as
    momentum where the optimizer is made a constant "adam".
    """
    parameters: dict[str, Parameter] = dict(base.parameters)
    parameters.update({name: _parse_parameter(value, f"{source}: {name}") for name, value in plain(table).items()})
    inherited = [name for name in base.parameters if name not in table]
    _leave_out_the_unreachable(parameters, inherited)
    return _space(parameters, source)


def _leave_out_the_unreachable(parameters: dict[str, Parameter], inherited: list[str]) -> None:
    """Drop inherited values of conditions that a parent can't have any more, and what then has no value left."""
    changed = True
    while changed:
        changed = False
        for name in [name for name in inherited if name in parameters]:
            left = _reachable(parameters[name], parameters)
            if left is None:
                del parameters[name]
                changed = True
            else:
                parameters[name] = left


def _reachable(parameter: Parameter, parameters: Mapping[str, Parameter]) -> Parameter | None:
    """The parameter with the conditions and ranges that its parents can still ask for; None if it has none left."""

    def left(parent: str, values: Iterable[Scalar]) -> tuple[Scalar, ...]:
        above = parameters.get(parent)
        return tuple(v for v in values if isinstance(above, Float | Int | Choice | Constant) and above.contains(v))

    when = {parent: left(parent, values) for parent, values in parameter.when.items()}
    if not all(when.values()):
        return None
    if not isinstance(parameter, FloatBy):
        return parameter if when == parameter.when else replace(parameter, when=when)
    ranges = {str(value): parameter.ranges[str(value)] for value in left(parameter.by, parameter.ranges)}
    return replace(parameter, when=when, ranges=ranges) if ranges else None


def load(path: Path | str) -> SearchSpace:
    """The space in a TOML file."""
    return _parse_text(_read(Path(path)), str(path))


def preset_names() -> list[str]:
    """The spaces that ship with the package."""
    return sorted(file.name.removesuffix(".toml") for file in _presets().iterdir() if file.name.endswith(".toml"))


def preset(name: str) -> SearchSpace:
    """A space that ships with the package; SpaceError with the nearest name if there is none."""
    if name not in preset_names():
        raise SpaceError(f"no preset space named {name!r}{hint(str(name), preset_names())}")
    return _parse_text(_presets().joinpath(f"{name}.toml").read_text("utf-8"), f"preset {name}")


def _presets() -> Any:
    return resources.files("search_spaces").joinpath("presets")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")  # an editor may have put a byte order mark first
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: can't be read: {error}") from error


def _parse_text(text: str, source: str) -> SearchSpace:
    try:
        return parse(tomllib.loads(text), source)
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{source}: is not valid TOML: {error}") from error


def _parse_parameter(value: Any, place: str) -> Parameter:
    """One parameter; its place opens every error."""
    try:
        return _from_table(value) if isinstance(value, Mapping) else Constant(value)
    except SpaceError as error:
        raise SpaceError(f"{place}: {error}") from None


def _from_table(table: Mapping[str, Any]) -> Parameter:
    kinds = [kind for kind in _KEYS if kind in table]
    if len(kinds) != 1:
        if not kinds and (inner := next((key for key, value in table.items() if isinstance(value, Mapping)), None)):
            raise SpaceError(f'a table of tables is no parameter: quote a name with a dot, as in "model.{inner}"')
        unknown = next((key for key in table if key not in _KEYS and key not in _KEYS["float"]), None)
        near = f" (unknown key {unknown!r}{hint(unknown, _KEYS)})" if unknown else ""
        raise SpaceError(
            "exactly one of float, int, choice, value, by and range_test must be given, "
            f"but got {kinds or 'none'}{near}"
        )
    kind = kinds[0]
    rest = {key: value for key, value in table.items() if key != kind}
    for key in rest:
        if key not in _KEYS[kind]:
            raise SpaceError(f"unknown key {key!r} of a {kind} parameter{hint(key, _KEYS[kind])}")
    if kind == "choice":
        if not isinstance(table[kind], list | tuple):
            raise SpaceError(f"choice must be a list of values, but got {table[kind]!r}")
        return Choice(tuple(table[kind]), **rest)
    if kind == "value":
        return Constant(table[kind], **rest)
    if kind == "by":
        return FloatBy(*_parse_ranges(table[kind]), **rest)
    if kind == "range_test":
        if table[kind] is not True:
            raise SpaceError(f"range_test must be true, or give bounds in its place, but got {table[kind]!r}")
        return RangeTest(**rest)
    return _numeric(kind, table[kind], rest)


def _numeric(kind: str, bounds: Any, rest: dict[str, Any]) -> Parameter:
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        raise SpaceError(f"{kind} must be [low, high], but got {bounds!r}")
    if not isinstance(rest.get("log", False), bool):
        raise SpaceError(f"log must be true or false, but got {rest['log']!r}")
    return (Float if kind == "float" else Int)(bounds[0], bounds[1], **rest)


def _parse_ranges(by: Any) -> tuple[str, dict[str, Float]]:
    if not isinstance(by, Mapping) or len(by) != 1 or not all(isinstance(r, Mapping) for r in by.values()):
        raise SpaceError(
            f"by must name one parameter, like {{ optimizer = {{ sgd = {{ float = … }} }} }}, but got {by!r}"
        )
    ((parent, ranges),) = by.items()
    return parent, {value: _parse_parameter(table, f"by: {parent} = {value!r}") for value, table in ranges.items()}  # type: ignore[misc]


def to_table(space: SearchSpace) -> dict[str, Any]:
    """The space as a TOML table; `parse` reads it back to an equal space."""
    return {name: _parameter_table(parameter) for name, parameter in space.parameters.items()}


def _parameter_table(parameter: Parameter) -> Any:
    when = {"when": {parent: list(values) for parent, values in parameter.when.items()}} if parameter.when else {}
    match parameter:
        case Constant():
            return {"value": parameter.value, **when} if when else parameter.value
        case Choice():
            return {"choice": list(parameter.values), "default": parameter.default, **when}
        case FloatBy():
            return {"by": {parameter.by: {v: _parameter_table(r) for v, r in parameter.ranges.items()}}, **when}
        case RangeTest():
            return {"range_test": True, **when}
    kind = "float" if isinstance(parameter, Float) else "int"
    table: dict[str, Any] = {kind: [parameter.low, parameter.high]}
    if parameter.log:
        table["log"] = True
    if parameter.step is not None and (kind == "float" or parameter.step != 1):
        table["step"] = parameter.step
    return {**table, "default": parameter.default, **when}


def dumps(space: SearchSpace) -> str:
    """The space as TOML text."""
    return tomli_w.dumps(to_table(space))
