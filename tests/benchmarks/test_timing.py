"""Tests of benchmark timings: turns of arms, marks of a sweep, the use of slots, and the time to an accuracy."""

import io
import math
import os
import time

import pytest
import time_to_accuracy
from concurrency import Memory, rows_of, used
from machine import in_turn, provenance
from time_to_accuracy import accuracy, reached

from study.measurement import Measurement
from sweeps.search.history import Asked, History, Measured, Moved, Row, Stamp, TrialKey


def history_of(asked: list[float], work: float) -> History:
    """Return the history of trials that were asked for at these moments and each worked for `work` seconds."""
    rows: list[tuple[float, Row]] = []
    for number, moment in enumerate(asked):
        key = TrialKey(number)
        rows.append((moment, Asked(key, {}, 0, 0)))
        rows.append((moment + work, Measured(key, Measurement(1, 1, 1.0, work, {"loss": 0.0}))))
        rows.append((moment + work, Moved(key, "complete", "")))
    ordered = sorted(rows, key=lambda row: row[0])
    return History((Stamp(seq, moment), row) for seq, (moment, row) in enumerate(ordered, start=1))


def test_each_round_begins_with_another_arm_and_has_all() -> None:
    rounds = [in_turn("abc", turn) for turn in range(4)]
    assert ["".join(arms) for arms in rounds] == ["abc", "bca", "cab", "abc"]


def test_a_table_says_what_its_numbers_hang_on() -> None:
    assert {"processor", "cpus", "load before", "commit", "torch", "pyarrow"} <= provenance("pyarrow").keys()


def test_a_trial_costs_the_time_from_one_ask_to_the_next_between_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memory, "at", lambda self, moment: moment)
    history = history_of([0.0, 1.0, 2.0, 6.0, 10.0], work=0.5)

    rows = rows_of(history, Memory(), [2])
    assert [(row["trials"], row["milliseconds"], row["memory"]) for row in rows] == [(2, 1000, 2), (4, 4000, 10)]


def test_slots_are_used_as_far_as_trials_worked_since_each_had_one() -> None:
    full = history_of([0.0, 0.0, 4.0, 4.0, 8.0, 8.0], work=4)
    half = history_of([0.0, 0.0, 4.0, 8.0, 12.0], work=4)

    assert used(full, slots=2, work=4) == (1, 4)
    assert used(half, slots=2, work=4) == (0.5, 8)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"accuracy": 0.5}', 0.5),
        ('{"kind": "measured", "values": {"validation_accuracy": 0.75}}', 0.75),
        ('{"kind": "asked"}', 0),
        ("[1]", 0),
        ("(raylet) a note", 0),
    ],
)
def test_a_line_of_a_run_tells_an_accuracy_or_none(line: str, found: float) -> None:
    assert accuracy(line) == found


def test_an_accuracy_is_reached_at_the_first_line_that_is_good_enough() -> None:
    start = time.perf_counter()
    good = io.StringIO('{"accuracy": 0.9}\n{"accuracy": 0.985}\n{"accuracy": 0.99}\n')
    assert 0 < reached(good, start) <= time.perf_counter() - start

    with pytest.raises(RuntimeError, match="ended before it was good enough"):
        reached(io.StringIO('{"accuracy": 0.9}\n'), start)


def test_a_run_that_is_not_good_enough_in_time_counts_as_longer_than_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_to_accuracy, "LIMIT", 0.0)
    reader, writer = os.pipe()
    with os.fdopen(reader) as silent, os.fdopen(writer, "w"):
        assert reached(silent, time.perf_counter()) == math.inf
