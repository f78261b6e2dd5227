"""SearchSpace: named parameters with conditions, and the one walk beneath sampling, defaults and suggestion."""

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
    """Return what two equal sets of parameters have in common: names and values, each with its type."""
    return frozenset((name, type(value), value) for name, value in params.items())


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by name, in the order they were declared.

    A parameter with `when` is active where each parent that it names is active and has one of the values listed.
    SpaceError for unknown or Float parents, values that a parent can't have, cycles, and conditions that exclude each
    other.
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
            raise SpaceError(f"{name}: when: {parent!r} is a float, conditions hang on choices, ints and constants")
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
        wanted = parameter.when.get(parent, values)  # where it is active at all
        for value in [*wanted, *parameter.ranges]:
            if value in parameter.ranges and value in values:
                continue
            what = f"no range for {parent} = {value!r}" if value in values else f"{parent!r} is never {value!r}"
            raise SpaceError(f"{name}: by: {what}: give one range for each of {', '.join(map(repr, wanted))}")

    def _sorted(self) -> tuple[str, ...]:
        """Names with parents first, else by the alphabet: the layout of a file must not change what is sampled."""
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
        """The conditions of a parameter and of all above it must have a common solution."""
        wanted: dict[str, list[tuple[Scalar, ...]]] = {}
        self._gather(name, wanted)
        for parent, demands in wanted.items():
            if not any(all(any(same(v, w) for w in demand) for demand in demands) for v in demands[0]):
                listed = " and ".join(str(list(demand)) for demand in demands)
                raise SpaceError(f"{name}: when: it can never be active, {parent!r} would have to be in {listed}")

    def _gather(self, name: str, wanted: dict[str, list[tuple[Scalar, ...]]]) -> None:
        for parent, values in self.parameters[name].when.items():
            wanted.setdefault(parent, []).append(tuple(values))
            self._gather(parent, wanted)

    def _is_active(self, name: str, chosen: Mapping[str, Scalar]) -> bool:
        parameter = self.parameters[name]
        if isinstance(parameter, FloatBy) and parameter.by not in chosen:
            return False
        return all(
            parent in chosen and any(same(chosen[parent], value) for value in values)
            for parent, values in parameter.when.items()
        )

    def _given(self, name: str, chosen: Mapping[str, Scalar]) -> Plain | Constant | RangeTest:
        """The parameter where those above it have their chosen values."""
        parameter = self.parameters[name]
        return parameter.given(chosen) if isinstance(parameter, FloatBy) else parameter

    def walk(self, choose: Choose) -> dict[str, Scalar]:
        """Values of all active parameters, parents first; `choose` is asked for each that varies.

        This is the one mechanism beneath `sample`, `defaults` and a sampler's suggestions. A RangeTest has no values
        before it is measured: it is left out.
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
        """The same space with one parameter in the place of another, or added."""
        return SearchSpace({**self.parameters, name: parameter})

    def defaults(self) -> dict[str, Scalar]:
        """Every active parameter at its default."""
        return self.walk(lambda _, parameter: parameter.default)  # type: ignore[arg-type,return-value]

    def sample(self, rng: random.Random) -> dict[str, Scalar]:
        """One configuration, each parameter drawn uniformly (on a logarithmic scale with `log`)."""
        return self.walk(lambda _, parameter: parameter.at(rng.random()))

    @property
    def is_finite(self) -> bool:
        """Whether each parameter has a finite list of values."""
        return self._endless is None

    @property
    def _endless(self) -> str | None:
        """The first parameter that has no finite list of values."""

        def is_listed(parameter: Parameter) -> bool:
            if isinstance(parameter, Float | Int | Choice):
                return parameter.count is not None
            return isinstance(parameter, Constant)

        return next((name for name, parameter in self.parameters.items() if not is_listed(parameter)), None)

    def _check_finite(self) -> None:
        if self._endless is not None:
            raise SpaceError(f"{self._endless}: a grid needs a step, or a choice in place of the float")

    def count(self, most: int) -> int:
        """How many configurations there are, counted to `most` and given as `most` + 1 where there are more.

        SpaceError for a parameter that has no finite list of values.
        """
        self._check_finite()
        always = [p for p in self.parameters.values() if isinstance(p, Float | Int | Choice) and not p.when]
        if math.prod(map(count_of, always)) > most:
            return most + 1
        return self._count(0, {}, most)

    def _count(self, first: int, chosen: Mapping[str, Scalar], most: int) -> int:
        """Count the ways to go on from the parameters that are chosen."""
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
        """A parameter by its place in the order, and what its value is taken from; None where it is not active."""
        name = self._order[place]  # type: ignore[attr-defined]
        return name, self._given(name, chosen) if self._is_active(name, chosen) else None

    def grid(self) -> Iterator[dict[str, Scalar]]:
        """Give every configuration there is, once, without listing them first; SpaceError as of `count`."""
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
        """The same values as the space has them: floats for whole numbers where it has floats, points of its steps."""
        return {name: self._typed(self.parameters.get(name), value) for name, value in plain(params).items()}

    def _typed(self, parameter: Parameter | None, value: Any) -> Any:
        if isinstance(parameter, Float | FloatBy | RangeTest) and type(value) is int:
            value = _as_float(value)
        if isinstance(parameter, Float) and isinstance(value, float):
            return parameter.snapped(value)
        return value

    def in_order(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The same values in the order in which the space declares them: how people see them."""
        return {name: params[name] for name in self.parameters if name in params}

    def texts(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Return the values as people read them, in the order in which the space declares them."""
        return {
            name: as_text(value, digits_of(self._given(name, params))) for name, value in self.in_order(params).items()
        }

    def check(self, params: Mapping[str, Any]) -> None:
        """SpaceError where a configuration is not one of this space: first broken rule, with key and value."""
        for name in params:
            if name not in self.parameters:
                raise SpaceError(f"no parameter {name!r}{hint(name, self.parameters)}")
        for name in self._order:  # type: ignore[attr-defined]
            is_active = self._is_active(name, params)
            parameter = self._given(name, params) if is_active else None
            if isinstance(parameter, RangeTest):  # what it will hold is not known yet
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
    """Return a whole number as a float, or as it is where no float is so large."""
    try:
        return float(value)
    except OverflowError:
        return value


def _is_rate(value: object) -> bool:
    return isinstance(value, float) and 0 < value < math.inf


def hint(word: str, known: Iterable[str]) -> str:
    """The words ", did you mean 'x'?" for the nearest known name, or the list of what is known."""
    names = list(known)
    close = difflib.get_close_matches(word.lower(), names, n=1)
    return f", did you mean {close[0]!r}?" if close else f": choose from {', '.join(names) or 'none'}"


def _parents(parameter: Parameter) -> list[str]:
    return [*parameter.when, *([parameter.by] if isinstance(parameter, FloatBy) else [])]
