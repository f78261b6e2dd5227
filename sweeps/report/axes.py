"""Axes from 0 to 1 for the values of parameters, and the subset of trials that is drawn if there are many."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces import Choice, Constant, FloatBy, Parameter, RangeTest
from search_spaces.texts import as_text
from study.figures.search import Scale, Standing
from sweeps.search.history import History, Trial
from sweeps.search.ranges import with_measured_space
from sweeps.spec import SweepSpec

_GOLDEN = (math.sqrt(5) - 1) / 2  # the fractional parts of its multiples never fall close together
_SPREAD = 0.6  # share of a choice's part of the axis over which its trials are spread
_LETTERS, _FEW_LETTERS = 40, 10  # of all names along a wide axis, and of each name below a small one


@dataclass(frozen=True)
class Axis:
    """A parameter's axis: its choices or, if it has none, its bounds and whether it is logarithmic."""

    name: str
    low: float
    high: float
    log: bool
    choices: tuple[Any, ...] = ()
    condition: str = ""

    def place(self, value: Any) -> float:
        """Return the position of a value, 0 to 1; a choice is in the middle of its part."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    def spread(self, value: Any, number: int) -> float:
        """Return the position of a value, with the trials of a choice spread over its part of the axis.

        Args:
            value: A value of the parameter.
            number: The number of the trial, on which alone the place within the part depends.

        Returns:
            The position, 0 to 1.
        """
        if not self.choices:
            return self.place(value)
        return self.place(value) + _SPREAD * ((number * _GOLDEN) % 1 - 0.5) / len(self.choices)

    def scale(self, *, is_wide: bool) -> Scale:
        """Return the axis with its marks, of which a wide one has more; long names are cut."""
        if self.choices:
            each = max(3, _LETTERS // len(self.choices)) if is_wide else _FEW_LETTERS
            names = [_short(as_text(choice, None), each) for choice in self.choices]
            return Scale(self.name, list(zip(map(self.place, self.choices), names, strict=True)))
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        marks = [(0.0, as_text(self.low)), (1.0, as_text(self.high))]
        if is_wide:
            marks.insert(1, (0.5, as_text(float(f"{middle:.2g}"))))
        return Scale(self.name, marks)


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"


def axes(spec: SweepSpec, history: History) -> list[Axis]:
    """Return the axes of the parameters that vary, in the space's order; a range not yet measured has no axis."""
    parameters = with_measured_space(spec, history).space.parameters
    return [_axis(name, p) for name, p in parameters.items() if not isinstance(p, Constant | RangeTest)]


def _axis(name: str, parameter: Parameter) -> Axis:
    condition = " and ".join(
        f"{parent} is {' or '.join(as_text(value, None) for value in values)}"
        for parent, values in parameter.when.items()
    )
    if isinstance(parameter, Choice):
        return Axis(name, 0, 1, False, parameter.values, condition)
    if isinstance(parameter, FloatBy):  # one axis for all its ranges
        ranges = parameter.ranges.values()
        low, high = min(r.low for r in ranges), max(r.high for r in ranges)
        return Axis(name, low, high, low > 0 and any(r.log for r in ranges), (), condition)
    assert not isinstance(parameter, Constant | RangeTest)
    return Axis(name, parameter.low, parameter.high, parameter.log, (), condition)


def standing(trial: Trial, winner: int | None) -> Standing:
    """Return how a trial of the search is drawn."""
    if trial.key.number == winner:
        return "winner"
    return "full" if trial.state == "complete" else "early"


def thinned(trials: Sequence[Trial], most: int, winner: int | None) -> tuple[list[Trial], str]:
    """Choose evenly spaced trials to draw.

    Args:
        trials: All trials; every n-th of them is kept.
        most: How many to keep at most, apart from the winner.
        winner: The number of the winner, which is always kept; None without one.

    Returns:
        The kept trials, and a sentence about the choice, "" if all are kept.
    """
    if len(trials) <= most:
        return list(trials), ""
    step = math.ceil(len(trials) / most)
    kept = [t for place, t in enumerate(trials) if place % step == 0 or t.key.number == winner]
    always = "" if winner is None else ", and the winner"
    return kept, f" Drawn are {len(kept):,} of {len(trials):,}: every {step}th trial{always}."
