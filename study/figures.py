"""Figures as matplotlib objects: every axis labelled with its unit, legible in print and for colour-blind readers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design, 2008: blue, vermillion and green that differ for all kinds of sight.
BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#BBBBBB"


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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for curve in sorted(curves, key=lambda c: (c.label == winner, c.is_kept)):
        colour = VERMILLION if curve.label == winner else BLUE if curve.is_kept else GREY
        width, order = (2.4, 3) if curve.label == winner else (1.4, 2) if curve.is_kept else (1.0, 1)
        style = "-" if curve.is_kept else "--"
        axes.plot(curve.fidelity, curve.values, style, marker=".", color=colour, linewidth=width, zorder=order)
    _legend(axes, curves, winner)
    axes.set_ylim(*_shown_range([value for curve in curves for value in curve.values], direction))
    axes.set_xlabel(f"training seen ({unit})")
    axes.set_ylabel(f"{metric.replace('_', ' ')} (0 to 1)" if metric.endswith("accuracy") else metric.replace("_", " "))
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color="#EEEEEE")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


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
