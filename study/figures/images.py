"""Figures that show images: a grid of samples, and the images with the highest loss of a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from study.figures.style import literal, own_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from study.data import Split
    from study.predictions import Predictions

_GAP = 2  # pixels between images
_COLUMNS = 6


@own_style
def image_grid(rows: "Sequence[tuple[str, np.ndarray]]", *, down: str, across: str, title: str) -> "Figure":
    """Draw a grid of images.

    Args:
        rows: For each row, its name and its images, shape (n, channels, height, width), uint8 or 0..1; n is the same in
            all rows.
        down: The label of the vertical axis.
        across: The label of the horizontal axis.
        title: The title of the figure.
    """
    from matplotlib.figure import Figure

    tiles = [[_shown(image) for image in images] for _, images in rows]
    height, width = tiles[0][0].shape[:2]
    columns = len(tiles[0])
    sheet = np.ones((len(rows) * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3))
    for row, line in enumerate(tiles):
        for column, tile in enumerate(line):
            top, left = row * (height + _GAP), column * (width + _GAP)
            sheet[top : top + height, left : left + width] = tile
    figure = Figure(figsize=(1.6 + 0.6 * columns, 0.9 + 0.6 * len(rows)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, interpolation="nearest")
    axes.set_yticks([row * (height + _GAP) + height / 2 for row in range(len(rows))], [name for name, _ in rows])
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.set_ylabel(down)
    axes.set_xlabel(across)
    axes.set_title(title, loc="left", fontsize=10)
    return literal(figure)


@own_style
def worst_images(split: "Split", predictions: "Predictions", *, count: int, title: str) -> "Figure":
    """Draw the `count` images of a split with the highest loss, each with its true class, the answer, and the loss."""
    from matplotlib.figure import Figure

    lines = -(-count // _COLUMNS)
    figure = Figure(figsize=(7.2, 0.35 + 1.5 * lines), dpi=150, layout="constrained")
    all_axes = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axes in all_axes:
        axes.set_axis_off()
    for axes, place in zip(all_axes, predictions.worst(count), strict=False):
        axes.imshow(_shown(split.images[place]), interpolation="nearest")
        true, answer, loss = predictions.labels[place], predictions.predicted[place], predictions.losses[place]
        axes.set_title(f"is {true}, said {answer}\n{loss:.1f} nats", fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return literal(figure)


def _shown(image: np.ndarray) -> np.ndarray:
    """Return an image of shape (channels, height, width) as (height, width, 3) in 0..1."""
    scaled = image / 255 if image.dtype == np.uint8 else image
    return np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0)
