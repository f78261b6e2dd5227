"""Figures of a search: its best so far, its parameters, its rungs and its final choice."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from study.figures.designs import Estimate
from study.figures.style import (
    BLUE,
    GREY,
    VERMILLION,
    literal,
    own_style,
    plain,
    plain_axes,
    shown_range,
    ticks_at_whole_numbers,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Standing = Literal["early", "full", "winner"]  # stopped early, trained to the end, chosen
# Each also has its own marker, so the figure does not rely on colour alone.
_LOOKS = {"early": (GREY, "x", 1), "full": (BLUE, "o", 2), "winner": (VERMILLION, "D", 3)}
_LETTERS = 16  # of all marks that fit below a small figure


@dataclass(frozen=True)
class Scale:
    """The axis of a parameter from 0 to 1: its name and where its marks are."""

    name: str
    marks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Track:
    """One trial across scales: a place (0..1) on each, or None if the trial has no such parameter."""

    places: Sequence[float | None]
    standing: Standing


@dataclass(frozen=True)
class Seeds:
    """A candidate's values on fresh seeds, with their mean and its interval."""

    estimate: Estimate
    values: Sequence[float]
    is_winner: bool


@own_style
def best_figure(places: Sequence[float], values: Sequence[float], *, along: str, metric: str) -> "Figure":
    """Draw the best value so far as a staircase.

    Args:
        places: The places of the improvements, and last the place where the search is now.
        values: The best value at each place.
        along: The label of the horizontal axis.
        metric: The name of the metric.
    """
    figure, axes = plain_axes()
    axes.plot(places, values, drawstyle="steps-post", color=BLUE, linewidth=2)
    axes.plot(places[:-1], values[:-1], "o", color=BLUE, markersize=4)
    axes.set_xlabel(along)
    axes.set_ylabel(f"best {with_unit(metric)}")
    return literal(figure)


@own_style
def parallel_figure(scales: Sequence[Scale], tracks: Sequence[Track]) -> "Figure":
    """Draw parallel coordinates with a row for each parameter, so long names fit; a missing parameter is a gap."""
    figure, axes = plain_axes()
    axes.grid(visible=False)
    for row, scale in enumerate(scales):
        axes.plot([0, 1], [row, row], color="#666666", linewidth=0.8, zorder=0)
        for place, label in scale.marks:
            axes.plot([place, place], [row - 0.08, row + 0.08], color="#666666", linewidth=0.8, zorder=0)
            side = "left" if place == 0 else "right" if place == 1 else "center"
            axes.text(place, row + 0.14, label, ha=side, va="top", color="#666666", zorder=4)
    for track in sorted(tracks, key=lambda t: _LOOKS[t.standing][2]):
        _draw_track(axes, track)
    axes.set_yticks(range(len(scales)), [scale.name for scale in scales])
    axes.set_ylim(len(scales) - 0.4, -0.4)  # the first parameter on top
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    return literal(figure)


def _draw_track(axes: "Axes", track: Track) -> None:
    colour, marker, order = _LOOKS[track.standing]
    is_winner = track.standing == "winner"
    places = [float("nan") if place is None else place for place in track.places]
    width, alpha = (2.4, 1.0) if is_winner else (0.7, 0.6)
    axes.plot(places, range(len(places)), color=colour, linewidth=width, alpha=alpha, zorder=order)
    alone = [row for row, place in enumerate(track.places) if place is not None and _is_alone(track.places, row)]
    dots = range(len(places)) if is_winner else alone
    axes.plot([places[row] for row in dots], list(dots), marker, color=colour, markersize=4, zorder=order)


def _is_alone(places: Sequence[float | None], row: int) -> bool:
    beside = [places[i] for i in (row - 1, row + 1) if 0 <= i < len(places)]
    return all(place is None for place in beside)


@own_style
def importance_figure(shares: Sequence[Estimate], by_chance: Collection[str] = ()) -> "Figure":
    """Draw the importance of each parameter as bars with intervals.

    Args:
        shares: The share of each parameter, 0 to 1; the first is drawn on top.
        by_chance: The labels of parameters with no more effect than chance, whose bars are grey.
    """
    figure, axes = plain_axes()
    axes.grid(visible=False, axis="y")
    for row, share in enumerate(shares):
        axes.barh(row, share.mean, height=0.6, color=GREY if share.label in by_chance else BLUE)
        if share.low is not None and share.high is not None:
            axes.plot([share.low, share.high], [row, row], color="black", linewidth=1.4)
    axes.set_yticks(range(len(shares)), [share.label for share in shares])
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=6)
    axes.xaxis.set_major_formatter(lambda share, _place: f"{100 * share:g} %")
    grey = "; grey: no more than chance gives" if by_chance else ""
    axes.set_xlabel(f"share of what decides the best trials{grey}")
    return literal(figure)


@own_style
def slice_figure(scale: Scale, points: Sequence[tuple[float, float, Standing]], *, direction: str) -> "Figure":
    """Draw a metric against one parameter, as one of many small figures; the axes have no labels.

    The worst tenth of the values may be outside the vertical axis.

    Args:
        scale: The axis of the parameter.
        points: For each trial, its place on the scale, its value, and its standing.
        direction: "maximize" or "minimize".
    """
    figure, axes = plain_axes()
    for standing, (colour, marker, order) in _LOOKS.items():
        xs = [place for place, _, kind in points if kind == standing]
        ys = [value for _, value, kind in points if kind == standing]
        fill = "none" if standing == "full" else "full"
        axes.plot(xs, ys, marker, color=colour, markersize=4.5 + order, fillstyle=fill, zorder=order, clip_on=True)
    axes.set_xticks([place for place, _ in scale.marks], [label for _, label in scale.marks])
    if sum(len(label) for _, label in scale.marks) > _LETTERS:
        axes.tick_params(axis="x", labelrotation=90)
    for text, (place, _) in zip(axes.get_xticklabels(), scale.marks, strict=True):
        text.set_horizontalalignment("left" if place == 0 else "right" if place == 1 else "center")
    axes.set_xlim(-0.06, 1.06)
    low, high = shown_range([value for _, value, _ in points], direction)
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))  # so no marker is cut off
    axes.locator_params(axis="y", nbins=4)
    return literal(figure)


@own_style
def rungs_figure(levels: Sequence[str], reached: Sequence[int], went_on: Sequence[int], *, unit: str) -> "Figure":
    """Draw how many trials reached each rung and how many continued past it, as two bars with counts.

    Args:
        levels: The name of each rung.
        reached: The number of trials that reached each rung.
        went_on: The number of those that continued past it.
        unit: The unit of the fidelity.
    """
    figure, axes = plain_axes()
    axes.grid(visible=False)
    for counts, colour, shift, label in ((reached, GREY, -0.2, "reached it"), (went_on, BLUE, 0.2, "went on past it")):
        places = [place + shift for place in range(len(counts))]
        axes.bar(places, counts, width=0.38, color=colour, label=label)
        for place, count in zip(places, counts, strict=True):
            axes.text(place, count, str(count), ha="center", va="bottom")
    axes.set_xticks(range(len(levels)), levels)
    axes.set_xlabel(f"rung, at so many {unit}")
    axes.set_ylabel("trials")
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0)
    ticks_at_whole_numbers(axes.yaxis, max(reached))
    axes.legend(frameon=False, loc="upper right")
    return literal(figure)


@own_style
def candidates_figure(candidates: Sequence[Seeds], *, metric: str) -> "Figure":
    """Draw candidates on fresh seeds, one row each: every seed's value as a small dot, the mean and its interval."""
    figure, axes = plain_axes()
    axes.grid(visible=False, axis="y")
    for row, candidate in enumerate(candidates):
        colour, marker = (VERMILLION, "D") if candidate.is_winner else (BLUE, "o")
        found = candidate.estimate
        axes.plot(candidate.values, [row + 0.18] * len(candidate.values), ".", color="#666666", markersize=5)
        if found.low is not None and found.high is not None:
            axes.plot([found.low, found.high], [row, row], color=colour, linewidth=2)
        axes.plot(found.mean, row, marker, color=colour, markersize=7)
    axes.set_yticks(range(len(candidates)), [candidate.estimate.label for candidate in candidates])
    axes.set_ylim(len(candidates) - 0.5, -0.5)
    axes.set_xlabel(with_unit(metric))
    axes.locator_params(axis="x", nbins=5)
    plain(axes)
    axes.grid(visible=False, axis="y")
    return literal(figure)
