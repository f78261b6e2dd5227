"""Figures of the cells of a design on common seeds: paired differences, every run, and ranks under two protocols."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.figures.style import (
    BLUE,
    PALETTE,
    VERMILLION,
    legend,
    literal,
    note_hidden,
    own_style,
    plain,
    shown_range,
    ticks_at_whole_numbers,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the bounds of its confidence interval, None if they are not known, as for one seed."""

    label: str
    mean: float
    low: float | None
    high: float | None


@own_style
def differences_figure(
    panels: "Sequence[tuple[str, Sequence[Estimate]]]",
    *,
    labels: Sequence[str],
    reference: str,
    metric: str,
    better: str,
    title: str,
) -> "Figure":
    """Draw paired differences from a reference, with a panel for each protocol; clear differences stand out.

    Args:
        panels: For each panel, its title and the estimates.
        labels: The labels of the rows, common to all panels; a row without an estimate stays empty.
        reference: The name of the reference.
        metric: The name of the metric.
        better: "higher" or "lower".
        title: The title of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.0 + 3.6 * len(panels), 1.8 + 0.27 * len(labels)), dpi=150, layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (protocol, estimates) in zip(all_axes, panels, strict=True):
        axes.axvline(0, color="black", linewidth=0.8)
        for estimate in estimates:
            _draw_estimate(axes, estimate, labels.index(estimate.label), rises=better == "higher")
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set_ylim(len(labels) - 0.5, -0.5)  # the first row on top
        axes.set_xlabel(f"{metric.replace('_', ' ')} minus that of {reference}\n({better} is better)", fontsize=9)
        axes.set_title(protocol, fontsize=9)
        axes.locator_params(axis="x", nbins=6)
        axes.tick_params(axis="x", labelsize=8)
        plain(axes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return literal(figure)


def _draw_estimate(axes: "Axes", estimate: Estimate, place: int, *, rises: bool) -> None:
    """Draw an estimate in blue if it is clearly better, vermillion if clearly worse, and black otherwise."""
    low, high = estimate.low, estimate.high
    is_clear = low is not None and high is not None and low < high and not low <= 0 <= high
    colour = "black" if not is_clear else BLUE if (estimate.mean > 0) == rises else VERMILLION
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=colour, linewidth=2.0 if is_clear else 1.0)
    marker = "o" if not is_clear else "^" if estimate.mean > 0 else "v"
    axes.plot(estimate.mean, place, marker, color=colour, markersize=6, fillstyle="full" if is_clear else "none")


@dataclass(frozen=True)
class Bundle:
    """The curves of one cell, one for each seed, over epochs or seconds of training."""

    label: str
    places: Sequence[Sequence[float]]
    values: Sequence[Sequence[float]]


@own_style
def bundles_figure(
    panels: "Sequence[tuple[str, Sequence[Bundle]]]", *, metric: str, direction: str, units: Sequence[str], title: str
) -> "Figure":
    """Draw every run of a few cells, with a panel for each protocol.

    Each cell has its own colour and line style, and each seed its own line.

    Args:
        panels: For each panel, its title and the cells.
        metric: The name of the metric.
        direction: "maximize" or "minimize".
        units: For each panel, the unit of its horizontal axis.
        title: The title of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.0 + 4.2 * len(panels), 4.2), dpi=150, layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (protocol, bundles), unit in zip(all_axes, panels, units, strict=True):
        lines: dict[str, Artist] = {}
        for place, bundle in enumerate(bundles):
            colour, style = PALETTE[place % len(PALETTE)], ("-", "--", ":")[place // len(PALETTE) % 3]
            for run, (xs, ys) in enumerate(zip(bundle.places, bundle.values, strict=True)):
                (line,) = axes.plot(xs, ys, style, marker=".", color=colour, linewidth=1.2)
                if run == 0:
                    lines[bundle.label] = line
        axes.set_xlabel(f"training ({unit})")
        if unit != "seconds":
            ticks_at_whole_numbers(
                axes.xaxis, max((x for bundle in bundles for xs in bundle.places for x in xs), default=0)
            )
        axes.set_title(protocol, fontsize=9)
        legend(axes, lines)
        plain(axes)
    shown = [y for _, bundles in panels for bundle in bundles for ys in bundle.values for y in ys]
    limits = shown_range(shown, direction)
    all_axes[0].set_ylim(*limits)
    for axes, (_, bundles) in zip(all_axes, panels, strict=True):
        note_hidden(axes, [y for bundle in bundles for ys in bundle.values for y in ys], limits)
    all_axes[0].set_ylabel(with_unit(metric))
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return literal(figure)


@own_style
def ranks_figure(ranks: "Sequence[tuple[str, int, int]]", *, left: str, right: str, title: str) -> "Figure":
    """Draw how ranks change between two protocols: a line for each cell, blue if it rises, vermillion if it falls.

    Args:
        ranks: For each cell, its name and its ranks under the left and the right protocol; 1 is best.
        left: The name of the left protocol.
        right: The name of the right protocol.
        title: The title of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 1.6 + 0.28 * len(ranks)), dpi=150, layout="constrained")
    axes = figure.subplots()
    # Cells with equal means share a rank, and their names would overlap, so each takes the next free line.
    lefts, rights = _lines([before for _, before, _ in ranks]), _lines([after for _, _, after in ranks])
    for (label, before, after), start, end in zip(ranks, lefts, rights, strict=True):
        colour = "#666666" if after == before else BLUE if after < before else VERMILLION
        style, width = ("--", 1) if after == before else ("-", 2)
        axes.plot([0, 1], [start, end], style, marker="o", color=colour, linewidth=width)
        axes.text(-0.03, start, f"{label}  {before}", ha="right", va="center", fontsize=8, color=colour)
        axes.text(1.03, end, f"{after}  {label}", ha="left", va="center", fontsize=8, color=colour)
    axes.set_xticks([0, 1], [left, right], fontsize=9)
    axes.set_xlabel("protocol")
    axes.set_xlim(-0.75, 1.75)
    axes.set_yticks([])
    axes.set_ylabel("rank (1 is best)")
    axes.invert_yaxis()
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)
    return literal(figure)


def _lines(ranks: Sequence[int]) -> list[int]:
    """Return a separate line for each rank, numbered from 1 in the order of the ranks."""
    order = sorted(range(len(ranks)), key=lambda i: (ranks[i], i))
    return [order.index(i) + 1 for i in range(len(ranks))]
