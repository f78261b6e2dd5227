"""The pruner benchmark as one figure: the time of each pruner as a multiple of the reference's."""

from typing import TYPE_CHECKING

import pandas as pd

from study.figures.style import BLUE, GREY, VERMILLION, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pruner_figure(ratios: pd.DataFrame) -> "Figure":
    """Draw a row for each pruner, fastest on top: its ratio of times with the 95 % interval, ours in blue."""
    from matplotlib.figure import Figure

    ordered = ratios.sort_values("ratio", ascending=False)
    figure = Figure(figsize=(8.4, 0.36 * len(ordered) + 1.2), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(1.0, color=GREY, linewidth=1)
    for place, (arm, row) in enumerate(ordered.iterrows()):
        colour = BLUE if str(arm).startswith("ours") else VERMILLION
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2)
        axes.plot(row["ratio"], place, "o", color=colour, markersize=6)
        axes.annotate(f"{row['ratio']:.2f}", (row["high"], place), (6, -3), textcoords="offset points", fontsize=8)
    axes.set_yticks(range(len(ordered)), list(ordered.index), fontsize=9)
    axes.set_xscale("log")
    ticks = [0.25, 0.5, 1, 2, 4]
    low, high = ratios["low"].min() / 1.2, ratios["high"].max() * 1.4
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(shown, [f"{tick:g}×" for tick in shown])
    axes.minorticks_off()
    axes.set_xlim(low, high)
    axes.set_xlabel("time until a good configuration is recommended for good, ours as it comes = 1", fontsize=9)
    plain(axes)
    return figure
