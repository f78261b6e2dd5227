"""Tests of the best trial so far and the counts by state: updated row by row, they equal those of a full scan."""

import math
from collections import Counter

import pytest
from fresh import history_of
from hypothesis import given
from hypothesis import strategies as st
from simulation import small_spec

from study.measurement import Measurement
from sweeps.search.history import DIVERGED, Asked, Decided, History, Measured, Moved, Row, Stamp, TrialKey
from sweeps.search.standing import Leader, best_of, shown_state

REPORTS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 1),
        st.sampled_from([0.1, 0.2, 0.2, 0.5, 1.0, math.nan, math.inf]),
        st.sampled_from(["", "", "", "failed", "complete"]),
    ),
    max_size=30,
)


def best_by_a_look_at_all(history: History, sign: int) -> tuple[float, int] | None:
    """Return the best finite `sign * loss` of all reports in the search and its trial's number, or None without one."""
    reports = [(sign * m.values["loss"], t.key.number) for t, m in history.measured if t.key.replicate == 0]
    return min((r for r in reports if math.isfinite(r[0])), key=lambda r: r[0], default=None)


@given(REPORTS, st.sampled_from(["minimize", "maximize"]))
def test_the_leader_after_each_row_is_the_best_of_all_and_never_goes_back(reports: list, direction: str) -> None:
    spec = small_spec(direction=direction)
    sign = 1 if direction == "minimize" else -1
    history = History()
    leader = Leader(spec, history)

    def take(row: Row) -> None:
        history.apply(Stamp(history.last.seq + 1, 0.0), row)
        expected, before = best_by_a_look_at_all(history, sign), leader.now()
        best = leader.now()
        assert (best and (sign * best.value, best.trial.key.number)) == expected
        assert best_of(spec, history) == best
        assert before is None or (best is not None and sign * best.value <= sign * before.value)
        assert +Counter(history.counts()) == Counter(trial.state for trial in history.trials.values())

    for number, replicate, value, end in reports:
        key = TrialKey(number, replicate)
        if key not in history.trials:
            take(Asked(key, {"x": 0.5}, 0, 0))
        trial = history.trials[key]
        if trial.state != "running":
            continue
        fidelity = len(trial.measurements) + 1
        take(Measured(key, Measurement(fidelity, fidelity, fidelity, 1.0, {"loss": value})))
        if not math.isfinite(value):
            take(Decided(key, DIVERGED, fidelity, "stop", "diverged", 0))
        elif end:
            take(Moved(key, end, ""))


def test_a_leader_stays_where_its_trial_gets_worse_diverges_or_fails() -> None:
    history, key = History(), TrialKey(0)
    leader = Leader(small_spec(), history)
    for row in (
        Asked(key, {"x": 0.5}, 0, 0),
        Measured(key, Measurement(1, 1, 1.0, 1.0, {"loss": 0.1})),
        Measured(key, Measurement(2, 2, 2.0, 1.0, {"loss": 0.3})),
        Moved(key, "failed", "ValueError"),
    ):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)

    best = leader.now()
    assert best is not None
    assert (best.trial, best.value, best.fidelity) == (history.trials[key], 0.1, 1.0)


@pytest.mark.parametrize(
    ("trial", "sweep", "shown"),
    [
        ("paused", "over", "stopped at a rung"),
        ("paused", "stopped", "paused"),
        ("paused", "running", "paused"),
        ("running", "stopped", "halted"),
        ("complete", "over", "complete"),
    ],
)
def test_a_trial_of_a_sweep_that_is_over_waits_for_nothing(trial: str, sweep: str, shown: str) -> None:
    assert shown_state(trial, sweep) == shown


def test_runs_on_fresh_seeds_are_not_the_searchs_best() -> None:
    history = history_of({TrialKey(0): 0.5, TrialKey(0, 1): 0.1})

    best = best_of(small_spec(), history)
    assert best is not None
    assert (best.trial, best.value) == (history.trials[TrialKey(0)], 0.5)
