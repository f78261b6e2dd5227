"""Figures of the course of training: the curves of a sweep, of one run, and of a range test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.figures.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    literal,
    note_hidden,
    own_style,
    plain,
    plain_axes,
    shown_range,
    ticks_at_whole_numbers,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from study.measurement import Measurement
    from study.range_test import LrRange


@dataclass(frozen=True)
class Curve:
    """The metric of one trial over its fidelity."""

    label: str
    fidelity: Sequence[float]
    values: Sequence[float]
    is_kept: bool  # False for a trial that was pruned or still waits at a rung


@own_style
def learning_curves(
    curves: Sequence[Curve], winner: str | None, *, metric: str, direction: str, unit: str, title: str
) -> "Figure":
    """Draw the learning curves of a sweep.

    Trials stopped early are grey and dashed, those trained to the end blue, and the winner vermillion. The vertical
    axis leaves out the worst tenth of all values, since untrained models would flatten the rest.

    Args:
        curves: The curves of the trials.
        winner: The label of the winner's curve, or None.
        metric: The name of the metric.
        direction: "maximize" or "minimize".
        unit: The unit of the fidelity.
        title: The title of the figure.
    """
    figure, axes = plain_axes()
    for curve in sorted(curves, key=lambda c: (c.label == winner, c.is_kept)):
        colour = VERMILLION if curve.label == winner else BLUE if curve.is_kept else GREY
        width, order = (2.4, 3) if curve.label == winner else (1.4, 2) if curve.is_kept else (1.0, 1)
        style = "-" if curve.is_kept else "--"
        axes.plot(curve.fidelity, curve.values, style, marker=".", color=colour, linewidth=width, zorder=order)
    _legend(axes, curves, winner)
    values = [value for curve in curves for value in curve.values]
    limits = shown_range(values, direction)
    axes.set_ylim(*limits)
    note_hidden(axes, values, limits)
    axes.set_xlabel(f"training seen ({unit})")
    ticks_at_whole_numbers(axes.xaxis, max((x for curve in curves for x in curve.fidelity), default=0))
    axes.set_ylabel(with_unit(metric))
    axes.set_title(title, loc="left", fontsize=10)
    return literal(figure)


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


@own_style
def training_curves(measurements: "Sequence[Measurement]", *, title: str) -> "Figure":
    """Draw one run: training and validation loss and accuracy over the epochs, and the learning rate below."""
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
    rates.set_ylabel("learning rate (per step)", fontsize=8)
    for axes in (losses, accuracies, rates):
        axes.set_xlabel("training seen (epochs)")
        ticks_at_whole_numbers(axes.xaxis, max(epochs, default=0))
        plain(axes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return literal(figure)


@own_style
def lr_range_figure(result: "LrRange", *, title: str) -> "Figure":
    """Draw a range test: the loss over the learning rate, the bounds for a search as a band, and both suggestions."""
    figure, axes = plain_axes()
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
    return literal(figure)
