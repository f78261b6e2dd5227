"""Parameters of a search space, numeric, chosen or constant, as frozen values that check their own rules."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, NamedTuple

from search_spaces.plain import Scalar, SpaceError, check_scalar, check_size, in_brief, plain

When = Mapping[str, tuple[Scalar, ...]]

# In steps: how far the end of a range may be off a whole number of steps, and a value off its point.
_TOLERANCE, _NEAR = Fraction(1, 10**9), Fraction(1, 10**6)
_FINEST = 8  # a step is at least this many times the distance between neighbouring floats


def same(a: Scalar, b: Scalar) -> bool:
    """Return whether two values are equal and of one type: True, 1 and 1.0 are different values of a parameter."""
    return type(a) is type(b) and a == b


def _index(share: float, count: int) -> int:
    """Return the index of the part that a share falls into, of `count` equal parts of 0..1."""
    return min(int(share * count), count - 1)


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise SpaceError(rule)


def _whole(name: str, value: object) -> int:
    """Return a whole number of at most 64 bits; raise SpaceError for anything else."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpaceError(f"{name} must be a whole number, but got {value!r}")
    check_size(name, value)
    return value


def _number(name: str, value: object) -> float:
    """Return a finite number as a float, with -0.0 as 0.0; raise SpaceError for anything else."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpaceError(f"{name} must be a number, but got {value!r}")
    try:
        found = float(value) + 0.0
    except OverflowError:
        raise SpaceError(f"{name} must be a number that a float can hold, but got {in_brief(value)}") from None  # type: ignore[arg-type]
    _require(math.isfinite(found), f"{name} must be finite, but got {value!r}")
    return found


def _check_range(low: float, high: float, log: bool) -> None:
    _require(low < high, f"low < high must hold, but got low={low!r} and high={high!r}")
    _require(not log or low > 0, f"log needs low > 0, but got low={low!r}")
    _require(math.isfinite(high - low), f"high - low must be finite, but got low={low!r} and high={high!r}")


def _plain_when(when: object) -> When:
    """Return conditions with plain values; a single value becomes a tuple of one."""
    if not isinstance(when, Mapping):
        raise SpaceError(f'when must be a table like {{ optimizer = ["sgd"] }}, but got {when!r}')
    table = plain(when)
    return {parent: tuple(v) if isinstance(v, list) else (v,) for parent, v in table.items()}


_BOUNDS = ("low", "high")  # required, since there is no range without them


class _Steps(NamedTuple):
    """A stepped range, each of its floats as the exact decimal that it is written as."""

    low: Fraction
    high: Fraction
    step: Fraction
    slack: Fraction  # how far the end may be off a whole number of steps, since step and end may be rounded
    last: int  # the index of the last point

    def nearest(self, value: float) -> int:
        """Return the index of the point nearest to a value."""
        return min(max(round((_exact(value) - self.low) / self.step), 0), self.last)


@lru_cache(maxsize=1024)
def _steps(low: float, high: float, step: float) -> _Steps:
    exact = _exact(low), _exact(high), _exact(step)
    slack = exact[2] * _TOLERANCE + Fraction(math.ulp(max(abs(low), abs(high))))
    return _Steps(*exact, slack, (exact[1] + slack - exact[0]) // exact[2])


def _exact(value: float) -> Fraction:
    """Return the exact decimal that a float is written as."""
    return Fraction(repr(value))


def _off(default: float | None, step: float | None) -> str:
    """Return the error message for a default that is not a point of its range."""
    place = "in the range" if step is None else f"in the range, on a step of {step!r} from its low end"
    return f"default must lie {place}, but got default={default!r}"


def _end_at(parameter: "Float | Int", reached: float) -> None:
    """End a range at its last point, to promise no value beyond it, and keep the given end as `written_high`."""
    if reached != parameter.high:
        object.__setattr__(parameter, "written_high", parameter.high)
        object.__setattr__(parameter, "high", reached)


@dataclass(frozen=True)
class Float:
    """A real number from low to high, both included; uniform on a log scale with `log`, on a grid with `step`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    default: float | None = None
    when: When = field(default_factory=dict)
    written_high: ClassVar[float | None] = None  # the given end, if the steps do not reach it

    def __post_init__(self) -> None:
        for name in ("low", "high", "step", "default"):
            if (value := getattr(self, name)) is not None or name in _BOUNDS:
                object.__setattr__(self, name, _number(name, value))
        object.__setattr__(self, "when", _plain_when(self.when))
        _check_range(self.low, self.high, self.log)
        if self.step is not None:
            self._check_step(self.step)
            _end_at(self, self.point(self._steps.last))
        default = self._middle() if self.default is None else self.snapped(self.default)
        object.__setattr__(self, "default", default)
        _require(self.contains(default), _off(default, self.step))

    def _check_step(self, step: float) -> None:
        _require(step > 0, f"step > 0 must hold, but got step={step!r}")
        _require(not self.log, f"log and step exclude each other, but got step={step!r}")
        _require(self._steps.last > 0, f"step must fit between low and high, but got step={step!r}")
        is_coarse = step >= _FINEST * math.ulp(max(abs(self.low), abs(self.high)))
        _require(is_coarse, f"step is too fine for floats from {self.low!r} to {self.high!r}: leave out step={step!r}")

    @property
    def _steps(self) -> _Steps:
        assert self.step is not None
        return _steps(self.low, self.high, self.step)

    def _middle(self) -> float:
        if self.step is not None:
            return self.point(round(Fraction(self._steps.last, 2)))
        if self.log:
            return min(max(math.sqrt(self.low) * math.sqrt(self.high), self.low), self.high)
        return self.low / 2 + self.high / 2

    @property
    def count(self) -> int | None:
        """Return the number of values, or None without a step."""
        return None if self.step is None else self._steps.last + 1

    def point(self, index: int) -> float:
        """Return the value `index` steps above `low`, as it is usually written: 3 steps of 0.1 above 0 are 0.3."""
        steps = self._steps
        exact = steps.low + index * steps.step
        return self.high if abs(exact - steps.high) <= steps.slack else float(exact)

    def nearest(self, value: float) -> float:
        """Return the value of the range that is nearest to a finite number."""
        return min(max(value, self.low), self.high) if self.step is None else self.point(self._steps.nearest(value))

    def snapped(self, value: float) -> float:
        """Return the point that a computed value represents, as 0.1 * 3 represents 0.3, or the value if it has none."""
        if self.step is None or not math.isfinite(value):
            return value
        point = self.nearest(value)
        return point if abs(_exact(value) - _exact(point)) <= self._steps.step * _NEAR else value

    def contains(self, value: object) -> bool:
        """Return whether the value is a float of this range and on its grid."""
        if not isinstance(value, float) or not self.low <= value <= self.high:
            return False
        return self.step is None or value == self.nearest(value)

    def at(self, share: float) -> float:
        """Return the value at a share (0..1) of the range, on its scale; with a step, each point has an equal part."""
        if self.step is not None:
            return self.point(_index(share, self._steps.last + 1))
        if not self.log:
            return min(max(self.low + (self.high - self.low) * share, self.low), self.high)
        low, high = math.log(self.low), math.log(self.high)
        return min(max(math.exp(low + (high - low) * share), self.low), self.high)

    def share(self, value: float) -> float:
        """Return the position (0..1) of a value of the range, on its scale."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)

    @property
    def rule(self) -> str:
        grid = f" in steps of {self.step!r}" if self.step else ""
        return f"a number from {self.low!r} to {self.high!r}{grid}"


@dataclass(frozen=True)
class Int:
    """A whole number from low to high, both included; uniform on a log scale with `log`, on a grid with `step`."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    default: int | None = None
    when: When = field(default_factory=dict)
    written_high: ClassVar[int | None] = None  # the given end, if the steps do not reach it

    def __post_init__(self) -> None:
        for name in ("low", "high", "step", "default"):
            if (value := getattr(self, name)) is not None or name in _BOUNDS:
                object.__setattr__(self, name, _whole(name, value))
        object.__setattr__(self, "when", _plain_when(self.when))
        _check_range(self.low, self.high, self.log)
        _require(self.step > 0, f"step > 0 must hold, but got step={self.step!r}")
        _require(not self.log or self.step == 1, f"log and step exclude each other, but got step={self.step!r}")
        reached = self.low + (self.high - self.low) // self.step * self.step
        _require(reached > self.low, f"step must fit between low and high, but got step={self.step!r}")
        _end_at(self, reached)
        if self.default is None:
            middle = math.isqrt(self.low * self.high) if self.log else (self.low + self.high) // 2
            object.__setattr__(self, "default", self.low + (middle - self.low) // self.step * self.step)
        _require(self.contains(self.default), _off(self.default, None if self.step == 1 else self.step))

    @property
    def count(self) -> int:
        """Return the number of values."""
        return (self.high - self.low) // self.step + 1

    def point(self, index: int) -> int:
        """Return the value `index` steps above `low`."""
        return self.low + index * self.step

    def nearest(self, value: int) -> int:
        """Return the value of the range that is nearest to a whole number."""
        return self.point(min(max((value - self.low + self.step // 2) // self.step, 0), self.count - 1))

    def contains(self, value: object) -> bool:
        """Return whether the value is a whole number of this range and on its grid; a bool is not."""
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and self.low <= value <= self.high and (value - self.low) % self.step == 0  # type: ignore[operator]

    def at(self, share: float) -> int:
        """Return the value at a share (0..1) of the range, in which each value has a part.

        The parts are equal or, with `log`, as wide as [value, value + 1) on the logarithmic scale.
        """
        if not self.log:
            return self.point(_index(share, self.count))
        low, high = math.log(self.low), math.log(self.high + 1)
        return min(max(math.floor(math.exp(low + (high - low) * share)), self.low), self.high)

    def share(self, value: int) -> float:
        """Return the share (0..1) at the middle of a value's part of the range, which `at` maps back to the value."""
        if not self.log:
            return ((value - self.low) // self.step + 0.5) / self.count
        low, high = math.log(self.low), math.log(self.high + 1)
        return (math.log(value + 0.5) - low) / (high - low)

    @property
    def rule(self) -> str:
        grid = f" in steps of {self.step}" if self.step > 1 else ""
        return f"a whole number from {self.low} to {self.high}{grid}"


@dataclass(frozen=True)
class Choice:
    """One of a few listed values, which have no order."""

    values: tuple[Scalar, ...]
    default: Scalar | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(plain(value) for value in self.values))
        object.__setattr__(self, "when", _plain_when(self.when))
        _require(len(self.values) > 0, "choice must list at least one value, but got none")
        for value in self.values:
            check_scalar("choice", value)
        # By Python's equality, since samplers cannot tell 1, 1.0 and True apart.
        if (twice := _first_repeated(self.values)) is not None:
            what = f"{twice[1]!r} twice" if same(*twice) else f"{twice[0]!r} and {twice[1]!r}, which are equal"
            raise SpaceError(f"choice must not repeat a value, but got {what}")
        default = self.values[0] if self.default is None else plain(self.default)
        object.__setattr__(self, "default", default)
        _require(self.contains(self.default), f"default must be one of the choices, but got default={self.default!r}")

    def contains(self, value: object) -> bool:
        """Return whether the value is one of the choices and has its type."""
        return any(type(value) is type(known) and value == known for known in self.values)

    @property
    def count(self) -> int:
        """Return the number of values."""
        return len(self.values)

    def point(self, index: int) -> Scalar:
        """Return the value at an index of the list."""
        return self.values[index]

    def at(self, share: float) -> Scalar:
        """Return the value at a share (0..1) of the list, in which each value has an equal part."""
        return self.point(_index(share, self.count))

    @property
    def rule(self) -> str:
        return f"one of {', '.join(repr(value) for value in self.values)}"


@dataclass(frozen=True)
class Constant:
    """A parameter with one value, which does not vary."""

    value: Scalar
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", plain(self.value))
        object.__setattr__(self, "when", _plain_when(self.when))
        check_scalar("value", self.value)

    @property
    def default(self) -> Scalar:
        return self.value

    def contains(self, value: object) -> bool:
        """Return whether a value equals the constant and has its type."""
        return type(value) is type(self.value) and value == self.value

    @property
    def rule(self) -> str:
        return f"the constant {self.value!r}"


@dataclass(frozen=True)
class FloatBy:
    """A real number whose range depends on a choice among texts, such as a learning rate's on the optimizer.

    It is active only if its parent is. `ranges` has a Float, without step and conditions, for each value of the parent
    `by`.
    """

    by: str
    ranges: Mapping[str, Float]
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", plain(self.by))
        object.__setattr__(self, "ranges", {plain(value): known for value, known in self.ranges.items()})
        object.__setattr__(self, "when", _plain_when(self.when))
        for value, known in self.ranges.items():
            place = f"by: {self.by} = {value!r}"
            _require(isinstance(known, Float), f"{place} must be a float, but got {known!r}")
            _require(known.step is None, f"{place}: a range by another parameter has no step, but got {known.step!r}")
            _require(not known.when, f"{place}: conditions belong next to `by`, but got when={dict(known.when)!r}")

    def given(self, chosen: Mapping[str, Scalar]) -> Float:
        """Return the range for the value that the parent has in `chosen`."""
        return self.ranges[str(chosen[self.by])]


@dataclass(frozen=True)
class RangeTest:
    """A learning rate whose bounds are not known yet; the search measures them first, for each optimizer."""

    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "when", _plain_when(self.when))


Parameter = Float | Int | Choice | Constant | FloatBy | RangeTest
Plain = Float | Int | Choice  # the kinds that a value is chosen from, once all its parents have values


def values_of(parameter: Plain) -> Iterator[Scalar]:
    """Return an iterator over the values of a parameter that has a finite list of them."""
    return (parameter.point(index) for index in range(count_of(parameter)))


def count_of(parameter: Plain) -> int:
    """Return the number of values of a parameter that has a finite list of them."""
    assert parameter.count is not None
    return parameter.count


def _first_repeated(values: tuple[Scalar, ...]) -> tuple[Scalar, Scalar] | None:
    """Return the first two values that are equal by Python's equality, or None if there are none."""
    first: dict[Scalar, int] = {}
    repeated = ((values[first[v]], v) for place, v in enumerate(values) if first.setdefault(v, place) != place)
    return next(repeated, None)
