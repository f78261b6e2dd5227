"""The common style of all figures: colours, plain axes, names with units, and the range that is shown."""

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
_DRAWABLE = 1e300  # between larger values, matplotlib computes no finite distances

# Okabe and Ito, Color Universal Design, 2008: blue, vermillion and green that differ for every colour vision.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#BBBBBB"
PALETTE = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "black")
_LOSSES = [metric for metric in METRICS if metric.endswith("loss")]


def plain_axes() -> "tuple[Figure, Axes]":
    """Return a figure with one plot, in the size and style that figures share."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    plain(axes)
    return figure, axes


def with_unit(metric: str) -> str:
    """Return a metric's name for an axis, with its unit if it is an accuracy or one of the study's losses."""
    unit = " (0 to 1)" if metric.endswith("accuracy") else " (nats)" if metric in _LOSSES else ""
    return metric.replace("_", " ") + unit


def plain(axes: "Axes") -> None:
    """Give axes a light grid behind the data, and no frame at the top and right."""
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def note_hidden(axes: "Axes", values: Sequence[float], limits: tuple[float, float]) -> None:
    """Write above the axes how many values are outside the limits or NaN, as a figure must not hide them silently."""
    count = sum(not limits[0] <= value <= limits[1] for value in values)
    if count:
        text = f"{count} report{'' if count == 1 else 's'} beyond this axis"
        axes.text(0.99, 1.01, text, transform=axes.transAxes, ha="right", fontsize=7, color="#666666")


def ticks_at_whole_numbers(axis: "Axis", largest: float) -> None:
    """Put ticks at whole numbers of epochs, reports or trials; an axis shorter than 1 keeps fractions."""
    from matplotlib.ticker import MaxNLocator

    if largest >= 1:
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def shown_range(values: Sequence[float], direction: str) -> tuple[float, float]:
    """Return axis limits that leave out the worst tenth of the values, since untrained models would flatten the rest.

    Args:
        values: The values to show; NaN, infinite and extremely large ones are ignored.
        direction: "maximize" or "minimize".

    Returns:
        The lower and the upper limit, with a margin; 0 and 1 without usable values.
    """
    finite = sorted(value for value in values if abs(value) <= _DRAWABLE)
    if not finite:
        return 0.0, 1.0
    worst = len(finite) // 10
    low, high = (finite[worst], finite[-1]) if direction == "maximize" else (finite[0], finite[-1 - worst])
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def literal(figure: "Figure") -> "Figure":
    """Make a figure show every text literally, and return the figure.

    The signs `$`, `_` and `^` in names are then not mathematics. Signs that no font can draw are replaced. The ticks of
    a logarithmic axis stay mathematics, since their texts come from no user.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter, LogFormatter

    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(_drawable(text.get_text()))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):  # names of rows, which are set again on each drawing
            names = [label.get_text() for label in axis.get_ticklabels()]
            if any(names):  # a panel that shares the rows of another has no names
                axis.set_ticks(axis.get_majorticklocs(), [_drawable(name) for name in names])
        if isinstance(formatter, LogFormatter):
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                tick.label1.set_parse_math(True)
    return figure


def _drawable(text: str) -> str:
    """Return a text with control characters and lone surrogates replaced, since fonts and files refuse them."""
    return "".join("\ufffd" if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in text)


def legend(axes: "Axes", lines: "Mapping[str, Artist]") -> None:
    """Add a legend with the names of lines; matplotlib itself would omit names that begin with an underscore."""
    if lines:
        drawn = axes.legend([*lines.values()], [str(place) for place in range(len(lines))], frameon=False, fontsize=8)
        for text, name in zip(drawn.get_texts(), lines, strict=True):
            text.set_text(name)


def own_style(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a function draw with matplotlib's defaults, ignoring a user's matplotlibrc and rcParams (text.usetex)."""

    @wraps(draw)
    def drawn(*args: _P.args, **options: _P.kwargs) -> _R:
        import numpy as np
        from matplotlib import style

        with style.context("default"), np.errstate(over="ignore"):  # from values that no axis can hold
            return draw(*args, **options)

    return drawn


def write(figure: "Figure", path: "str | Path | IO[Any]", **options: Any) -> None:
    """Write a figure; signs that its font lacks become boxes, without a warning for each.

    Args:
        figure: The figure.
        path: The path, or an open file.
        **options: Options of `Figure.savefig`, such as `format`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(path, **options)


save = own_style(write)
