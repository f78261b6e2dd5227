"""SearchSpace: named parameters with conditions, and the one walk beneath sampling, defaults and suggestion."""

import difflib
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any

from search_spaces.parameters import Choice, Constant, Float, Int, Parameter, Scalar, SpaceError, same

Choose = Callable[[str, Parameter], Scalar]


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by name, in the order they were declared.

    A parameter with `when` is active where each parent that it names is active and has one of the values listed.
    SpaceError for unknown or Float parents, values that a parent can't have, cycles, and conditions that exclude each
    other.
    """

    parameters: Mapping[str, Parameter]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        for name, parameter in self.parameters.items():
            for parent, values in parameter.when.items():
                self._check_condition(name, parent, values)
        object.__setattr__(self, "_order", self._sorted())
        for name in self.parameters:
            self._check_reachable(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return SearchSpace, (dict(self.parameters),)  # a mapping proxy can't be pickled

    def _check_condition(self, name: str, parent: str, values: tuple[Scalar, ...]) -> None:
        if parent not in self.parameters:
            raise SpaceError(f"{name}: when: no parameter {parent!r}{hint(parent, self.parameters)}")
        above = self.parameters[parent]
        if isinstance(above, Float):
            raise SpaceError(f"{name}: when: {parent!r} is a float, conditions hang on choices, ints and constants")
        if not values:
            raise SpaceError(f"{name}: when: list at least one value of {parent!r}")
        for value in values:
            if not above.contains(value):
                raise SpaceError(f"{name}: when: {parent!r} is {above.rule}, so it is never {value!r}")

    def _sorted(self) -> tuple[str, ...]:
        """Names with parents first, else by the alphabet: the layout of a file must not change what is sampled."""
        sorter = TopologicalSorter({name: list(p.when) for name, p in self.parameters.items()})
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
        return all(
            parent in chosen and any(same(chosen[parent], value) for value in values)
            for parent, values in self.parameters[name].when.items()
        )

    def walk(self, choose: Choose) -> dict[str, Scalar]:
        """Values of all active parameters, parents first; `choose` is asked for each that varies.

        This is the one mechanism beneath `sample`, `defaults` and a sampler's suggestions.
        """
        chosen: dict[str, Scalar] = {}
        for name in self._order:  # type: ignore[attr-defined]
            if self._is_active(name, chosen):
                parameter = self.parameters[name]
                chosen[name] = parameter.value if isinstance(parameter, Constant) else choose(name, parameter)
        return chosen

    def defaults(self) -> dict[str, Scalar]:
        """Every active parameter at its default."""
        return self.walk(lambda _, parameter: parameter.default)  # type: ignore[arg-type,return-value]

    def sample(self, rng: random.Random) -> dict[str, Scalar]:
        """One configuration, each parameter drawn uniformly (on a logarithmic scale with `log`)."""
        return self.walk(lambda _, parameter: _draw(parameter, rng))

    def in_order(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The same values in the order in which the space declares them: how people see them."""
        return {name: params[name] for name in self.parameters if name in params}

    def check(self, params: Mapping[str, Any]) -> None:
        """SpaceError where a configuration is not one of this space: first broken rule, with key and value."""
        for name in params:
            if name not in self.parameters:
                raise SpaceError(f"no parameter {name!r}{hint(name, self.parameters)}")
        for name in self._order:  # type: ignore[attr-defined]
            is_active, parameter = self._is_active(name, params), self.parameters[name]
            if is_active and name not in params:
                raise SpaceError(f"{name}: is missing, and its conditions hold")
            if not is_active and name in params:
                raise SpaceError(f"{name}: has no effect here, since its conditions are off; got {params[name]!r}")
            if is_active and not parameter.contains(params[name]):
                raise SpaceError(f"{name}: must be {parameter.rule}, but got {params[name]!r}")


def hint(word: str, known: Iterable[str]) -> str:
    """The words ", did you mean 'x'?" for the nearest known name, or the list of what is known."""
    names = list(known)
    close = difflib.get_close_matches(word.lower(), names, n=1)
    return f", did you mean {close[0]!r}?" if close else f": choose from {', '.join(names) or 'none'}"


def _draw(parameter: Parameter, rng: random.Random) -> Scalar:
    match parameter:
        case Float(low, high, log, step):
            return _draw_float(low, high, log, step, rng)
        case Int(low, high, True):
            drawn = math.floor(math.exp(rng.uniform(math.log(low), math.log(high + 1))))
            return min(max(drawn, low), high)
        case Int(low, high, _, step):
            return low + rng.randint(0, (high - low) // step) * step
        case Choice(values):
            return rng.choice(values)
        case Constant(value):
            return value


def _draw_float(low: float, high: float, log: bool, step: float | None, rng: random.Random) -> float:
    if step is not None:
        return min(low + rng.randint(0, round((high - low) / step)) * step, high)
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if log else low + (high - low) * rng.random()
    return min(max(drawn, low), high)
