"""What may vary: parameters, numeric or chosen, and Constants, as frozen values that keep their own rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

Scalar = bool | int | float | str
When = Mapping[str, tuple[Scalar, ...]]

_TOLERANCE = 1e-9  # of a step: how far a float may lie off its grid by rounding


class SpaceError(ValueError):
    """A search space breaks a rule; one line that names place, key, rule and value."""


def same(a: Scalar, b: Scalar) -> bool:
    """Equality that tells True from 1 and 1 from 1.0: they are different values of a parameter."""
    return type(a) is type(b) and a == b


def _index(share: float, count: int) -> int:
    """Which of so many equal parts of 0..1 a share falls into."""
    return min(int(share * count), count - 1)


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise SpaceError(rule)


def _check_number(name: str, value: object, kinds: tuple[type, ...]) -> None:
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    word = "a whole number" if kinds == (int,) else "a number"
    _require(is_number, f"{name} must be {word}, but got {value!r}")
    _require(math.isfinite(float(value)), f"{name} must be finite, but got {value!r}")  # type: ignore[arg-type]


def _check_range(low: float, high: float, log: bool) -> None:
    _require(low < high, f"low < high must hold, but got low={low!r} and high={high!r}")
    _require(not log or low > 0, f"log needs low > 0, but got low={low!r}")


@dataclass(frozen=True)
class Float:
    """A real number in low … high, both included; even on a logarithmic scale with `log`, on a grid with `step`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    default: float | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step", "default"):
            value = getattr(self, name)
            if value is not None:
                _check_number(name, value, (int, float))
                object.__setattr__(self, name, float(value))
        _check_range(self.low, self.high, self.log)
        if self.step is not None:
            _require(self.step > 0, f"step > 0 must hold, but got step={self.step!r}")
            _require(not self.log, f"log and step exclude each other, but got step={self.step!r}")
            # The grid's last point is what can be reached, so that nothing outside is ever promised.
            reached = self.low + math.floor((self.high - self.low) / self.step + _TOLERANCE) * self.step
            _require(reached > self.low, f"step must fit between low and high, but got step={self.step!r}")
            object.__setattr__(self, "high", min(reached, self.high))
        if self.default is None:
            object.__setattr__(self, "default", self._middle())
        _require(self.contains(self.default), f"default must lie in the range, but got default={self.default!r}")

    def _middle(self) -> float:
        if self.log:
            return min(max(math.sqrt(self.low) * math.sqrt(self.high), self.low), self.high)
        middle = self.low / 2 + self.high / 2
        if self.step is None:
            return middle
        return self.low + round((middle - self.low) / self.step) * self.step

    def contains(self, value: object) -> bool:
        """Whether the value is a float of this range, on its grid."""
        if not isinstance(value, float) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) <= 1e-6

    def at(self, share: float) -> float:
        """The value at a share (0..1) of the range, on its scale; with a step, each point has an equal part."""
        if self.step is not None:
            return self.grid[_index(share, len(self.grid))]
        if not self.log:
            return min(max(self.low + (self.high - self.low) * share, self.low), self.high)
        low, high = math.log(self.low), math.log(self.high)
        return min(max(math.exp(low + (high - low) * share), self.low), self.high)

    @property
    def grid(self) -> tuple[float, ...]:
        """Every value there is; SpaceError without a step."""
        _require(self.step is not None, "a grid needs a step, or a choice in place of the float")
        points = round((self.high - self.low) / (self.step or 1)) + 1
        return tuple(min(self.low + index * (self.step or 1), self.high) for index in range(points))

    def share(self, value: float) -> float:
        """Where a value of the range lies, 0..1 on its scale."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)

    @property
    def rule(self) -> str:
        grid = f" in steps of {self.step!r}" if self.step else ""
        return f"a number from {self.low!r} to {self.high!r}{grid}"


@dataclass(frozen=True)
class Int:
    """A whole number in low … high, both included; even on a logarithmic scale with `log`, on a grid with `step`."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    default: int | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step", "default"):
            value = getattr(self, name)
            if value is not None:
                _check_number(name, value, (int,))
        _check_range(self.low, self.high, self.log)
        _require(self.step > 0, f"step > 0 must hold, but got step={self.step!r}")
        _require(not self.log or self.step == 1, f"log and step exclude each other, but got step={self.step!r}")
        reached = self.low + (self.high - self.low) // self.step * self.step
        _require(reached > self.low, f"step must fit between low and high, but got step={self.step!r}")
        object.__setattr__(self, "high", reached)
        if self.default is None:
            middle = math.isqrt(self.low * self.high) if self.log else (self.low + self.high) // 2
            object.__setattr__(self, "default", self.low + (middle - self.low) // self.step * self.step)
        _require(self.contains(self.default), f"default must lie in the range, but got default={self.default!r}")

    def contains(self, value: object) -> bool:
        """Whether the value is a whole number of this range, on its grid; a bool is none."""
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and self.low <= value <= self.high and (value - self.low) % self.step == 0  # type: ignore[operator]

    def at(self, share: float) -> int:
        """The value at a share (0..1) of the range, of which each value has a part, equal on the parameter's scale."""
        if not self.log:
            return self.low + _index(share, (self.high - self.low) // self.step + 1) * self.step
        low, high = math.log(self.low), math.log(self.high + 1)
        return min(max(math.floor(math.exp(low + (high - low) * share)), self.low), self.high)

    @property
    def grid(self) -> tuple[int, ...]:
        """Every value there is."""
        return tuple(range(self.low, self.high + 1, self.step))

    @property
    def rule(self) -> str:
        grid = f" in steps of {self.step}" if self.step > 1 else ""
        return f"a whole number from {self.low} to {self.high}{grid}"


@dataclass(frozen=True)
class Choice:
    """One of a few values, in no order."""

    values: tuple[Scalar, ...]
    default: Scalar | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        _require(len(self.values) > 0, "choice must list at least one value, but got none")
        for place, value in enumerate(self.values):
            _check_scalar("choice", value)
            # Equality in Python's sense: 1, 1.0 and True can't be told apart by samplers and tables.
            _require(value not in self.values[:place], f"choice must not repeat a value, but got {value!r} twice")
        if self.default is None:
            object.__setattr__(self, "default", self.values[0])
        _require(self.contains(self.default), f"default must be one of the choices, but got default={self.default!r}")

    def contains(self, value: object) -> bool:
        """Whether the value is one of the choices, of the same type."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def at(self, share: float) -> Scalar:
        """The value at a share (0..1) of the list, of which each has an equal part."""
        return self.values[_index(share, len(self.values))]

    @property
    def grid(self) -> tuple[Scalar, ...]:
        """Every value there is."""
        return self.values

    @property
    def rule(self) -> str:
        return f"one of {', '.join(repr(value) for value in self.values)}"


@dataclass(frozen=True)
class Constant:
    """A value that doesn't vary."""

    value: Scalar
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_scalar("value", self.value)

    @property
    def default(self) -> Scalar:
        return self.value

    def contains(self, value: object) -> bool:
        """Whether it is the value, of the same type."""
        return type(value) is type(self.value) and value == self.value

    @property
    def rule(self) -> str:
        return f"the constant {self.value!r}"


@dataclass(frozen=True)
class FloatBy:
    """A real number whose range hangs on a choice among texts, such as a learning rate's on the optimizer.

    It is active where its parent is. ranges: the Float for each value of the choice `by`; it has neither step nor
    conditions of its own.
    """

    by: str
    ranges: Mapping[str, Float]
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value, known in self.ranges.items():
            place = f"by: {self.by} = {value!r}"
            _require(isinstance(known, Float), f"{place} must be a float, but got {known!r}")
            _require(known.step is None, f"{place}: a range by another parameter has no step, but got {known.step!r}")
            _require(not known.when, f"{place}: conditions belong beside `by`, but got when={dict(known.when)!r}")

    def given(self, chosen: Mapping[str, Scalar]) -> Float:
        """The range where the parent has its chosen value."""
        return self.ranges[str(chosen[self.by])]


@dataclass(frozen=True)
class RangeTest:
    """A learning rate whose bounds are not known yet: whoever searches measures them first, for each optimizer."""

    when: When = field(default_factory=dict)


Parameter = Float | Int | Choice | Constant | FloatBy | RangeTest
Plain = Float | Int | Choice  # what a value is chosen from, once everything above it is


def _check_scalar(name: str, value: object) -> None:
    _require(isinstance(value, bool | int | float | str), f"{name} must hold plain values, but got {value!r}")
    if isinstance(value, float):
        _require(math.isfinite(value), f"{name} must be finite, but got {value!r}")
