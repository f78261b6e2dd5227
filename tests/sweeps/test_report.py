"""Tests of the report: one self-contained, escaped page for every state of a sweep, with words for what it draws."""

import random
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fresh import chosen_on, history_of, published_on
from searched import searched
from simulation import Simulation, open_driver, small_spec

import sweeps
from study.figures.vector import SIZE, VARIABLES
from sweeps.execution.conclusion import conclude
from sweeps.report.outcome import headline
from sweeps.report.page import Subject, render, sections
from sweeps.report.writing import write_report
from sweeps.search.history import Asked, History, Noted, Stamp, TrialKey
from sweeps.search.path import path_table
from sweeps.search.selection import TEST_READ
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder
from sweeps.store.lease import lease

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SELECTION = {"candidates": 3, "seeds": 3, "published_seeds": 3}
WRITTEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """The content of a page: each tag with its attributes, its text, and the tags that are open at its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def run(folder: SweepFolder, until: int | None = None, **changes: Any) -> tuple[SweepSpec, History]:
    """Run a small sweep to its end, or until `until` trials have begun; return its spec and history."""
    spec = small_spec(**{"selection": SELECTION, **changes})
    driver = open_driver(folder, spec)
    driver.start({"slots": 3})
    Simulation(driver).run(stop=lambda: until is not None and len(driver.history.search) >= until)
    if until is None:
        conclude(driver, None, None)
    return spec, driver.history


def page_of(folder: SweepFolder, **changes: Any) -> Page:
    spec, history = run(folder, **changes)
    return Page(write_report(folder, spec, history, written=WRITTEN).read_text("utf-8"))


FAILING = {"space": {"x": {"float": [0.6, 1.0]}}, "pruning": "none", "trials": 8}  # more would stop the sweep
STATES: dict[str, dict[str, Any]] = {
    "over": {},
    "interrupted": {"until": 5},
    "begun": {"until": 1},
    "one trial": {"trials": 1},
    "no winner": {"target": "functions:mad_on_fresh_seeds", "pruning": "none"},
    "all diverged": {"target": "functions:nan_at_half", "space": {"x": {"float": [0.6, 1.0]}}, "pruning": "none"},
    "all failed": {"target": "functions:raises_at_half", **FAILING},
    "ties": {"target": "functions:flat", "pruning": "none"},
    "maximize": {"direction": "maximize"},
    "no pruning": {"pruning": "none"},
    "hyperband": {"pruning": {"name": "hyperband", "max_fidelity": 9}},
    "nothing varies": {"space": {"x": 0.3}},
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_a_sweep_has_a_whole_page_of_its_own(folder: SweepFolder, state: str) -> None:
    page = page_of(folder, **STATES[state])

    assert page.open == []
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert not re.search(r"(https?:)?//|url\((?!#)", value or "") or name.startswith("xmlns"), (
                tag,
                name,
                value,
            )
    drawn = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(attributes["role"] == "img" and len(attributes["aria-label"] or "") > 20 for attributes in drawn)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_before_the_first_trial_the_page_says_so() -> None:
    page = Page(render(Subject(small_spec(), History(), "running")))

    assert "Running when this was written, with 0 of 12 trials begun; none has a value yet." in page.text


def test_the_outcome_comes_first_as_a_person_would_say_it(folder: SweepFolder) -> None:
    spec, history = run(folder)
    page = Page(write_report(folder, spec, history).read_text("utf-8"))
    outcome = history.outcome
    assert outcome is not None
    headings = [tag for tag, _ in page.tags if tag in ("h1", "h2")]

    assert headings[0] == "h1"
    assert (
        f"Trial {outcome['winner']} won: a loss of {outcome['mean']:.4g} on 3 fresh seeds (95 % interval" in page.text
    )
    assert page.text.index(" won: ") < page.text.index("Best so far")


def test_where_nobody_is_published_nobody_won_and_no_value_is_made_up(folder: SweepFolder) -> None:
    page = page_of(folder, trials=1, target="functions:mad_on_fresh_published", pruning="none")

    assert "No trial won: trial 0 would be the winner, but none of its further seeds came to its end" in page.text
    assert " won: a loss of" not in page.text


def test_that_the_test_set_was_read_before_is_told_only_where_there_was_a_choice_before() -> None:
    """Check that a winner that is tested before its sweep's outcome does not count as an earlier choice."""
    history = history_of({TrialKey(0): 0.2} | published_on(0, 0.2))
    read, ended = Noted(TEST_READ, {}, TrialKey(0, 10_001)), Noted("outcome", {"winner": 0})
    told = []
    for row in (read, ended):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)
        told.append(" ".join(headline(small_spec(), history, None, "running", {})))

    assert "only then tested" in told[0]
    assert "The test set was read once for what was chosen before; the winner is chosen again" in told[1]


def test_seeds_on_which_the_winner_failed_are_told_with_its_mean(folder: SweepFolder) -> None:
    spec = small_spec(selection={"candidates": 1, "seeds": 2, "published_seeds": 3})
    history = history_of({TrialKey(0): 0.2} | published_on(0, 0.2, None, 0.3))
    history.apply(Stamp(history.last.seq + 1, 0.0), Noted("outcome", {"winner": 0}))
    text = render(Subject(spec, history, "over"))

    assert "a loss of 0.25 on 2 fresh seeds, without 1 more that did not come to an end" in text


def test_a_choice_that_is_under_way_is_not_told_as_decided(folder: SweepFolder) -> None:
    spec = small_spec(selection={"candidates": 2, "seeds": 3})
    history = history_of({TrialKey(0): 0.2, TrialKey(1): 0.3} | chosen_on(0, 0.2) | chosen_on(1, 0.3))
    said = "Not decided yet: this is how it would come out if it ended now."

    assert said in render(Subject(spec, history, "running"))
    assert said not in render(Subject(spec, history, "over"))


def test_a_page_has_a_section_for_all_that_there_is_to_say(folder: SweepFolder) -> None:
    spec, history = run(folder)
    names = [section.name for section in sections(Subject(spec, history, "over", confusion=[[5, 1], [0, 6]]))]

    known = ["best", "curves", "parameters", "importance", "slices", "rungs", "choice", "confusion"]
    assert [name for name in names if name in known] == known
    assert names[-1] == "facts"


def test_a_page_keeps_its_other_sections_where_one_can_not_be_drawn(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no finite axis")

    spec, history = run(folder)
    whole = sections(Subject(spec, history, "over"))
    monkeypatch.setattr("sweeps.report.course.curves_section", fails)
    found = sections(Subject(spec, history, "over"))

    assert len(found) == len(whole)
    assert [section.text for section in found if section not in whole] == [
        ("Drawing it failed with ValueError: no finite axis.",)
    ]


def test_two_writings_of_one_ledger_differ_by_their_time_alone(folder: SweepFolder) -> None:
    spec, history = run(folder)
    first = write_report(folder, spec, history, written=WRITTEN).read_text("utf-8")
    result = sweeps.load("bowl", results=folder.results)
    again = write_report(folder, result.spec, result.history, written=WRITTEN).read_text("utf-8")
    later = result.report().read_text("utf-8")

    assert again == first
    assert later != first
    assert re.sub(r"Written at [^<]*", "", later) == re.sub(r"Written at [^<]*", "", first)


def test_a_sweep_whose_name_leaves_no_room_for_its_path_has_a_report(tmp_path: Path) -> None:
    name = "n" * 80
    spec, history = run(SweepFolder(tmp_path, name), name=name)

    assert write_report(SweepFolder(tmp_path, name), spec, history).exists()


def test_what_users_write_is_text_and_no_markup(folder: SweepFolder) -> None:
    evil = "<script>alert(1)</script>"
    table = {"name": "bowl", "trials": 1, "metric": "<b>loss", "target": "functions:bowl", "direction": "minimize"}
    spec = load_spec({**table, "space": {"x": {"float": [0.0, 1.0]}, "kind": {"choice": [evil, "$x$ & y"]}}})
    history = History()
    for row in (
        Asked(TrialKey(0), {"x": 0.5, "kind": evil}, 0, 0),
        Noted("warning", {"text": f"{evil} & more"}),
        Noted("outcome", {"winner": None, "reason": evil}),
    ):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)
    text = render(Subject(spec, history, "over"))

    assert "<script" not in text
    assert "<b>loss" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_only_the_page_of_a_running_sweep_looks_again_by_itself(folder: SweepFolder) -> None:
    spec, history = run(folder, until=5)

    def refreshes() -> bool:
        page = Page(write_report(folder, spec, history).read_text("utf-8"))
        return any(attributes.get("http-equiv") == "refresh" for tag, attributes in page.tags if tag == "meta")

    assert not refreshes()
    with lease(folder.lease, "bowl"):
        assert refreshes()


def test_a_design_shows_its_cells_and_a_walked_path_what_each_change_bought(folder: SweepFolder) -> None:
    spec, history = run(folder)
    walked = load_spec(path_table(spec, history, seeds=2))
    walker = open_driver(SweepFolder(folder.results, "bowl-path"), walked)
    walker.start({})
    Simulation(walker).run()
    conclude(walker, None, None)

    page = Page(write_report(folder, spec, history).read_text("utf-8"))
    assert "From the baseline to the winner, one change after another on 2 common seeds" in page.text
    design = Page(write_report(walker.folder, walked, walker.history).read_text("utf-8"))
    assert "The cells compared" in design.text
    assert design.open == []


def test_colours_are_variables_so_that_one_drawing_serves_light_and_dark(folder: SweepFolder) -> None:
    spec, history = run(folder)
    text = write_report(folder, spec, history).read_text("utf-8")
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))

    assert not re.search(r"#[0-9a-fA-F]{6}", drawn)
    for variable in set(re.findall(r"var\((--[a-z]+)\)", drawn)):
        assert text.count(f"{variable}: ") >= 3, variable  # in the light, the dark and the print theme
    assert set(VARIABLES.values()) <= set(re.findall(r"(--[a-z]+): #", text))


def test_large_sweeps_are_thinned_and_that_is_said() -> None:
    draw = random.Random(0)
    given = [({"x": draw.random(), "kind": "a"}, draw.random(), 9.0) for _ in range(2000)]
    text = render(Subject(small_spec(trials=2000), searched(given), "running"))

    assert len(text) < 3_000_000
    assert "of 2,000: every 10th trial" in text


def test_a_page_that_is_passed_on_names_no_folder_of_this_machine(folder: SweepFolder) -> None:
    spec, history = run(folder, until=5)
    history.apply(
        Stamp(history.last.seq + 1, 0.0), Noted("warning", {"text": f"{folder.results}/sweeps is nearly full"})
    )
    page = Page(write_report(folder, spec, history).read_text("utf-8"))

    assert "RESULTS/sweeps is nearly full" in page.text
    assert str(folder.results) not in page.text


@pytest.mark.parametrize("results", ["/p", "/table", "/other"])
def test_what_only_looks_like_that_folder_stays(tmp_path: Path, results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, history = run(SweepFolder(tmp_path, "bowl"), until=3)
    history.apply(
        Stamp(history.last.seq + 1, 0.0), Noted("warning", {"text": f"in {results}-old, /a{results} or {results}."})
    )
    there = SweepFolder(Path(results), "bowl")
    monkeypatch.setattr(SweepFolder, "path", tmp_path)  # the test cannot write there
    page = Page(write_report(there, spec, history, state="stopped").read_text("utf-8"))

    assert page.open == []
    assert f"in {results}-old, /a{results} or RESULTS." in page.text


def luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance, 0 to 1, of red, green and blue, each 0 to 1 (WCAG 2.2)."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_text_lines_and_counts_stand_out_in_every_theme(theme: int) -> None:
    page = render(Subject(small_spec(), History(), "over", confusion=[[5, 9], [1, 6]]))
    style = re.findall(r":root \{.*?\}", page, re.DOTALL)[theme]
    colours = {
        name: [int(value[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        for name, value in re.findall(r"--(\w+): #(\w{6})", style)
    }
    heat = [int(part) / 255 for part in re.findall(r"--heat: (\d+), (\d+), (\d+)", style)[0]]
    deepest = max(float(share) for share in re.findall(r"--share: ([\d.]+)", page))

    for name in ("ink", "muted", "blue", "accent", "green", "pink", "sky"):
        assert contrast(colours[name], colours["page"]) >= (4.5 if name in ("ink", "muted", "blue", "accent") else 3), (
            name
        )
    assert contrast(colours["faint"], colours["page"]) >= 3
    fullest = [deepest * part + (1 - deepest) * below for part, below in zip(heat, colours["page"], strict=True)]
    assert deepest > 0.5
    assert contrast(colours["ink"], fullest) >= 4.5


CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed here: `apt-get install chromium`, as .ci/run does"
)
VIEWS = [  # width in pixels, colours, medium; 718 is an A4 page within its margins
    (360, "light", "screen"),
    (768, "dark", "screen"),
    (1280, "light", "screen"),
    (718, "dark", "print"),
]


@pytest.fixture
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@in_a_browser
def test_in_a_browser_nothing_is_wider_than_the_screen_and_text_can_be_read(
    folder: SweepFolder, browser: "Browser"
) -> None:
    path = write_report(folder, *run(folder))
    for width, scheme, medium in VIEWS:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.emulate_media(media=medium)
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for drawing in page.locator("section svg").all():
            box, units = drawing.bounding_box(), (drawing.get_attribute("viewBox") or "").split()
            assert box is not None
            assert SIZE * box["width"] / float(units[2]) >= 9  # text height in pixels
        page.close()


@in_a_browser
def test_with_scripts_off_everything_is_there_and_on_paper_ink_is_dark(folder: SweepFolder, browser: "Browser") -> None:
    path = write_report(folder, *run(folder))
    plain, scripted = (browser.new_page(java_script_enabled=is_on) for is_on in (False, True))
    for page in (plain, scripted):
        page.goto(path.as_uri())
    assert plain.locator("main").inner_text() == scripted.locator("main").inner_text()
    scripted.emulate_media(media="print", color_scheme="dark")
    ink, paper = (scripted.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))

    assert sum(map(int, re.findall(r"\d+", ink)[:3])) < 200
    assert sum(map(int, re.findall(r"\d+", paper)[:3])) > 700
