"""Figures as matplotlib objects: every axis labelled with its unit, legible in print and for colour-blind readers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from study.measurement import Measurement
    from study.range_test import LrRange

# Okabe and Ito, Color Universal Design, 2008: blue, vermillion and green that differ for all kinds of sight.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#BBBBBB"
PALETTE = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "black")


@dataclass(frozen=True)
class Curve:
    """One trial's metric over its fidelity."""

    label: str
    fidelity: Sequence[float]
    values: Sequence[float]
    is_kept: bool  # False for a trial that was pruned or still waits at a rung


def learning_curves(
    curves: Sequence[Curve], winner: str | None, *, metric: str, direction: str, unit: str, title: str
) -> "Figure":
    """All curves of a sweep: those stopped early grey, those trained to the end blue, the winner in vermillion.

    The vertical axis leaves out the worst tenth of all values, where untrained models would flatten the rest.
    """
    figure, axes = _plain_axes()
    for curve in sorted(curves, key=lambda c: (c.label == winner, c.is_kept)):
        colour = VERMILLION if curve.label == winner else BLUE if curve.is_kept else GREY
        width, order = (2.4, 3) if curve.label == winner else (1.4, 2) if curve.is_kept else (1.0, 1)
        style = "-" if curve.is_kept else "--"
        axes.plot(curve.fidelity, curve.values, style, marker=".", color=colour, linewidth=width, zorder=order)
    _legend(axes, curves, winner)
    axes.set_ylim(*_shown_range([value for curve in curves for value in curve.values], direction))
    axes.set_xlabel(f"training seen ({unit})")
    axes.set_ylabel(_with_unit(metric))
    axes.set_title(title, loc="left", fontsize=10)
    return figure


def training_curves(measurements: "Sequence[Measurement]", *, title: str) -> "Figure":
    """One run: loss and accuracy on training and validation images over the epochs, and the learning rate below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.4), dpi=150, layout="constrained")
    places = figure.subplot_mosaic([["loss", "accuracy"], ["rate", "rate"]], height_ratios=(3, 1))
    losses, accuracies, rates = places["loss"], places["accuracy"], places["rate"]
    epochs = [m.fidelity for m in measurements]
    for axes, name, unit in ((losses, "loss", "cross entropy, nats"), (accuracies, "accuracy", "0 to 1")):
        for part, colour, style in (("train", BLUE, "--"), ("validation", VERMILLION, "-")):
            values = [m.values[f"{part}_{name}"] for m in measurements]
            axes.plot(epochs, values, style, marker=".", color=colour, label=part)
        axes.set_ylabel(f"{name} ({unit})")
        axes.legend(frameon=False, fontsize=8)
    rates.plot(epochs, [m.values["learning_rate"] for m in measurements], marker=".", color="black")
    rates.set_ylabel("learning rate")
    for axes in (losses, accuracies, rates):
        axes.set_xlabel("training seen (epochs)")
        _plain(axes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its confidence interval, None where there is one seed alone."""

    label: str
    mean: float
    low: float | None
    high: float | None


def differences_figure(
    panels: "Sequence[tuple[str, Sequence[Estimate]]]", *, reference: str, metric: str, better: str, title: str
) -> "Figure":
    """Paired differences from a reference, a panel for each protocol; clear ones stand out."""
    from matplotlib.figure import Figure

    rows = max(len(estimates) for _, estimates in panels)
    figure = Figure(figsize=(3.0 + 3.6 * len(panels), 1.8 + 0.27 * rows), dpi=150, layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (protocol, estimates) in zip(all_axes, panels, strict=True):
        axes.axvline(0, color="black", linewidth=0.8)
        for place, estimate in enumerate(estimates):
            _draw_estimate(axes, estimate, place, rises=better == "higher")
        axes.set_yticks(range(len(estimates)), [estimate.label for estimate in estimates], fontsize=8)
        axes.set_xlabel(f"{metric.replace('_', ' ')} minus that of {reference}\n({better} is better)", fontsize=9)
        axes.set_title(protocol, fontsize=9)
        axes.locator_params(axis="x", nbins=6)
        axes.tick_params(axis="x", labelsize=8)
        _plain(axes)
    all_axes[0].invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _draw_estimate(axes: "Axes", estimate: Estimate, place: int, *, rises: bool) -> None:
    """Blue is better, vermillion worse, black what may be either."""
    low, high = estimate.low, estimate.high
    is_clear = low is not None and high is not None and not low <= 0 <= high
    colour = "black" if not is_clear else BLUE if (estimate.mean > 0) == rises else VERMILLION
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=colour, linewidth=2.0 if is_clear else 1.0)
    marker = "o" if not is_clear else "^" if estimate.mean > 0 else "v"
    axes.plot(estimate.mean, place, marker, color=colour, markersize=6, fillstyle="full" if is_clear else "none")


@dataclass(frozen=True)
class Bundle:
    """The curves of one cell on several seeds, over epochs or seconds of training."""

    label: str
    places: Sequence[Sequence[float]]
    values: Sequence[Sequence[float]]


def bundles_figure(
    panels: "Sequence[tuple[str, Sequence[Bundle]]]", *, metric: str, direction: str, units: Sequence[str], title: str
) -> "Figure":
    """Every run of a few cells, a panel for each protocol: a colour and a dash for each cell, a line for each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.0 + 4.2 * len(panels), 4.2), dpi=150, layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (protocol, bundles), unit in zip(all_axes, panels, units, strict=True):
        for place, bundle in enumerate(bundles):
            colour, style = PALETTE[place % len(PALETTE)], ("-", "--", ":")[place // len(PALETTE) % 3]
            for run, (xs, ys) in enumerate(zip(bundle.places, bundle.values, strict=True)):
                label = bundle.label if run == 0 else None
                axes.plot(xs, ys, style, marker=".", color=colour, linewidth=1.2, label=label)
        axes.set_xlabel(f"training ({unit})")
        axes.set_title(protocol, fontsize=9)
        axes.legend(frameon=False, fontsize=8)
        _plain(axes)
    shown = [y for _, bundles in panels for bundle in bundles for ys in bundle.values for y in ys]
    all_axes[0].set_ylim(*_shown_range(shown, direction))
    all_axes[0].set_ylabel(_with_unit(metric))
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def ranks_figure(ranks: "Sequence[tuple[str, int, int]]", *, left: str, right: str, title: str) -> "Figure":
    """How the ranking changes between two protocols: a line for each cell, blue if it rises, vermillion if it falls."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 1.6 + 0.28 * len(ranks)), dpi=150, layout="constrained")
    axes = figure.subplots()
    # Equal means share a rank: their names would lie on each other, so that the next free line is taken.
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
    axes.set_ylabel("rank by mean (1 is best)")
    axes.invert_yaxis()
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)
    return figure


def _lines(ranks: Sequence[int]) -> list[int]:
    """A line of its own for each rank, in their order."""
    order = sorted(range(len(ranks)), key=lambda i: (ranks[i], i))
    return [order.index(i) + 1 for i in range(len(ranks))]


def lr_range_figure(result: "LrRange", *, title: str) -> "Figure":
    """A range test: the loss over the learning rate, the bounds for a search as a band, and both suggestions."""
    figure, axes = _plain_axes()
    axes.axvspan(result.low, result.high, color=GREEN, alpha=0.12, linewidth=0)
    axes.plot(result.rates, result.losses, ".", color=GREY, markersize=4, label="loss of each step")
    axes.plot(result.rates, result.smoothed, color=BLUE, linewidth=2, label="smoothed")
    for rate, name, colour, style in (
        (result.steepest, "steepest descent", VERMILLION, "--"),
        (result.valley, "valley", "black", ":"),
    ):
        axes.axvline(rate, color=colour, linestyle=style, label=f"{name}: {rate:.2g}")
    axes.fill_between([], [], color=GREEN, alpha=0.12, label=f"to search: {result.low:.2g} to {result.high:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate (per step, logarithmic)")
    axes.set_ylabel("training loss (cross entropy, nats)")
    end = "" if result.diverged is None else f"; diverged at {result.diverged:.2g}"
    axes.set_title(title + end, loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="best")
    return figure


def _plain_axes() -> "tuple[Figure, Axes]":
    """One plot of the size and style that all figures share."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    _plain(axes)
    return figure, axes


def _with_unit(metric: str) -> str:
    """A metric's name for an axis."""
    unit = " (0 to 1)" if metric.endswith("accuracy") else " (nats)" if metric.endswith("loss") else ""
    return metric.replace("_", " ") + unit


def _plain(axes: "Axes") -> None:
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: object, curves: Sequence[Curve], winner: str | None) -> None:
    from matplotlib.lines import Line2D

    kept = sum(curve.is_kept for curve in curves)
    entries = [
        Line2D([], [], color=GREY, linestyle="--", label=f"stopped early ({len(curves) - kept} trials)"),
        Line2D([], [], color=BLUE, label=f"trained to the end ({kept} trials)"),
    ]
    if winner is not None:
        entries.append(Line2D([], [], color=VERMILLION, linewidth=2.4, label=f"chosen on fresh seeds (trial {winner})"))
    axes.legend(handles=entries, frameon=False, fontsize=8, loc="best")  # type: ignore[attr-defined]


def _shown_range(values: Sequence[float], direction: str) -> tuple[float, float]:
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return 0.0, 1.0
    worst = len(finite) // 10
    low, high = (finite[worst], finite[-1]) if direction == "maximize" else (finite[0], finite[-1 - worst])
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin
