"""Tests of the report of a running sweep: another process writes it, not too often, and its failure is one line."""

import sys
from pathlib import Path

import pytest
from simulation import Simulation, open_driver, small_spec
from waiting import until

from sweeps.report.following import FIRST, Follower
from sweeps.store.folders import SweepFolder


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def follower(folder: Path, said: list[str], clock: Clock, *command: str) -> Follower:
    return Follower(folder, said.append, command=(sys.executable, *command), clock=clock)


def test_the_first_report_comes_after_half_a_minute_and_the_next_after_fifty_times_as_long(tmp_path: Path) -> None:
    clock, said = Clock(), list[str]()
    at_work = follower(tmp_path, said, clock, "-c", "import sys; open(sys.argv[1] + '/n', 'a').write('x')")
    written = tmp_path / "n"
    at_work.look()
    assert at_work._process is None
    clock.now = FIRST
    at_work.look()
    until(lambda: at_work._process.poll() is not None)
    clock.now += 3  # the time that the report took
    at_work.look()
    assert written.read_text() == "x"
    clock.now += 149
    at_work.look()
    assert at_work._process is None
    clock.now += 1
    at_work.look()
    until(lambda: at_work._process.poll() is not None)
    assert written.read_text() == "xx"
    assert said == []


FAILING = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); sys.exit(0 if (p / 'fonts').exists() else 'no fonts')"


def test_a_failure_is_told_once_and_tried_again_after_twice_as_long_each_time(tmp_path: Path) -> None:
    clock, said, tries = Clock(), list[str](), list[float]()
    at_work = follower(tmp_path, said, clock, "-c", FAILING)
    for second in range(20 * int(FIRST)):
        clock.now = second
        if second == 12 * FIRST:  # it is repaired between the third failure and the fourth try
            (tmp_path / "fonts").touch()
        at_work.look()
        if at_work._process is not None:
            tries.append(second / FIRST)
            until(lambda: at_work._process.poll() is not None)
            at_work.look()

    assert tries[:4] == [1, 3, 7, 15]
    assert tries[4] == 16  # the fourth try wrote the report, so the next one comes at the shortest interval
    assert said == ["warning: the report could not be written (no fonts): the sweep continues, and tries it again"]


def test_a_process_that_cannot_begin_stops_no_sweep(tmp_path: Path) -> None:
    clock, said = Clock(), list[str]()
    at_work = Follower(tmp_path, said.append, command=(str(tmp_path / "no-such-program"),), clock=clock)
    for _ in range(3):
        clock.now += FIRST
        at_work.look()

    assert len(said) == 1
    assert "No such file" in said[0]


def test_closing_kills_what_is_at_work(tmp_path: Path) -> None:
    clock = Clock()
    at_work = follower(tmp_path, [], clock, "-c", "import time; time.sleep(600)")
    clock.now = FIRST
    at_work.look()
    process = at_work._process
    at_work.close()

    assert process.poll() is not None


def test_the_process_writes_the_report_of_a_sweep_that_another_one_drives(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec())
    driver.start({})
    Simulation(driver).run(stop=lambda: len(driver.history.search) == 4)
    clock, said = Clock(), list[str]()
    at_work = Follower(folder.path, said.append, clock=clock)
    clock.now = FIRST
    at_work.look()
    until(lambda: at_work._process.poll() is not None)
    at_work.look()

    assert said == []
    assert "4 of 12 trials begun" in (folder.path / "report.html").read_text()


@pytest.mark.parametrize("where", ["nothing"])
def test_a_sweep_that_is_not_there_is_one_line(tmp_path: Path, where: str) -> None:
    clock, said = Clock(), list[str]()
    at_work = Follower(tmp_path / "sweeps" / where, said.append, clock=clock)
    clock.now = FIRST
    at_work.look()
    until(lambda: at_work._process.poll() is not None)
    at_work.look()

    assert len(said) == 1
    assert "no sweep named 'nothing'" in said[0]


PASSWORD = "import os, sys; open(sys.argv[1] + '/url', 'w').write(os.environ.get('SWEEPS_LEDGER', ''))"


@pytest.mark.parametrize("given", [None, "postgresql://me@host/team"])
def test_the_report_has_the_password_that_the_sweep_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.setenv("SWEEPS_LEDGER", "postgresql://me:secret@host/team")
    clock = Clock()
    at_work = Follower(tmp_path, print, given, command=(sys.executable, "-c", PASSWORD), clock=clock)
    clock.now = FIRST
    at_work.look()
    until(lambda: at_work._process.poll() is not None)

    assert (tmp_path / "url").read_text() == "postgresql://me:secret@host/team"


def test_a_password_that_was_given_with_the_url_reaches_the_report(tmp_path: Path) -> None:
    clock, url = Clock(), "postgresql://me:secret@host/team"
    at_work = Follower(tmp_path, print, url, command=(sys.executable, "-c", PASSWORD), clock=clock)
    clock.now = FIRST
    at_work.look()
    until(lambda: at_work._process.poll() is not None)

    assert (tmp_path / "url").read_text() == url
