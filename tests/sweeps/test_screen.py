"""Tests of the screen, which only watches: whatever fails there, the work continues, and the user sees it once."""

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from simulation import Simulation, open_driver, small_spec

import sweeps
from sweeps.errors import SpecError
from sweeps.execution.conclusion import conclude
from sweeps.search.history import Noted, Stamp
from sweeps.store.folders import SweepFolder
from sweeps.terminal import screen
from sweeps.terminal.progress import Progress
from sweeps.terminal.screen import Form, Screen, waiting
from sweeps.watching import watched_by


class Terminal(io.StringIO):
    """A terminal on which every write raises `broken` once that is set."""

    encoding = "utf-8"
    broken: Exception | None = None

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.broken:
            raise self.broken
        return super().write(text)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(screen, "_TICK", 0.01)
    return Terminal()


def waits_until_written(terminal: io.StringIO, text: str) -> None:
    """Return once the text was written; if it never is, the test's own timeout ends the wait."""
    while text not in terminal.getvalue():
        threading.Event().wait(0.01)


def test_a_clock_ticks_in_a_terminal_while_something_is_waited_for(terminal: Terminal) -> None:
    shown = Screen(terminal, "auto")
    shown.wait_for("starting [/] Ray")
    with shown.opened():
        waits_until_written(terminal, "starting [/] Ray, 0:01")


def silent_for_a_while(form: Form, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the first line of a screen without a terminal, on which nothing is shown while Ray starts."""
    monkeypatch.setattr(screen, "_TICK", 0.01)
    monkeypatch.setattr(screen, "SILENCE", 0.05)
    out = io.StringIO()
    shown = Screen(out, form)
    shown.wait_for("starting Ray")
    with shown.opened():
        waits_until_written(out, "\n")
    return out.getvalue().splitlines()[0]


def test_without_a_terminal_a_line_says_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert silent_for_a_while("auto", monkeypatch) == "starting Ray, 0:00"


def test_a_program_gets_a_line_of_json_that_says_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    first = json.loads(silent_for_a_while("json", monkeypatch))

    assert (first["kind"], first["text"]) == ("waiting", "starting Ray")
    assert first["seconds"] >= 0


def test_a_command_that_takes_a_moment_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    with waiting("reading"):
        waits_until_written(said, "reading, 0:00\n")


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_moves_no_cursor_gets_lines(
    terminal: Terminal, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    shown = Screen(terminal, "auto")
    with shown.opened():
        shown.line("a line")

    assert terminal.getvalue() == "a line\n"


def test_a_panel_that_fails_is_followed_by_lines(terminal: Terminal) -> None:
    def fails() -> Any:
        raise ValueError("no panel")

    shown = Screen(terminal, "auto")
    with shown.opened():
        shown.show(fails, lambda: "")
        shown.line("a line")

        assert not shown.is_live
    assert terminal.getvalue().count("warning: the panel ended (ValueError: no panel)") == 1
    assert "a line\n" in terminal.getvalue()


def test_a_panel_that_cannot_be_drawn_is_followed_by_lines(terminal: Terminal) -> None:
    class Undrawable:
        def __rich_console__(self, *_: object) -> Any:
            raise ValueError("undrawable")

    shown = Screen(terminal, "auto")
    with shown.opened():
        shown.show(Undrawable, lambda: "")
        waits_until_written(terminal, "warning: the panel ended (ValueError: undrawable)")


@pytest.mark.parametrize(
    "error", [BrokenPipeError("gone"), OSError(28, "full"), ValueError("I/O on closed file")], ids=repr
)
def test_a_sweep_goes_on_when_its_output_is_gone(
    folder: SweepFolder, terminal: Terminal, error: Exception, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr("sys.stdout", terminal)
    driver = open_driver(folder, small_spec())
    progress = Progress(driver.spec, folder, driver.history, "auto", verbose=False)
    driver.observe = watched_by(progress.say, progress.observe)
    with progress.shown():
        driver.start({})
        terminal.broken = error
        Simulation(driver).run()
        conclude(driver, None, None)

    assert driver.history.outcome is not None
    assert capfd.readouterr().err.count("nothing more is shown here") == 1


def test_a_reader_that_leaves_as_head_does_ends_no_sweep(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        driver = open_driver(folder, small_spec())
        progress = Progress(driver.spec, folder, driver.history, "auto", verbose=False)
        driver.observe = watched_by(progress.say, progress.observe)
        with progress.shown():
            progress.begin()
            driver.start({})
            Simulation(driver).run()
            conclude(driver, None, None)
        print("the last word of a command", flush=True)

    assert driver.history.outcome is not None
    assert capfd.readouterr().err.count("nothing more is shown here (BrokenPipeError") == 1


@pytest.mark.parametrize("text", ["[conv,bn]", "[/]", "[bold", "\x1b[2J", "a\nb", "中"])
@pytest.mark.parametrize("is_a_terminal", [True, False])
def test_a_panel_and_lines_show_names_and_values_of_any_text(
    folder: SweepFolder, terminal: Terminal, text: str, is_a_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = terminal if is_a_terminal else io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sweeps.terminal.progress._REFRESH", 0)
    space = {"x": {"float": [0.0, 1.0]}, "kind": {"choice": [text, "plain"]}}
    driver = open_driver(folder, small_spec(space=space, target="functions:bowl"))
    progress = Progress(driver.spec, folder, driver.history, "auto", verbose=False)
    driver.observe = watched_by(progress.say, progress.observe)
    with progress.shown():
        driver.start({})
        Simulation(driver).run()
        conclude(driver, None, None)

    assert driver.history.outcome is not None
    assert "warning" not in out.getvalue()


def test_an_observer_that_fails_is_said_once_and_left_out() -> None:
    said: list[str] = []
    seen: list[Stamp] = []

    def fails(_stamp: Stamp, _row: object) -> None:
        raise RuntimeError("no meter")

    observe = watched_by(said.append, fails, lambda stamp, _row: seen.append(stamp))
    for seq in (1, 2, 3):
        observe(Stamp(seq, 0.0), Noted("test", {}))

    assert [stamp.seq for stamp in seen] == [1, 2, 3]
    assert said == ["warning: a part of the display ended (RuntimeError: no meter): the sweep continues without it"]


def test_the_panel_is_text(terminal: Terminal) -> None:
    shown = Screen(terminal, "auto")
    with shown.opened():
        shown.show(lambda: Text("[/] stays"), lambda: "")
        waits_until_written(terminal, "[/] stays")


def test_a_form_of_progress_that_does_not_exist_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="progress: choose from auto, json, none, but got 'lines'"):
        sweeps.run("quickstart", results=tmp_path, progress="lines")  # type: ignore[arg-type]

    assert list(tmp_path.iterdir()) == []
