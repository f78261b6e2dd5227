"""Figure of the regret of searches: how far each search's best so far was behind the best of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.figures.style import PALETTE, literal, own_style, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLES = ("-", "--", ":")


@dataclass(frozen=True)
class Descent:
    """The regret of one search at increasing places of its course; each value holds until the next place."""

    label: str
    places: Sequence[float]
    regrets: Sequence[float]


@own_style
def regret_figure(
    panels: "Sequence[tuple[str, Sequence[Descent]]]", *, metric: str, reference: str, title: str
) -> "Figure":
    """Draw steps of regret on a logarithmic axis, with a panel for each course; zero regret is at the axis's foot.

    Args:
        panels: For each panel, the label of its horizontal axis and the searches.
        metric: The name of the metric.
        reference: The value from which regret is measured, in words.
        title: The title of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.0 + 4.2 * len(panels), 4.2), dpi=150, layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    above = [regret for _, descents in panels for descent in descents for regret in descent.regrets if regret > 0]
    foot, top = (min(above) / 2, max(above) * 1.3) if above else (0.1, 1.0)
    for axes, (label, descents) in zip(all_axes, panels, strict=True):
        for place, descent in enumerate(descents):
            colour, style = PALETTE[place % len(PALETTE)], _STYLES[place // len(PALETTE) % len(_STYLES)]
            heights = [max(regret, foot) for regret in descent.regrets]
            axes.step(descent.places, heights, style, where="post", color=colour, linewidth=1.8, label=descent.label)
            axes.plot(descent.places[-1:], heights[-1:], "o", color=colour, markersize=5, clip_on=False)
        axes.set_yscale("log")
        axes.set_ylim(foot, top)
        axes.set_xlim(left=0)
        axes.set_xlabel(label)
        plain(axes)
    all_axes[0].set_ylabel(f"regret in {metric.replace('_', ' ')} (logarithmic;\nat the foot: none)")
    all_axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"{title}\nregret to {reference}; a point is where a sweep stands", x=0.01, ha="left", fontsize=10)
    return literal(figure)
