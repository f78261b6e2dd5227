"""The search benchmark as one figure: regret over simulated time on each task, and mean rank over all tasks."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd
from regret import final_regrets, mean_ranks

from study.figures.style import PALETTE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (*PALETTE, "#777777")
DASHES = ("-", "--", ":")
LABEL_HEIGHT = 0.045  # of the axis: the height of a line of text


def search_figure(frame: pd.DataFrame) -> "Figure":
    """Draw four panels of regret on the left, and the panel of ranks, with named lines, on the right.

    The first arm of the table is emphasized, since the others are compared with it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 6.4), dpi=130, layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 1.45))
    looks = {
        arm: {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": DASHES[place % len(DASHES)],
            "linewidth": 1.4 if place else 2.4,
            "zorder": 2 if place else 3,
        }
        for place, arm in enumerate(frame["arm"].unique())
    }
    for place, (task, rows) in enumerate(frame.groupby("task", sort=False)):
        axes = figure.add_subplot(grid[place // 2, place % 2])
        _draw_regrets(axes, rows, looks)
        axes.set_title(str(task).replace("_", " "), fontsize=10)
    _draw_ranks(figure.add_subplot(grid[:, 2]), frame, looks)
    seeds = frame["seed"].nunique()
    title = f"Regret (mean squared error, median of {seeds} seeds) and mean rank over simulated time, four workers"
    figure.suptitle(f"{title}; bars: 95 % intervals at the end", x=0.01, ha="left", fontsize=11)
    return figure


def _draw_regrets(axes: "Axes", rows: pd.DataFrame, looks: dict[str, Any]) -> None:
    """Draw medians over seeds on a logarithmic axis, and their intervals next to the end."""
    last = rows["time"].max() / 60
    ends = final_regrets(rows).droplevel("task")
    for place, (arm, look) in enumerate(looks.items()):
        medians = rows[rows["arm"] == arm].groupby("time")["regret"].median()
        axes.plot(medians.index / 60, medians.where(medians.map(math.isfinite)), **look)
        bar = last * (1.03 + 0.025 * place)
        axes.plot([bar, bar], ends.loc[arm, ["low", "high"]], color=look["color"], linewidth=2)
    axes.set_yscale("log", nonpositive="clip")
    axes.set_xlabel("simulated time (minutes)", fontsize=9)
    axes.set_ylabel("regret", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.01)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= last])
    plain(axes)


def _draw_ranks(axes: "Axes", frame: pd.DataFrame, looks: dict[str, Any]) -> None:
    """Draw mean ranks over tasks and seeds, and label each line at its end."""
    ends = mean_ranks(frame)
    names = list(looks)
    shown = [*frame.groupby(["arm", "share"])["rank"].mean(), *ends["end low"], *ends["end high"]]
    lowest, highest = min(shown) - 0.2, max(shown) + 0.2
    heights = _apart([ends.loc[arm, "at the end"] for arm in names], LABEL_HEIGHT * (highest - lowest))
    for place, (arm, look) in enumerate(looks.items()):
        means = frame[frame["arm"] == arm].groupby("share")["rank"].mean()
        axes.plot(means.index, means, **look)
        bar = 1.015 + 0.015 * place
        axes.plot([bar] * 2, ends.loc[arm, ["end low", "end high"]], color=look["color"], linewidth=2)
        start, height = 1.03 + 0.015 * len(names), heights[place]
        axes.plot([bar, start], [ends.loc[arm, "at the end"], height], color=look["color"], linewidth=0.5)
        axes.text(start + 0.01, height, arm, color=look["color"], fontsize=9, va="center")
    axes.set_xlim(0, 1.03 + 0.015 * len(names) + 0.5)
    axes.set_ylim(highest, lowest)  # the best on top
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("share of the budget", fontsize=9)
    axes.set_ylabel("mean rank over all tasks (1 is best)", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_title("ranks", fontsize=10)
    plain(axes)


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """Return heights in the same order, moved in simple passes until neighbours are `least` apart."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    moved = [heights[place] for place in order]
    for _ in range(100):
        for i, (upper, lower) in enumerate(pairwise(moved)):
            if lower - upper < least - 1e-9:
                middle = (upper + lower) / 2
                moved[i], moved[i + 1] = middle - least / 2, middle + least / 2
    found = dict(zip(order, moved, strict=True))
    return [found[place] for place in range(len(heights))]
