"""Figures of a model: its layers at initialization, and its confusions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from study.figures.style import PALETTE, literal, own_style, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from study.layers import LayerStatistics


@own_style
def layers_figure(runs: "Mapping[str, Sequence[LayerStatistics]]", *, title: str) -> "Figure":
    """Draw the spread of activations and weight gradients over the layers, with a line for each named run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.6), dpi=150, layout="constrained")
    activations, gradients = figure.subplots(1, 2)
    for place, (label, layers) in enumerate(runs.items()):
        names = [layer.name for layer in layers]
        look = {"marker": "osv^D"[place % 5], "color": PALETTE[place % len(PALETTE)], "markersize": 4, "label": label}
        activations.plot(names, [layer.activation_std for layer in layers], **look)
        gradients.plot(names, [layer.gradient_std for layer in layers], **look)
    activations.set_ylabel("std of activations (logarithmic)")
    gradients.set_ylabel("std of weight gradients (logarithmic)")
    for axes in (activations, gradients):
        axes.set_yscale("log")
        axes.set_xlabel("layer, from input to output")
        axes.tick_params(axis="x", labelrotation=90, labelsize=8)
        plain(axes)
    activations.legend(frameon=False, fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return literal(figure)


@own_style
def confusion_figure(counts: np.ndarray, *, title: str) -> "Figure":
    """Draw the confusions of a model; colour shows the errors alone.

    Args:
        counts: Images, shape (classes, classes), with true classes in rows.
        title: The title of the figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    classes = range(len(counts))
    errors = np.ma.masked_array(counts, mask=np.eye(len(counts), dtype=bool))
    most = max(1, int(errors.max()))
    figure = Figure(figsize=(5.6, 4.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(errors, cmap="Blues", vmin=0, vmax=most)
    axes.set_facecolor("#EEEEEE")  # shows where the mask is: the diagonal of right answers
    for row in classes:
        for column in classes:
            if counts[row, column]:
                is_dark = row != column and counts[row, column] > 0.6 * most
                colour = "white" if is_dark else "black"
                axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(classes)
    axes.set_yticks(classes)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.colorbar(shown, ax=axes, label="wrong answers (images)", ticks=MaxNLocator(integer=True), shrink=0.8)
    axes.set_title(title, loc="left", fontsize=10)
    return literal(figure)
