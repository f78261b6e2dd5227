"""What all figures share: colours, plain axes, names with units, and the range that is shown."""

import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import IO, TYPE_CHECKING, Any, ParamSpec, TypeVar

from study.measurement import METRICS

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_P = ParamSpec("_P")
_R = TypeVar("_R")
_DRAWABLE = 1e300  # between larger values matplotlib finds no finite distances

# Okabe and Ito, Color Universal Design, 2008: blue, vermillion and green that differ for all kinds of sight.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#BBBBBB"
PALETTE = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "black")
_LOSSES = [metric for metric in METRICS if metric.endswith("loss")]


def plain_axes() -> "tuple[Figure, Axes]":
    """One plot of the size and style that all figures share."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    plain(axes)
    return figure, axes


def with_unit(metric: str) -> str:
    """A metric's name for an axis; what a user's function measures has a unit that only its user knows."""
    unit = " (0 to 1)" if metric.endswith("accuracy") else " (nats)" if metric in _LOSSES else ""
    return metric.replace("_", " ") + unit


def plain(axes: "Axes") -> None:
    """A light grid behind the data and no frame above and at the right."""
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def note_hidden(axes: "Axes", values: Sequence[float], limits: tuple[float, float]) -> None:
    """Say how many values lie beyond the axis, or are no numbers: a picture must not hide them silently."""
    count = sum(not limits[0] <= value <= limits[1] for value in values)
    if count:
        text = f"{count} report{'' if count == 1 else 's'} beyond this axis"
        axes.text(0.99, 1.01, text, transform=axes.transAxes, ha="right", fontsize=7, color="#666666")


def ticks_at_whole_numbers(axis: "Axis", largest: float) -> None:
    """Ticks where an epoch or report ends, or a trial counts; an axis that is shorter than one keeps its fractions."""
    from matplotlib.ticker import MaxNLocator

    if largest >= 1:
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def shown_range(values: Sequence[float], direction: str) -> tuple[float, float]:
    """Limits of an axis that leave out the worst tenth of the values, where untrained models would flatten the rest."""
    finite = sorted(value for value in values if abs(value) <= _DRAWABLE)
    if not finite:
        return 0.0, 1.0
    worst = len(finite) // 10
    low, high = (finite[worst], finite[-1]) if direction == "maximize" else (finite[0], finite[-1 - worst])
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def literal(figure: "Figure") -> "Figure":
    """Show every text of a figure as it was written, and give the figure back: in names `$`, `_` and `^` are signs.

    Signs that no font can draw are replaced. The ticks of a logarithmic axis, which are ours, stay mathematics.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter, LogFormatter

    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(_drawable(text.get_text()))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):  # names of rows, which are set again at each drawing
            names = [label.get_text() for label in axis.get_ticklabels()]
            if any(names):  # a panel that shares its rows with another has no names of its own
                axis.set_ticks(axis.get_majorticklocs(), [_drawable(name) for name in names])
        if isinstance(formatter, LogFormatter):
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                tick.label1.set_parse_math(True)
    return figure


def _drawable(text: str) -> str:
    """Return a text without control characters and lone surrogates, which fonts and files refuse."""
    return "".join("\ufffd" if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in text)


def legend(axes: "Axes", lines: "Mapping[str, Artist]") -> None:
    """Name lines in a legend; matplotlib itself would leave out a name that begins with an underscore."""
    if lines:
        drawn = axes.legend([*lines.values()], [str(place) for place in range(len(lines))], frameon=False, fontsize=8)
        for text, name in zip(drawn.get_texts(), lines, strict=True):
            text.set_text(name)


def own_style(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Draw by matplotlib's own defaults, whatever a user's matplotlibrc or script has set, such as text.usetex."""

    @wraps(draw)
    def drawn(*args: _P.args, **options: _P.kwargs) -> _R:
        import numpy as np
        from matplotlib import style

        with style.context("default"), np.errstate(over="ignore"):  # of values that no axis can hold
            return draw(*args, **options)

    return drawn


def write(figure: "Figure", path: "str | Path | IO[Any]", **options: Any) -> None:
    """Write a figure; signs that its font lacks are drawn as boxes, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(path, **options)


save = own_style(write)
