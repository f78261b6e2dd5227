"""Tests of replays: identical if nothing was touched, and different if a single stored value was."""

import json
import sqlite3
from pathlib import Path

import pytest
from functions import bowl
from simulation import Simulation, open_driver, small_spec

import sweeps
from sweeps.errors import SweepError
from sweeps.store.folders import SweepFolder

HERE = "WHERE number = 1 AND replicate = 0"


@pytest.fixture
def finished(folder: SweepFolder) -> sweeps.Result:
    """Return a sweep of three trials over a function, each at full fidelity."""
    driver = open_driver(folder, small_spec(trials=3, pruning={"name": "none"}))
    driver.start({})
    Simulation(driver).run()
    return sweeps.load(folder.name, results=folder.results)


def change(result: sweeps.Result, statement: str, *values: object) -> sweeps.Result:
    """Return the sweep after a statement that must change exactly one of its stored rows."""
    connection = sqlite3.connect(result.folder.ledger)
    assert connection.execute(statement, values).rowcount == 1
    connection.commit()
    connection.close()
    return sweeps.load(result.name, results=result.folder.results)


@pytest.mark.parametrize("trial", [0, 1, "2"])
def test_an_untouched_trial_is_identical(finished: sweeps.Result, trial: int | str) -> None:
    replay = finished.reproduce(trial)

    assert replay.identical
    assert replay.compared == 9
    assert replay.environment == ()


@pytest.mark.parametrize("report", [1, 5, 9])
def test_one_changed_metric_is_found_at_its_report(finished: sweeps.Result, report: int) -> None:
    stored = finished.trial(1).measurements[report - 1].values["loss"]

    changed = change(
        finished,
        f"UPDATE measurements SET metrics = ? {HERE} AND report = ?",
        json.dumps({"loss": stored * (1 + 1e-15) + 1e-15}),
        report,
    )
    replay = changed.reproduce(1)

    assert not replay.identical
    assert replay.difference is not None
    assert replay.difference.startswith(f"report {report}: ")
    assert "loss" in replay.difference
    assert replay.compared == report - 1
    assert changed.reproduce(0).identical


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        (f"UPDATE measurements SET step = step + 1 {HERE} AND report = 4", "step"),
        (f"UPDATE measurements SET fidelity = 4.5 {HERE} AND report = 4", "fidelity"),
        (f"UPDATE measurements SET digest = 'ab' {HERE} AND report = 4", "digest"),
        (
            f"UPDATE trials SET params = replace(params, '\"x\": 0', '\"x\": 1') {HERE}",
            "loss",
        ),
        (f"UPDATE trials SET seed = seed + 1 {HERE}", "loss"),
    ],
)
def test_every_stored_value_counts(finished: sweeps.Result, statement: str, word: str) -> None:
    replay = change(finished, statement).reproduce(1)

    assert not replay.identical
    assert word in str(replay.difference)


def test_a_changed_function_is_named_as_what_differs(finished: sweeps.Result, tmp_path: Path) -> None:
    finished._function = other_bowl
    replay = finished.reproduce(1)

    assert not replay.identical
    assert any("source" in line for line in replay.environment)


def other_bowl(params, seed):
    for report in range(1, 10):
        yield {"loss": params["x"] / report}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_function_prints_does_not_stop_its_replay(
    finished: sweeps.Result, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    finished._function = talkative_bowl

    assert finished.reproduce(1).identical


def talkative_bowl(params, seed):
    for row in bowl(params, seed):
        print("Verlust → époque 😀 \ud800")
        yield row


def one_report(params, seed):
    import random

    noise = random.Random(seed).gauss(0, 0.01)
    yield {"loss": (params["x"] - 0.3) ** 2 + 1 + noise}


def test_a_trial_that_now_ends_earlier_is_different(finished: sweeps.Result) -> None:
    finished._function = one_report

    assert finished.reproduce(1).difference == "it ended after report 1, 9 are stored"


def test_a_trial_without_a_report_cannot_be_replayed(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(trials=1))
    driver.start({})
    driver.next_leg()
    with pytest.raises(SweepError, match="has no measurement to compare"):
        sweeps.load(folder.name, results=folder.results).reproduce(0)


def test_parameters_come_in_the_order_of_the_space(folder: SweepFolder) -> None:
    space = {"width": {"float": [0.0, 1.0]}, "lr": {"float": [0.0, 1.0]}, "a": {"choice": ["x", "y"]}}
    driver = open_driver(folder, small_spec(trials=3, space=space, pruning={"name": "none"}))
    driver.start({})
    simulation = Simulation(driver)
    simulation.function = in_order
    simulation.run()
    result = sweeps.load(folder.name, results=folder.results, target=in_order)

    assert all(result.reproduce(trial).identical for trial in range(3))


def in_order(params, seed):
    width, lr, _ = params.values()
    for report in range(1, 10):
        yield {"loss": width / report + lr * report}
