"""Figure of the shares of a whole as bars, the largest on top."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from study.figures.style import BLUE, literal, own_style, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@own_style
def shares_figure(parts: Mapping[str, float], *, unit: str, title: str) -> "Figure":
    """Draw a bar for each part of a whole, in the given unit, labelled with its share."""
    whole = sum(parts.values())
    shown = sorted(parts.items(), key=lambda part: part[1])
    figure, axes = plain_axes()
    bars = axes.barh([name for name, _ in shown], [size for _, size in shown], color=BLUE)
    axes.bar_label(bars, [f"{size / whole:.1%}" for _, size in shown], padding=4, fontsize=8)
    axes.set_xlabel(f"{unit} (of {whole:.0f} {unit})")
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return literal(figure)
