"""SearchSpace: named parameters with conditions, and the walk that sampling, defaults and suggestions share."""

import difflib
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any

from search_spaces.parameters import (
    Choice,
    Constant,
    Float,
    FloatBy,
    Int,
    Parameter,
    Plain,
    RangeTest,
    count_of,
    same,
    values_of,
)
from search_spaces.plain import Scalar, SpaceError, check_name, plain
from search_spaces.texts import as_text, digits_of

Choose = Callable[[str, Plain], Scalar]
Configuration = frozenset[tuple[str, type, Scalar]]


def configuration(params: Mapping[str, Scalar]) -> Configuration:
    """Return names, types and values of a set of parameters as one value, which is equal for equal sets."""
    return frozenset((name, type(value), value) for name, value in params.items())


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by name, in the order of their declaration.

    A parameter with `when` is active if each parent that it names is active and has one of the listed values.

    Raises:
        SpaceError: A parent is unknown, is of a kind that conditions cannot depend on (Float, FloatBy, RangeTest), or
            can never have a listed value. Also if conditions form a cycle or exclude each other, or if the ranges of a
            FloatBy do not match the values of its parent.
    """

    parameters: Mapping[str, Parameter]

    def __post_init__(self) -> None:
        parameters = {plain(name): parameter for name, parameter in self.parameters.items()}
        object.__setattr__(self, "parameters", MappingProxyType(parameters))
        for name, parameter in self.parameters.items():
            check_name(name)
            for parent, values in parameter.when.items():
                self._check_condition(name, parent, values)
            if isinstance(parameter, FloatBy):
                self._check_ranges(name, parameter)
        object.__setattr__(self, "_order", self._sorted())
        object.__setattr__(self, "_above", {parent for p in self.parameters.values() for parent in _parents(p)})
        for name in self.parameters:
            self._check_reachable(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return SearchSpace, (dict(self.parameters),)  # a mapping proxy can't be pickled

    def _check_condition(self, name: str, parent: str, values: tuple[Scalar, ...]) -> None:
        if parent not in self.parameters:
            raise SpaceError(f"{name}: when: no parameter {parent!r}{hint(parent, self.parameters)}")
        above = self.parameters[parent]
        if isinstance(above, Float | FloatBy | RangeTest):
            raise SpaceError(f"{name}: when: {parent!r} is a float, conditions depend on choices, ints and constants")
        if not values:
            raise SpaceError(f"{name}: when: list at least one value of {parent!r}")
        for value in values:
            if not above.contains(value):
                raise SpaceError(f"{name}: when: {parent!r} is {above.rule}, so it is never {value!r}")

    def _check_ranges(self, name: str, parameter: FloatBy) -> None:
        parent = parameter.by
        if parent not in self.parameters:
            raise SpaceError(f"{name}: by: no parameter {parent!r}{hint(parent, self.parameters)}")
        above = self.parameters[parent]
        values = above.values if isinstance(above, Choice) else (above.value,) if isinstance(above, Constant) else ()
        if not values or not all(isinstance(value, str) for value in values):
            raise SpaceError(f"{name}: by: {parent!r} must be a choice among texts")
        wanted = parameter.when.get(parent, values)  # the values with which it can be active
        for value in [*wanted, *parameter.ranges]:
            if value in parameter.ranges and value in values:
                continue
            what = f"no range for {parent} = {value!r}" if value in values else f"{parent!r} is never {value!r}"
            raise SpaceError(f"{name}: by: {what}: give one range for each of {', '.join(map(repr, wanted))}")

    def _sorted(self) -> tuple[str, ...]:
        """Return the names, parents first, then alphabetically: the layout of a file must not change the samples."""
        sorter = TopologicalSorter({name: _parents(p) for name, p in self.parameters.items()})
        try:
            sorter.prepare()
        except CycleError as error:
            raise SpaceError(f"the conditions form a cycle: {' -> '.join(error.args[1])}") from None
        order: list[str] = []
        ready: list[str] = []
        while sorter.is_active():
            ready = sorted([*ready, *sorter.get_ready()])
            order.append(ready.pop(0))
            sorter.done(order[-1])
        return tuple(order)

    def _check_reachable(self, name: str) -> None:
        """Raise SpaceError if the conditions of a parameter and of its ancestors have no common solution."""
        wanted: dict[str, list[tuple[Scalar, ...]]] = {}
        self._gather(name, wanted)
        for parent, demands in wanted.items():
            if not any(all(any(same(v, w) for w in demand) for demand in demands) for v in demands[0]):
                listed = " and ".join(str(list(demand)) for demand in demands)
                raise SpaceError(f"{name}: when: it can never be active, {parent!r} would have to be in {listed}")

    def _gather(self, name: str, wanted: dict[str, list[tuple[Scalar, ...]]]) -> None:
        parameter = self.parameters[name]
        for parent, values in parameter.when.items():
            wanted.setdefault(parent, []).append(tuple(values))
            self._gather(parent, wanted)
        if isinstance(parameter, FloatBy):
            self._gather(parameter.by, wanted)

    def _is_active(self, name: str, chosen: Mapping[str, Scalar]) -> bool:
        parameter = self.parameters[name]
        if isinstance(parameter, FloatBy) and parameter.by not in chosen:
            return False
        return all(
            parent in chosen and any(same(chosen[parent], value) for value in values)
            for parent, values in parameter.when.items()
        )

    def _given(self, name: str, chosen: Mapping[str, Scalar]) -> Plain | Constant | RangeTest:
        """Return the parameter as it is when its parents have their chosen values."""
        parameter = self.parameters[name]
        return parameter.given(chosen) if isinstance(parameter, FloatBy) else parameter

    def walk(self, choose: Choose) -> dict[str, Scalar]:
        """Choose the values of all active parameters, parents first.

        `sample`, `defaults` and the suggestions of samplers all use this walk.

        Args:
            choose: Called with the name and the kind of each parameter that varies, it returns the value. A FloatBy is
                passed as the Float for the value of its parent.

        Returns:
            The values by name. A RangeTest is left out, since it has no values before it is measured.
        """
        chosen: dict[str, Scalar] = {}
        for name in self._order:  # type: ignore[attr-defined]
            if not self._is_active(name, chosen):
                continue
            match self._given(name, chosen):
                case Constant(value):
                    chosen[name] = value
                case Float() | Int() | Choice() as parameter:
                    chosen[name] = choose(name, parameter)
        return chosen

    def replaced(self, name: str, parameter: Parameter) -> "SearchSpace":
        """Return the same space with one parameter replaced or added."""
        return SearchSpace({**self.parameters, name: parameter})

    def defaults(self) -> dict[str, Scalar]:
        """Return the default of every active parameter."""
        return self.walk(lambda _, parameter: parameter.default)  # type: ignore[arg-type,return-value]

    def sample(self, rng: random.Random) -> dict[str, Scalar]:
        """Return one configuration, with each parameter drawn uniformly (on a logarithmic scale with `log`)."""
        return self.walk(lambda _, parameter: parameter.at(rng.random()))

    @property
    def is_finite(self) -> bool:
        """Return whether each parameter has a finite list of values."""
        return self._endless is None

    @property
    def _endless(self) -> str | None:
        """Return the name of the first parameter without a finite list of values, or None if there is none."""

        def is_listed(parameter: Parameter) -> bool:
            if isinstance(parameter, Float | Int | Choice):
                return parameter.count is not None
            return isinstance(parameter, Constant)

        return next((name for name, parameter in self.parameters.items() if not is_listed(parameter)), None)

    def _check_finite(self) -> None:
        if self._endless is not None:
            raise SpaceError(f"{self._endless}: a grid needs a step, or a choice instead of the float")

    def count(self, most: int) -> int:
        """Count the configurations of the space, up to a limit.

        Args:
            most: The limit.

        Returns:
            The number of configurations, or `most` + 1 if there are more than `most`.

        Raises:
            SpaceError: A parameter has no finite list of values.
        """
        self._check_finite()
        always = [p for p in self.parameters.values() if isinstance(p, Float | Int | Choice) and not p.when]
        if math.prod(map(count_of, always)) > most:
            return most + 1
        return self._count(0, {}, most)

    def _count(self, first: int, chosen: Mapping[str, Scalar], most: int) -> int:
        """Count the ways to complete the parameters chosen so far, up to `most` + 1."""
        found, known = 1, dict(chosen)
        for place in range(first, len(self._order)):  # type: ignore[attr-defined]
            name, parameter = self._at(place, known)
            match parameter:
                case Constant(value):
                    known[name] = value
                case Float() | Int() | Choice() if name in self._above:  # type: ignore[attr-defined]
                    below = 0
                    for value in values_of(parameter):
                        below += self._count(place + 1, {**known, name: value}, most - below)
                        if found * below > most:
                            return most + 1
                    return found * below
                case Float() | Int() | Choice():
                    found *= count_of(parameter)
                    if found > most:
                        return most + 1
        return found

    def _at(self, place: int, chosen: Mapping[str, Scalar]) -> tuple[str, Plain | Constant | RangeTest | None]:
        """Return the name at a place in the order and the parameter that gives its value, or None if it is inactive."""
        name = self._order[place]  # type: ignore[attr-defined]
        return name, self._given(name, chosen) if self._is_active(name, chosen) else None

    def grid(self) -> Iterator[dict[str, Scalar]]:
        """Return an iterator over every configuration, each once, without listing them first.

        Raises:
            SpaceError: A parameter has no finite list of values.
        """
        self._check_finite()
        return self._grid(0, {})

    def _grid(self, first: int, chosen: Mapping[str, Scalar]) -> Iterator[dict[str, Scalar]]:
        known = dict(chosen)
        for place in range(first, len(self._order)):  # type: ignore[attr-defined]
            name, parameter = self._at(place, known)
            match parameter:
                case Constant(value):
                    known[name] = value
                case Float() | Int() | Choice():
                    for value in values_of(parameter):
                        yield from self._grid(place + 1, {**known, name: value})
                    return
        yield known

    def typed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values, with whole numbers as floats where the space has floats, and floats snapped to steps."""
        return {name: self._typed(self.parameters.get(name), value) for name, value in plain(params).items()}

    def _typed(self, parameter: Parameter | None, value: Any) -> Any:
        if isinstance(parameter, Float | FloatBy | RangeTest) and type(value) is int:
            value = _as_float(value)
        if isinstance(parameter, Float) and isinstance(value, float):
            return parameter.snapped(value)
        return value

    def in_order(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values for display, in the order in which the space declares them; drop names that it lacks."""
        return {name: params[name] for name in self.parameters if name in params}

    def texts(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Return the values as short texts for display, in the order in which the space declares them."""
        return {
            name: as_text(value, digits_of(self._given(name, params))) for name, value in self.in_order(params).items()
        }

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise SpaceError with the first broken rule, key and value if a configuration is not one of this space."""
        for name in params:
            if name not in self.parameters:
                raise SpaceError(f"no parameter {name!r}{hint(name, self.parameters)}")
        for name in self._order:  # type: ignore[attr-defined]
            is_active = self._is_active(name, params)
            parameter = self._given(name, params) if is_active else None
            if isinstance(parameter, RangeTest):  # its bounds are not known yet
                if name in params and not _is_rate(params[name]):
                    raise SpaceError(f"{name}: must be a number above 0, but got {params[name]!r}")
                continue
            if parameter and name not in params:
                raise SpaceError(f"{name}: is missing, and its conditions hold")
            if not is_active and name in params:
                raise SpaceError(f"{name}: has no effect here, since its conditions are off; got {params[name]!r}")
            if parameter and not parameter.contains(params[name]):
                raise SpaceError(f"{name}: must be {parameter.rule}, but got {params[name]!r}")


def _as_float(value: int) -> float | int:
    """Return a whole number as a float, or unchanged if it is too large for a float."""
    try:
        return float(value)
    except OverflowError:
        return value


def _is_rate(value: object) -> bool:
    return isinstance(value, float) and 0 < value < math.inf


def hint(word: str, known: Iterable[str]) -> str:
    """Return the text ", did you mean 'x'?" for the nearest known name, or a list of all names if none is near."""
    names = list(known)
    close = difflib.get_close_matches(word.lower(), names, n=1)
    return f", did you mean {close[0]!r}?" if close else f": choose from {', '.join(names) or 'none'}"


def _parents(parameter: Parameter) -> list[str]:
    return [*parameter.when, *([parameter.by] if isinstance(parameter, FloatBy) else [])]
