"""Search spaces as TOML: reading, with errors that name file, key, rule and value, and lossless writing."""

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

# The keys that a parameter's table may have, by the key that gives its kind.
_KEYS = {
    "float": ("log", "step", "default", "when"),
    "int": ("log", "step", "default", "when"),
    "choice": ("default", "when"),
    "value": ("when",),
    "by": ("when",),
    "range_test": ("when",),
}


def parse(table: Mapping[str, Any], source: str) -> SearchSpace:
    """Return the space that a TOML table describes.

    Args:
        table: Parameters by name; a value that is no table becomes a Constant.
        source: Name of the table in error messages.

    Raises:
        SpaceError: The table breaks a rule.
    """
    parameters = {name: _parse_parameter(value, f"{source}: {name}") for name, value in plain(table).items()}
    return _space(parameters, source)


def _space(parameters: Mapping[str, Parameter], source: str) -> SearchSpace:
    try:
        return SearchSpace(parameters)
    except SpaceError as error:
        raise SpaceError(f"{source}: {error}") from None


def extend(base: SearchSpace, table: Mapping[str, Any], source: str) -> SearchSpace:
    """Return a space with the parameters of `table` replacing, or added to, those of `base`.

    Narrowing a parent also narrows its dependents. A parameter of `base` that can no longer become active is dropped,
    such as momentum once the optimizer is the constant "adam".

    Args:
        base: The space to change.
        table: Parameters by name, as for `parse`.
        source: Name of the table in error messages.

    Raises:
        SpaceError: The table, or the resulting space, breaks a rule.
    """
    parameters: dict[str, Parameter] = dict(base.parameters)
    parameters.update({name: _parse_parameter(value, f"{source}: {name}") for name, value in plain(table).items()})
    inherited = [name for name in base.parameters if name not in table]
    _leave_out_the_unreachable(parameters, inherited)
    return _space(parameters, source)


def _leave_out_the_unreachable(parameters: dict[str, Parameter], inherited: list[str]) -> None:
    """Drop inherited condition values that a parent can no longer have, and parameters left without any."""
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
    """Return the parameter with only the conditions and ranges its parents still allow, or None if none are left."""

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
    """Return the space in a TOML file."""
    return _parse_text(_read(Path(path)), str(path))


def preset_names() -> list[str]:
    """Return the names of the spaces that ship with the package, in alphabetical order."""
    return sorted(file.name.removesuffix(".toml") for file in _presets().iterdir() if file.name.endswith(".toml"))


def preset(name: str) -> SearchSpace:
    """Return a space that ships with the package; raise SpaceError with the nearest name if there is none."""
    if name not in preset_names():
        raise SpaceError(f"no preset space named {name!r}{hint(str(name), preset_names())}")
    return _parse_text(_presets().joinpath(f"{name}.toml").read_text("utf-8"), f"preset {name}")


def _presets() -> Any:
    return resources.files("search_spaces").joinpath("presets")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")  # skips a byte order mark, which some editors write
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: can't be read: {error}") from error


def _parse_text(text: str, source: str) -> SearchSpace:
    try:
        return parse(tomllib.loads(text), source)
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{source}: is not valid TOML: {error}") from error


def _parse_parameter(value: Any, place: str) -> Parameter:
    """Parse one parameter; every error message begins with its place."""
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
    if not isinstance(by, Mapping) or len(by) != 1 or not all(isinstance(one, Mapping) for one in by.values()):
        raise SpaceError(
            f"by must name one parameter, like {{ optimizer = {{ sgd = {{ float = … }} }} }}, but got {by!r}"
        )
    ((parent, ranges),) = by.items()
    found = dict[str, Float]()
    for value, table in ranges.items():
        known = _parse_parameter(table, place := f"by: {parent} = {value!r}")
        if not isinstance(known, Float):
            raise SpaceError(f"{place} must have a range, such as {{ float = [0.1, 1.0] }}, but got {_shown(table)}")
        found[value] = known
    return parent, found


def _shown(value: Any) -> str:
    if not isinstance(value, Mapping):
        return repr(value)
    return f"{{ {', '.join(f'{name} = {one!r}' for name, one in value.items())} }}"


def to_table(space: SearchSpace) -> dict[str, Any]:
    """Return the space as a TOML table that `parse` reads back to an equal space."""
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
    """Return the space as TOML text."""
    return tomli_w.dumps(to_table(space))
