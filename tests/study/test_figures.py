"""Tests of figures: every axis says what it shows, and each number and image is where a reader looks for it."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from study.data import Split
from study.figures import (
    Bundle,
    Curve,
    Descent,
    Estimate,
    bundles_figure,
    confusion_figure,
    differences_figure,
    image_grid,
    layers_figure,
    learning_curves,
    lr_range_figure,
    ranks_figure,
    regret_figure,
    training_curves,
    worst_images,
)
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


def differences(*panels: tuple[str, list[Estimate]]) -> Figure:
    words = {"reference": "baseline", "metric": "validation_accuracy", "better": "higher", "title": "t"}
    return differences_figure(panels, labels=["a", "b", "c"], **words)


CURVES = [Curve("0", [1.0, 2.0], [0.5, 0.9], True), Curve("1", [1.0], [float("nan")], False)]
BUNDLES = [Bundle("a", [[1.0, 2.0]], [[0.5, 0.9]]), Bundle("b", [], [])]
METRIC = {"metric": "validation_accuracy", "direction": "maximize"}

FIGURES: dict[str, Callable[[], Figure]] = {
    "confusion": lambda: confusion_figure(np.eye(3, dtype=int), title="t"),
    "grid": lambda: image_grid([("black", BLACK), ("white", WHITE)], down="rows", across="columns", title="t"),
    "bundles": lambda: bundles_figure([("2 epochs", BUNDLES)], **METRIC, units=["epochs"], title="t"),
    "curves": lambda: learning_curves(CURVES, None, **METRIC, unit="epochs", title="t"),
    "ranks": lambda: ranks_figure([("a", 1, 2), ("b", 2, 1)], left="2 epochs", right="1 s", title="t"),
    "layers": lambda: layers_figure({"kaiming": layers(1.0, 2.0)}, title="t"),
    "regret": lambda: regret_figure([("s", [Descent("a", [1.0], [0.5])])], metric="loss", reference="r", title="t"),
    "range": lambda: lr_range_figure(LrRange((0.1, 0.2), (2.0, 1.0), (2.0, 1.0), 0.1, 0.1, 0.1, 0.2, None), title="t"),
    "training": lambda: training_curves(measured(), title="t"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_says_what_it_shows(name: str) -> None:
    for axes in FIGURES[name]().axes:
        is_colour_bar = axes.get_label() == "<colorbar>"
        assert axes.get_ylabel()
        assert axes.get_xlabel() or is_colour_bar


def test_a_difference_stands_beside_its_own_label_where_another_panel_lacks_one() -> None:
    a, b, c = (Estimate(name, mean, mean - 0.01, mean + 0.01) for name, mean in (("a", 0.1), ("b", 0.2), ("c", -0.3)))
    figure = differences(("2 epochs", [a, b, c]), ("1 s", [a, c]))

    for axes, shown in zip(figure.axes, ({"a": 0.1, "b": 0.2, "c": -0.3}, {"a": 0.1, "c": -0.3}), strict=True):
        labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        points = [line.get_xydata()[0] for line in axes.lines if line.get_marker() in "o^v"]
        assert {labels[round(y)]: x for x, y in points} == pytest.approx(shown)
        assert axes.get_ylim() == (2.5, -0.5)
        assert axes.get_xlabel().startswith("validation accuracy minus that of baseline")


def test_what_is_clear_stands_out_and_what_may_be_either_does_not() -> None:
    better, either = Estimate("a", 0.1, 0.05, 0.15), Estimate("b", 0.1, -0.05, 0.25)
    one, equal = Estimate("c", 0.1, None, None), Estimate("c", 0.1, 0.1, 0.1)

    def markers(*estimates: Estimate) -> list[str]:
        return [
            line.get_marker()
            for line in differences(("", list(estimates))).axes[0].lines
            if line.get_marker() != "None"
        ]

    assert markers(better, either, one) == ["^", "o", "o"]
    assert markers(equal) == ["o"]


def test_a_rank_that_rises_is_blue_and_equals_keep_lines_of_their_own() -> None:
    figure = ranks_figure([("a", 2, 1), ("b", 1, 2), ("c", 2, 2)], left="l", right="r", title="t")
    lines = figure.axes[0].lines

    assert [line.get_color() for line in lines] == ["#0072B2", "#D55E00", "#666666"]
    assert sorted(line.get_ydata()[0] for line in lines) == [1, 2, 3]
    assert [line.get_ydata()[0] for line in lines] == [2, 1, 3]


@pytest.mark.parametrize(("values", "text"), [([0.9] * 20 + [0.1], "1 report beyond this axis"), ([0.9] * 20, "")])
def test_a_picture_says_what_it_leaves_out(values: list[float], text: str) -> None:
    curves = [Curve("0", list(range(1, len(values) + 1)), values, True)]
    axes = learning_curves(curves, None, **METRIC, unit="epochs", title="t").axes[0]

    assert [shown.get_text() for shown in axes.texts] == ([text] if text else [])


def test_a_search_without_regret_lies_on_the_foot_of_the_axis() -> None:
    descents = [Descent("a", [1.0, 2.0], [0.5, 0.0]), Descent("b", [1.5], [0.1])]
    (axes,) = regret_figure([("s", descents)], metric="loss", reference="the best", title="t").axes
    ours, _, theirs, _ = axes.get_lines()

    assert list(ours.get_ydata()) == [0.5, axes.get_ylim()[0]]
    assert list(theirs.get_ydata()) == [0.1]
    assert 0 < axes.get_ylim()[0] < 0.1


def test_epochs_are_ticked_where_they_end() -> None:
    axes = bundles_figure([("", BUNDLES)], **METRIC, units=["epochs"], title="t").axes[0]
    assert all(tick == round(tick) for tick in axes.get_xticks())


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
