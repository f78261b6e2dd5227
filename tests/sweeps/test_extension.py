"""Tests of extending a sweep: it continues as if it had been longer, and trials left at a rung may be promoted."""

import sqlite3
import tomllib
from pathlib import Path

import pytest
from simulation import TABLE, Simulation, open_driver, small_spec

import sweeps
from sweeps.errors import SpecError
from sweeps.search.extension import as_extended, ended_by, extension
from sweeps.search.history import PUBLISHED, Asked, Decided, History, Moved, Noted, Stamp, TrialKey
from sweeps.search.verification import verify
from sweeps.spec import load_spec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger


def test_a_longer_sweep_promotes_what_the_shorter_one_left_paused(folder: SweepFolder) -> None:
    pruning = {"reduction_factor": 3, "max_fidelity": 9}
    spec = small_spec(pruning=pruning, sampler={"name": "random"})  # later trials are no better than early ones
    driver = open_driver(folder, spec)
    driver.start({})
    Simulation(driver).run()
    left = {trial.key for trial in driver.history.search if trial.state == "paused"}
    end = driver.history.last.seq
    more = extension(spec, {"trials": 24})
    assert more is not None
    driver.record(more)

    longer = open_driver(folder, as_extended(spec, driver.history))
    longer.start({})
    Simulation(longer).run()
    rows = Ledger.open(folder.ledger, read_only=True).rows()

    assert len(longer.history.search) == spec.trials + 24
    late = {row.key for stamp, row in rows if stamp.seq > end and isinstance(row, Decided) and row.verdict == "promote"}
    assert late & left
    assert verify(spec, rows).difference is None


def test_the_time_between_sessions_and_their_extension_is_not_counted() -> None:
    history = History()
    more = extension(small_spec(time="10m"), {"trials": 3})
    assert more is not None
    for time, row in ((100.0, Noted("session", {})), (160.0, Noted("outcome", {})), (900.0, more)):
        history.apply(Stamp(history.last.seq + 1, time), row)
    assert history.worked == 60.0
    history.apply(Stamp(4, 905.0), Noted("session", {}))

    assert history.elapsed(910.0) == 65.0


def test_extensions_add_up_and_nothing_else_changes() -> None:
    spec, history = small_spec(time="10m"), History()
    for added in ({"trials": 5, "time": "1m"}, {"time": 30.0}, {"trials": 2, "trial_time": None}):
        more = extension(spec, added)
        assert more is not None
        history.apply(Stamp(history.last.seq + 1, 0.0), more)
    extended = as_extended(spec, history)

    assert (extended.trials, extended.time) == (spec.trials + 7, 600 + 90)
    assert load_spec({**extended.to_table(), "trials": spec.trials, "time": 600.0}) == spec
    assert extension(spec, {}) is None
    assert as_extended(spec, History()) == spec


@pytest.mark.parametrize(
    ("table", "more", "message"),
    [
        ({}, {"trials": 0}, "trials: give a number of 1 or more, but got 0"),
        ({}, {"time": "10m"}, "can't be extended by time: it has no limit"),
        ({}, {"device_hours": 1.0}, "can't be extended by device_hours: it has no limit"),
        ({"time": "1m"}, {"time": "ten"}, "time: a duration is written like 90s, 10m or 1h30m, but got 'ten'"),
        ({"time": "1m"}, {"time": "0s"}, "time: must be more than 0, but got '0s'"),
    ],
)
def test_what_extends_nothing_is_refused(table: dict, more: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        extension(small_spec(**table), more)


def test_a_design_is_not_extended_by_trials() -> None:
    with pytest.raises(SpecError, match="a design says itself how many there are"):
        extension(load_spec({"name": "d", "design": {"cells": [{"name": "a"}]}}), {"trials": 3})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", "20"], "--trials says how much is added, like +20 or +10m, but got '20'"),
        (["--trials", "+x"], "--trials takes a whole number behind its +, but got '+x'"),
        (["--time", "+10m"], "the sweep can't be extended by time: it has no limit"),
    ],
)
def test_a_wrong_extension_is_one_line_and_changes_nothing(
    call, tmp_path: Path, words: list[str], message: str
) -> None:
    open_driver(SweepFolder(tmp_path / "results", "bowl"), small_spec()).start({})
    ledger = tmp_path / "results/sweeps/bowl/ledger.sqlite"
    before = Ledger.open(ledger, read_only=True).rows()
    code, _, err = call("resume", "bowl", *words)

    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert Ledger.open(ledger, read_only=True).rows() == before


def test_an_extension_that_the_spec_does_not_allow_is_not_recorded(call, tmp_path: Path) -> None:
    grid = {"x": {"choice": [0.1, 0.2]}, "kind": {"choice": ["a", "b"]}}
    folder = SweepFolder(tmp_path / "results", "bowl")
    driver = open_driver(folder, small_spec(space=grid, sampler="grid", trials=3))
    driver.start({})
    code, _, err = call("resume", "bowl", "--trials", "+20")

    assert code == 2
    assert "there are 4 configurations in all, but got trials=23" in err
    assert list(sweeps.load("bowl", results=folder.results).history.noted("extended")) == []


def test_a_changed_ledger_is_not_gone_on_with(call, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "results", "bowl")
    driver = open_driver(folder, small_spec())
    driver.start({})
    Simulation(driver).run(stop=lambda: driver.history.last.seq > 20)
    with sqlite3.connect(folder.ledger) as connection:
        connection.execute("UPDATE measurements SET fidelity = 2 WHERE seq = (SELECT min(seq) FROM measurements)")
    code, _, err = call("resume", "bowl")

    assert code == 4
    assert "in measurements, was changed after it was written): `sweeps export bowl --to saved` saves the rest" in err


@pytest.mark.slow
def test_a_sweep_that_is_over_goes_on_with_more_trials(ray_with_gpus: Path, tmp_path: Path) -> None:
    sweeps.run(
        {**TABLE, "trials": 4, "selection": {"candidates": 1, "seeds": 1, "published_seeds": 1}},
        results=tmp_path,
        progress="none",
    )
    result = sweeps.resume("bowl", results=tmp_path, trials=3, progress="none")

    assert len(result.trials) == result.spec.trials == 7
    assert [note.body["trials"] for note in result.history.noted("outcome")] == [4, 7]
    assert tomllib.loads(result.folder.spec.read_text())["trials"] == 7
    assert sweeps.verify("bowl", results=tmp_path).holds


def test_select_on_a_cluster_trains_what_the_new_rule_adds(ray_with_gpus: Path, tmp_path: Path, call) -> None:
    selection = {"candidates": 1, "seeds": 1, "published_seeds": 1}
    before = sweeps.run({**TABLE, "trials": 3, "selection": selection}, results=tmp_path, progress="none")
    code, out, err = call("select", "bowl", "--published-seeds", "2", "--results", str(tmp_path))
    after = sweeps.load("bowl", results=tmp_path)

    assert code == 0, err
    assert "on 2 further seeds" in out
    assert set(after.history.trials) - set(before.history.trials) == {
        TrialKey(number, PUBLISHED + 2) for number in {after.history.outcome["winner"], 0}
    }
    assert after.spec.selection.published_seeds == 2
    assert tomllib.loads(after.folder.spec.read_text())["selection"]["published_seeds"] == 2
    assert sweeps.verify("bowl", results=tmp_path).holds


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 3, "no sweep named 'nothing'"),
        (["bowl", "--seeds", "-1"], 2, "select: selection.seeds: must be 0 or more"),
        (["bowl", "--rule", "cheapest"], 2, "select: selection.rule"),
        (["bowl", "--rule", "within_one_se"], 2, "give selection.cost"),
    ],
)
def test_a_select_that_makes_no_sense_is_one_line(
    folder: SweepFolder, call, arguments: list[str], code: int, message: str
) -> None:
    open_driver(folder, small_spec()).start({})
    rows = Ledger.open(folder.ledger, read_only=True).rows()
    found, _, err = call("select", *arguments, "--results", str(folder.results))

    assert found == code
    assert message in err
    assert Ledger.open(folder.ledger, read_only=True).rows() == rows


def test_a_budget_that_closed_the_search_is_named_though_the_selection_left_some_of_it() -> None:
    history = History([(Stamp(1, 0.0), Noted("session", {}))])
    rows = (Asked(TrialKey(0), {"x": 0.5, "kind": "a"}, 1, 1), Moved(TrialKey(0), "complete", "full fidelity"))
    for row in (*rows, Noted("closed", {"budget": "time"})):
        history.apply(Stamp(history.last.seq + 1, 1.0), row)

    assert ended_by(small_spec(time="100s"), history) == ["time"]
