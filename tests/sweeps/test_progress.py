"""Tests of what is shown of a running sweep: only committed rows, as plain lines, as JSON, or as a panel."""

import io
import json
import math
from typing import Any

import pytest
from rich.console import Console
from simulation import TABLE, Simulation, open_driver, small_spec

from study.measurement import Measurement
from sweeps.execution.conclusion import conclude
from sweeps.execution.driver import Driver
from sweeps.execution.session import Session
from sweeps.search.history import Asked, Measured, Stamp, TrialKey
from sweeps.search.standing import best_of
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.rows import load_json
from sweeps.terminal.progress import Form, Progress, row_as_dict


def shown(folder: SweepFolder, form: Form, *, verbose: bool = False, **changes: Any) -> tuple[Driver, Progress]:
    """Run a whole sweep with a Progress of one form, and return its driver and the Progress."""
    driver = open_driver(folder, small_spec(**changes))
    progress = Progress(driver.spec, folder, driver.history, form, verbose=verbose)
    driver.observe = progress.observe
    progress.opened(Session(3, "http://127.0.0.1:8265", ("a note",)), 3)
    driver.start({})
    Simulation(driver).run()
    return driver, progress


def test_json_lines_are_the_ledgers_rows_in_their_order(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    driver, _ = shown(folder, "json")
    opened, *lines = [load_json(line) for line in capsys.readouterr().out.splitlines()]
    ledger = Ledger.open(folder.ledger, read_only=True)
    rows = ledger.rows()
    ledger.close()

    aim = {"metric": "loss", "direction": "minimize"}
    assert opened == {"kind": "session", "dashboard": "http://127.0.0.1:8265", "slots": 3, **aim}
    assert [line["seq"] for line in lines] == [stamp.seq for stamp, _ in rows] == list(range(1, len(rows) + 1))
    assert lines == [json.loads(json.dumps(row_as_dict(stamp, row))) for stamp, row in rows]
    assert driver.history.last.seq == len(rows)


def test_a_program_gets_the_outcome_of_a_sweep_that_was_over(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    driver, progress = shown(folder, "json")
    conclude(driver, None, None)
    capsys.readouterr()
    progress.was_over()
    outcome, note = [load_json(line) for line in capsys.readouterr().out.splitlines()]

    assert outcome == {"kind": "outcome", **(driver.history.outcome or {})}
    assert note["text"].startswith("sweep bowl is over: 12 trials")


def test_trials_that_the_search_left_at_a_rung_are_not_called_paused(folder: SweepFolder) -> None:
    driver, progress = shown(folder, "none", trials=20)
    left = driver.history.counts()["paused"]

    assert left
    assert f"{left} stopped at a rung" in progress.summary(1.0).counts
    assert "paused" not in progress.summary(1.0).counts


def test_a_metric_that_is_not_finite_is_strict_json(folder: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    driver = open_driver(folder, small_spec())
    progress = Progress(driver.spec, folder, driver.history, "json", verbose=False)
    key = TrialKey(0)
    measured = Measured(key, Measurement(1, 1, 1.0, 0.1, {"loss": math.nan}, None))
    for seq, row in enumerate((Asked(key, {"x": 0.5}, 1, 0), measured), start=1):
        driver.history.apply(Stamp(seq, float(seq)), row)
        progress.observe(Stamp(seq, float(seq)), row)
    last = capsys.readouterr().out.splitlines()[-1]

    assert json.loads(last, parse_constant=pytest.fail)["values"] == {"loss": {"__float__": "nan"}}


def test_plain_lines_tell_state_best_budget_and_speed(folder: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    driver, _ = shown(folder, "auto")
    out = capsys.readouterr().out
    first, place, note, *lines = out.splitlines()

    assert first == f"sweep bowl: 12 trials, 3 at a time, loss minimized, in {folder.path}"
    assert place == "dashboard http://127.0.0.1:8265"
    assert note == "note: a note"
    best = best_of(driver.spec, driver.history)
    assert best is not None
    assert f"best {best.value:.4f} (trial {best.trial.key.label})" in lines[-1]
    assert "12/12 trials" in lines[-1]
    assert "reports/s" in lines[-1]
    assert "complete" in lines[-1]


def test_the_first_measurement_is_a_line_and_verbose_shows_each(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    driver, _ = shown(folder, "auto", verbose=True, trials=3)
    lines = capsys.readouterr().out.splitlines()
    reports = sum(len(trial.measurements) for trial in driver.history.trials.values())

    assert sum(" at " in line for line in lines) >= reports


def test_nothing_is_shown_where_nothing_is_wanted(folder: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    shown(folder, "none")

    assert capsys.readouterr().out == ""


def test_the_panel_lists_states_best_budget_and_the_trials_in_training(folder: SweepFolder) -> None:
    many = {f"another_parameter_{i}": {"float": [0.0, 1.0]} for i in range(9)}
    driver = open_driver(folder, small_spec(time="10m", space={**TABLE["space"], **many}))
    progress = Progress(driver.spec, folder, driver.history, "auto", verbose=False)
    driver.observe = progress.observe
    driver.start({})
    Simulation(driver).run(stop=lambda: len(driver.history.search) == 5)
    text = io.StringIO()
    Console(file=text, width=100).print(progress._panel(progress.summary(driver.history.last.time)))
    best = best_of(driver.spec, driver.history)

    assert best is not None
    assert f"{best.value:.4f} (trial {best.trial.key.label})" in text.getvalue()
    assert "5/12 trials, 0:00 of 10:00" in text.getvalue()
    running = [trial for trial in driver.history.search if trial.state == "running"]
    assert running
    assert any(line.split() == ["trial", "reports", "loss", "parameters"] for line in text.getvalue().splitlines())
    for trial in running:
        assert any(line.split()[:1] == [trial.key.label] for line in text.getvalue().splitlines())
