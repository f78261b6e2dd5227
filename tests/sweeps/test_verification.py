"""Tests of verification: recorded rows follow from the history again, and one changed value is found and named."""

import math
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, open_driver, rows_of, small_spec

import sweeps
from study.measurement import Measurement
from sweeps.execution.conclusion import conclude
from sweeps.search.history import PUBLISHED, Asked, Decided, History, Measured, Moved, Noted, Row, Stamp, TrialKey
from sweeps.search.selection import BASELINE
from sweeps.search.suggestion import suggest, trial_seed
from sweeps.search.verification import verify
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger

Rows = list[tuple[Stamp, Row]]
TABLES = ("trials", "measurements", "decisions", "transitions", "notes")


def run(folder: SweepFolder, spec: SweepSpec, seed: int = 0, stops: tuple[int, ...] = ()) -> Rows:
    """Run a simulated sweep, killed and resumed at the rows in `stops`, and return its rows."""
    for stop in (*stops, None):
        driver = open_driver(folder, spec)
        driver.start({})
        Simulation(driver, seed=seed).run(stop=lambda d=driver, s=stop: s is not None and d.history.last.seq >= s)
    return Ledger.open(folder.ledger, read_only=True).rows()


@settings(max_examples=12)
@given(
    seed=st.integers(0, 99),
    variant=st.sampled_from(["promote", "stop"]),
    sampler=st.sampled_from(["tpe", "random"]),
    stops=st.lists(st.integers(3, 80), max_size=3).map(lambda found: tuple(sorted(found))),
)
def test_whatever_happened_follows_from_the_ledger(
    tmp_path_factory: pytest.TempPathFactory, seed: int, variant: str, sampler: str, stops: tuple[int, ...]
) -> None:
    spec = small_spec(pruning={"variant": variant, "max_fidelity": 9}, sampler={"name": sampler})
    rows = run(SweepFolder(tmp_path_factory.mktemp("sweep"), "bowl"), spec, seed, stops)
    found = verify(spec, rows)

    assert found.difference is None
    assert found.suggestions == sum(isinstance(row, Asked) for _, row in rows)
    assert found.decisions == sum(isinstance(row, Decided) for _, row in rows)


@pytest.fixture
def finished(folder: SweepFolder) -> SweepFolder:
    run(folder, small_spec())
    return folder


def columns(folder: SweepFolder) -> list[tuple[str, str]]:
    with sqlite3.connect(folder.ledger) as connection:
        return [
            (table, column)
            for table in TABLES
            for _, column, *_ in connection.execute(f"PRAGMA table_info({table})")
            if column != "seq"
        ]


def changed(value: Any) -> Any:
    if value is None:
        return "something"
    return value + 1000 if isinstance(value, int | float) else value.replace("0", "1", 1) + " "


def test_every_single_stored_value_counts_and_names_its_trial(finished: SweepFolder) -> None:
    assert sweeps.verify("bowl", results=finished.results).holds
    places = columns(finished)
    assert len(places) > 30
    connection = sqlite3.connect(finished.ledger)
    for table, column in places:
        query = f"SELECT seq, number, replicate, {column} FROM {table} ORDER BY seq DESC LIMIT 1"
        ((seq, *key, value),) = connection.execute(query)
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE seq = ?", (changed(value), seq))
        connection.commit()
        found = sweeps.verify("bowl", results=finished.results)
        assert f"row {seq}, in {table}, was changed" in str(found.difference), (table, column)
        if column not in ("number", "replicate") and key[0] is not None:
            assert str(found.difference).startswith(f"trial {TrialKey(*key).label}: ")
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE seq = ?", (value, seq))
        connection.commit()
    connection.close()
    assert sweeps.verify("bowl", results=finished.results).holds


def test_rows_that_do_not_fit_each_other_are_refused_in_one_line(finished: SweepFolder) -> None:
    with sqlite3.connect(finished.ledger) as connection:
        connection.execute("UPDATE trials SET number = 99 WHERE number = 3 AND replicate = 0")
    with pytest.raises(sweeps.LedgerError, match=r"damaged .a row speaks of .*3.*`sweeps export` saves what can"):
        sweeps.load("bowl", results=finished.results)


def first(rows: Rows, wanted: Callable[[Row], bool]) -> int:
    return next(i for i, (_, row) in enumerate(rows) if wanted(row))


def put(rows: Rows, place: int, **fields: Any) -> Rows:
    stamp, row = rows[place]
    return [*rows[:place], (stamp, replace(row, **fields)), *rows[place + 1 :]]


# The following is found without the chain of digests too: even where that is repaired, the search itself reveals it.


def test_a_suggestion_that_the_sampler_did_not_make_is_named(folder: SweepFolder) -> None:
    rows = run(folder, small_spec())
    place = first(rows, lambda row: isinstance(row, Asked) and row.key.number == 5)
    params = dict(rows[place][1].params)  # type: ignore[union-attr]

    found = verify(small_spec(), put(rows, place, params={**params, "x": params["x"] + 1e-15}))
    assert str(found.difference).startswith("trial 5: its suggestion")
    assert "x is recorded as" in str(found.difference)
    assert "seed is recorded" in str(verify(small_spec(), put(rows, place, seed=1)).difference)
    assert "saw the history up to row 0" in str(verify(small_spec(), put(rows, place, seen=0)).difference)


def test_a_decision_that_asha_did_not_take_is_named(folder: SweepFolder) -> None:
    rows = run(folder, small_spec())
    place = first(rows, lambda row: isinstance(row, Decided) and row.verdict == "pause")
    label = rows[place][1].key.label  # type: ignore[union-attr]

    difference = str(verify(small_spec(), put(rows, place, verdict="continue")).difference)
    assert difference.startswith(f"trial {label}: its decision at rung 0")
    assert "recorded is continue" in difference


def test_a_result_that_was_made_better_no_longer_explains_what_followed(folder: SweepFolder) -> None:
    rows = run(folder, small_spec())
    place = first(rows, lambda row: isinstance(row, Measured) and row.key.number == 2)
    old: Measurement = rows[place][1].measurement  # type: ignore[union-attr]

    better = replace(old, values={"loss": -1.0})
    assert verify(small_spec(), put(rows, place, measurement=better)).difference is not None


def test_a_report_that_a_deterministic_sweep_took_out_of_turn_is_named(folder: SweepFolder) -> None:
    pruning = {"name": "none", "max_fidelity": 9}
    rows = run(folder, small_spec(pruning=pruning), seed=3)  # in the order of arrival

    difference = verify(small_spec(pruning=pruning, deterministic=True), rows).difference
    assert "which was due first" in str(difference)


def test_another_seed_gives_other_suggestions(folder: SweepFolder) -> None:
    rows = run(folder, small_spec())

    assert verify(small_spec(seed=1), rows).difference is not None


SELECTION = {"candidates": 2, "seeds": 2, "published_seeds": 2}


def concluded(folder: SweepFolder) -> Rows:
    """Return the rows of a small sweep up to its outcome."""
    driver = open_driver(folder, small_spec(selection=SELECTION))
    driver.start({})
    Simulation(driver).run()
    conclude(driver, None, None)
    return rows_of(folder)


def test_whatever_of_an_outcome_the_runs_do_not_give_is_named(folder: SweepFolder) -> None:
    rows, spec = concluded(folder), small_spec(selection=SELECTION)
    assert verify(spec, rows).difference is None
    place = first(rows, lambda row: isinstance(row, Noted) and row.kind == "outcome")
    body = rows[place][1].body  # type: ignore[union-attr]
    estimates = {f"{who}{part}" for who in ("", "baseline_") for part in ("mean", "low", "high", "n")}

    assert {"winner", "final", "difference", "optimism", *estimates} < set(body)
    for name in body.keys() - {"reason"}:  # words, which may differ in another version
        difference = str(verify(spec, put(rows, place, body={**body, name: -7})).difference)
        assert f"its {name} is recorded as -7, and computed again" in difference


def test_a_value_on_a_fresh_seed_that_was_changed_gives_another_outcome(folder: SweepFolder) -> None:
    rows, spec = concluded(folder), small_spec(selection=SELECTION)
    last = max(i for i, (_, r) in enumerate(rows) if isinstance(r, Measured) and r.key.stage == "publication")
    key = rows[last][1].key  # type: ignore[union-attr]
    winner = next(row.body["winner"] for _, row in rows if isinstance(row, Noted) and row.kind == "outcome")
    place = max(
        i for i, (_, r) in enumerate(rows) if isinstance(r, Measured) and r.key == TrialKey(winner, key.replicate)
    )
    old: Measurement = rows[place][1].measurement  # type: ignore[union-attr]
    changed = put(rows, place, measurement=replace(old, values={"loss": -1.0}))

    assert "its mean is recorded as" in str(verify(spec, changed).difference)


def test_a_run_on_a_fresh_seed_that_nobody_needed_is_named(folder: SweepFolder) -> None:
    rows, spec = concluded(folder), small_spec(selection=SELECTION)
    place = first(rows, lambda row: isinstance(row, Asked) and row.key.stage == "choice")
    key = rows[place][1].key  # type: ignore[union-attr]

    difference = str(verify(spec, put(rows, place, key=TrialKey(key.number, 9))).difference)
    assert "the selection did not need it" in difference


def test_an_outcome_of_a_sweep_that_was_not_over_is_named(folder: SweepFolder) -> None:
    rows, spec = concluded(folder), small_spec(selection=SELECTION)
    place = first(rows, lambda row: isinstance(row, Noted) and row.kind == "outcome")
    last = max(i for i, (_, row) in enumerate(rows) if isinstance(row, Asked) and row.key.stage == "publication")
    early = [(Stamp(rows[last - 1][0].seq + 1, rows[last - 1][0].time), rows[place][1])]

    assert "the sweep was not over" in str(verify(spec, rows[:last] + early).difference)
    assert "the search was not over" in str(verify(small_spec(trials=30, selection=SELECTION), rows).difference)


def test_more_trials_than_the_search_was_to_try_are_named(folder: SweepFolder) -> None:
    rows = concluded(folder)

    difference = str(verify(small_spec(trials=5, selection=SELECTION), rows).difference)
    assert "trial 5: its suggestion" in difference
    assert "the search was to try 5 trials" in difference


def test_a_fresh_seed_before_the_search_is_over_is_named(folder: SweepFolder) -> None:
    rows, spec = concluded(folder), small_spec(selection=SELECTION)
    place = first(rows, lambda row: isinstance(row, Asked) and row.key.number == 5)
    early = Asked(TrialKey(1, 1), {}, 0, rows[place - 1][0].seq)

    difference = str(verify(spec, [*rows[:place], (rows[place][0], early)]).difference)
    assert "the search was not over" in difference


def test_a_model_that_is_called_complete_before_its_last_epoch_is_named() -> None:
    table = {"name": "model", "trials": 1, "sampler": "random", "training": {"epochs": 2}}
    spec = load_spec({**table, "space": {"learning_rate": {"float": [0.1, 0.2], "default": 0.1}}})
    key = TrialKey(0)

    def ended(epochs: float) -> str | None:
        row = Asked(key, suggest(spec, History(), 0), trial_seed(spec, 0), 0)
        measured = Measured(key, Measurement(1, 9, epochs, 1.0, {"validation_accuracy": 0.9}))
        rows = [row, measured, Moved(key, "complete", "")]
        return verify(spec, [(Stamp(seq, float(seq)), row) for seq, row in enumerate(rows, start=1)]).difference

    assert ended(2.0) is None
    assert str(ended(1.0)).endswith("it ended at 1 epoch of 2")


def test_the_last_bits_of_another_librarys_quantile_are_no_difference(folder: SweepFolder) -> None:
    rows, spec = concluded(folder), small_spec(selection=SELECTION)
    place = first(rows, lambda row: isinstance(row, Noted) and row.kind == "outcome")
    body = rows[place][1].body  # type: ignore[union-attr]
    moved = {name: math.nextafter(value, math.inf) for name, value in body.items() if isinstance(value, float)}

    assert verify(spec, put(rows, place, body={**body, **moved})).difference is None


def test_a_run_that_is_published_before_the_choice_is_decided_is_named(folder: SweepFolder) -> None:
    rows, spec = concluded(folder), small_spec(selection=SELECTION)
    place = first(rows, lambda row: isinstance(row, Asked) and row.key.stage == "choice" and row.key.number != BASELINE)
    number = rows[place][1].key.number  # type: ignore[union-attr]

    difference = str(verify(spec, put(rows, place, key=TrialKey(number, PUBLISHED + 1))).difference)
    assert "the selection did not need it" in difference
