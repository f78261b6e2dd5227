"""Figures: every axis says what it shows, and each number and image is where the reader looks for it."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from study.data import Split
from study.figures import confusion_figure, image_grid, layers_figure, lr_range_figure, training_curves, worst_images
from study.layers import LayerStatistics
from study.measurement import Measurement
from study.predictions import Predictions
from study.range_test import LrRange

BLACK, WHITE = np.zeros((2, 1, 28, 28)), np.ones((2, 1, 28, 28))


def layers(*stds: float) -> list[LayerStatistics]:
    return [LayerStatistics(f"conv {n}", "conv", (1,), 1, 0.0, std, std / 10) for n, std in enumerate(stds, start=1)]


def measured() -> list[Measurement]:
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")
    return [Measurement(n, n, float(n), float(n), dict.fromkeys(names, 0.5)) for n in (1, 2)]


def two_images() -> tuple[Split, Predictions]:
    images = np.stack([np.zeros((1, 28, 28)), np.full((1, 28, 28), 255)]).astype(np.uint8)
    labels = np.array([7, 2])
    return Split(images, labels), Predictions(labels, np.array([7, 1]), np.array([0.01, 3.25], dtype=np.float32), 10)


FIGURES: dict[str, Callable[[], Figure]] = {
    "confusion": lambda: confusion_figure(np.eye(3, dtype=int), title="t"),
    "grid": lambda: image_grid([("black", BLACK), ("white", WHITE)], down="rows", across="columns", title="t"),
    "layers": lambda: layers_figure({"kaiming": layers(1.0, 2.0)}, title="t"),
    "range": lambda: lr_range_figure(LrRange((0.1, 0.2), (2.0, 1.0), (2.0, 1.0), 0.1, 0.1, 0.1, 0.2, None), title="t"),
    "training": lambda: training_curves(measured(), title="t"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_says_what_it_shows(name: str) -> None:
    for axes in FIGURES[name]().axes:
        is_colour_bar = axes.get_label() == "<colorbar>"
        assert axes.get_ylabel()
        assert axes.get_xlabel() or is_colour_bar


def test_a_grid_has_a_name_and_its_images_in_each_row() -> None:
    axes = FIGURES["grid"]().axes[0]
    sheet = np.asarray(axes.images[0].get_array())

    assert [text.get_text() for text in axes.get_yticklabels()] == ["black", "white"]
    assert sheet.shape == (58, 58, 3)
    assert not sheet[:28, :28].any()
    assert not sheet[:28, 30:].any()
    assert (sheet[30:, :] == 1).all()


def test_a_grid_shows_bytes_and_shares_alike_and_three_channels_in_colour() -> None:
    red = np.zeros((1, 3, 32, 32), dtype=np.uint8)
    red[:, 0] = 255
    figure = image_grid([("bytes", red), ("shares", red / 255)], down="rows", across="columns", title="t")
    sheet = np.asarray(figure.axes[0].images[0].get_array())

    assert sheet[0, 0].tolist() == [1, 0, 0]
    assert np.array_equal(sheet[:32], sheet[-32:])


def test_layers_are_drawn_for_each_run_in_a_colour_and_a_mark_of_its_own() -> None:
    figure = layers_figure({"kaiming": layers(1.0, 2.0), "xavier": layers(1.0, 0.5)}, title="t")
    activations, gradients = figure.axes

    assert [line.get_ydata().tolist() for line in activations.lines] == [[1.0, 2.0], [1.0, 0.5]]
    assert [line.get_ydata().tolist() for line in gradients.lines] == [[0.1, 0.2], [0.1, 0.05]]
    assert len({(line.get_color(), line.get_marker()) for line in activations.lines}) == 2
    assert activations.get_yscale() == gradients.get_yscale() == "log"


def test_confusions_show_each_count_and_colour_the_errors_alone() -> None:
    axes = confusion_figure(np.array([[50, 2], [0, 48]]), title="t").axes[0]
    shown = axes.images[0].get_array()

    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "50"),
        ((1, 0), "2"),
        ((1, 1), "48"),
    }
    assert shown.mask.tolist() == [[True, False], [False, True]]
    assert axes.images[0].get_clim() == (0, 2)


def test_the_worst_image_comes_first_with_what_it_is_and_what_was_said() -> None:
    figure = worst_images(*two_images(), count=2, title="t")
    first, second = figure.axes[:2]

    assert first.get_title() == "is 2, said 1\n3.2 nats"
    assert second.get_title() == "is 7, said 7\n0.0 nats"
    assert np.asarray(first.images[0].get_array()).min() == 1
