"""Tests of a figure in a page: its text stays text, its colours are the page's, and its ids are unique."""

import re

from study.figures.search import Scale, Track, parallel_figure
from study.figures.vector import VARIABLES, svg

SIZE = (3.0, 2.0)


def drawn(name: str = "one", label: str = "rate") -> str:
    scales = [Scale(label, [(0.0, "0"), (1.0, "1")]), Scale("kind", [(0.5, "a")]), Scale("size", [(0.5, "b")])]
    tracks = [Track([0.2, None, 0.5], "early"), Track([0.4, 0.5, 0.5], "winner")]
    return svg(parallel_figure(scales, tracks), name, 'two "trials" & <more>', SIZE)


def test_a_figure_is_the_same_text_each_time() -> None:
    assert drawn() == drawn()


def test_two_figures_share_no_id() -> None:
    first, second = (set(re.findall(r' id="([^"]+)"', drawn(name))) for name in ("one", "two"))

    assert first
    assert not first & second


def test_its_colours_are_variables() -> None:
    found = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", drawn()))

    assert {"var(--accent)", "var(--faint)", "var(--muted)"} <= found
    assert found <= {"none", *(f"var({variable})" for variable in VARIABLES.values())}


def test_what_is_written_is_text_neither_mathematics_nor_markup() -> None:
    assert ">$x_1$ &lt;b&gt; 1.23456<" in drawn(label="$x_1$ <b> 1.23456")


def test_its_alternative_is_its_name_and_its_width_is_the_places() -> None:
    head = drawn().partition("<title>")[0]

    assert head.startswith('<svg role="img" aria-label=\'two "trials" &amp; &lt;more&gt;\'')
    assert "width" not in head
