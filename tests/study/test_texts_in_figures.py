"""Tests of names in figures: a user's text is drawn literally, whatever it means to mathematics, fonts or legends."""

import warnings
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from study.figures import Bundle, Curve, Descent, Estimate, bundles_figure, differences_figure, learning_curves, save
from study.figures.designs import ranks_figure
from study.figures.regrets import regret_figure
from study.figures.vector import svg

NAMES = [
    *(f"a{chr(code)}b" for code in (*range(32, 127), 0, 7, 9, 10, 27, 0xFC, 0x4E2D, 0x1F600, 0x202E, 0xD800, 0xDCE9)),
    "$x$",
    "$\\frac{$",
    "a$b_c^d",
    "_hidden",
    "\\$",
    "$$",
    "{x}",
    "%s",
]


def figures(name: str) -> list[Figure]:
    curve = Curve(name, [1, 2], [0.5, 0.25], is_kept=True)
    estimate, bundle = Estimate(name, 0.1, 0.05, 0.2), Bundle(name, [[1, 2]], [[0.5, 0.25]])
    common = {"metric": name, "title": name}
    return [
        learning_curves([curve], name, direction="minimize", unit=name, **common),
        differences_figure([(name, [estimate])], labels=[name], reference=name, better="lower", **common),
        bundles_figure([(name, [bundle])], direction="minimize", units=["epochs"], **common),
        ranks_figure([(name, 1, 2)], left=name, right=name, title=name),
        regret_figure([(name, [Descent(name, [1, 2], [0.5, 0.25])])], reference=name, **common),
    ]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_drawn_as_it_stands_and_without_a_warning(name: str, tmp_path: Path) -> None:
    for place, figure in enumerate(figures(name)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            save(figure, tmp_path / f"{place}.png")
        assert all(not text.get_parse_math() for text in figure.findobj(Text) if name in text.get_text())
        assert svg(figure, f"figure{place}", name, (4.5, 3.0)).startswith("<svg")


@pytest.mark.parametrize("name", ["a$b", "$x$", "a_b", "_hidden"])
def test_a_name_stands_in_the_legend_of_its_curves(name: str) -> None:
    figure = bundles_figure(
        [("", [Bundle(name, [[1]], [[0.5]])])], metric="loss", direction="minimize", units=["epochs"], title=""
    )
    drawn = figure.axes[0].get_legend()

    assert drawn is not None
    assert [text.get_text() for text in drawn.get_texts()] == [name]


def test_the_ticks_of_a_logarithmic_axis_stay_powers() -> None:
    figure = regret_figure([("", [Descent("a", [1, 2], [0.5, 0.00025])])], metric="loss", reference="b", title="")
    figure.canvas.draw()

    marks = [tick.label1 for tick in figure.axes[0].yaxis.get_major_ticks()]
    assert all(mark.get_parse_math() for mark in marks)


def test_a_users_settings_of_matplotlib_change_no_figure(tmp_path: Path) -> None:
    plain, other = tmp_path / "plain.png", tmp_path / "other.png"
    save(figures("a$b")[0], plain)

    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "savefig.dpi": 20, "axes.facecolor": "red"}):
        save(figures("a$b")[0], other)
        assert svg(figures("a$b")[0], "curves", "words", (4.5, 3.0)).startswith("<svg")
        assert matplotlib.rcParams["text.usetex"], "the user's settings are the user's"

    assert other.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("values", [[1.7e308, -1.7e308], [1e301, 1.0], [5e-324, 1e-323], [0.5, 0.5]])
def test_values_of_any_size_are_drawn(values: list[float], tmp_path: Path) -> None:
    curve = Curve("0", [1, 2], values, is_kept=True)
    save(
        learning_curves([curve], "0", metric="loss", direction="minimize", unit="epochs", title=""), tmp_path / "a.png"
    )
