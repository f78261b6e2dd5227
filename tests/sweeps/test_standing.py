"""The best trial so far and the counts by state, kept up row by row, are those that a look at all trials gives."""

import math
from collections import Counter

import pytest
from fresh import history_of
from hypothesis import given
from hypothesis import strategies as st
from simulation import Simulation, open_driver, small_spec

from study.measurement import Measurement
from sweeps.search.history import DIVERGED, Asked, Decided, History, Measured, Moved, Row, Stamp, Trial, TrialKey
from sweeps.search.standing import Leader, best_of
from sweeps.store.folders import SweepFolder

REPORTS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 1),
        st.sampled_from([0.1, 0.2, 0.2, 0.5, 1.0, math.nan, math.inf]),
        st.sampled_from(["", "", "", "failed", "complete"]),
    ),
    max_size=30,
)


def best_by_a_look_at_all(history: History, sign: int) -> Trial | None:
    able = [t for t in history.search if t.state != "failed" and t.value("loss") is not None]
    return min(able, key=lambda t: (sign * (t.value("loss") or 0.0), t.key.number), default=None)


@given(REPORTS, st.sampled_from(["minimize", "maximize"]))
def test_the_leader_after_each_row_is_the_best_of_all(reports: list, direction: str) -> None:
    spec = small_spec(direction=direction)
    sign = 1 if direction == "minimize" else -1
    history = History()
    leader = Leader(spec, history)

    def take(row: Row) -> None:
        history.apply(Stamp(history.last.seq + 1, 0.0), row)
        expected = best_by_a_look_at_all(history, sign)
        assert leader.now() is expected
        assert best_of(spec, history) is expected
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


def test_a_leader_that_stands_is_found_at_one_look(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = open_driver(folder, small_spec(trials=40, pruning="none"))
    driver.start({})
    Simulation(driver).run()
    leader, looks, value = Leader(driver.spec, driver.history), list[Trial](), Trial.value
    leader.now()
    monkeypatch.setattr(Trial, "value", lambda trial, metric: looks.append(trial) or value(trial, metric))

    best = leader.now()
    assert looks == [best]
    assert best is best_of(driver.spec, driver.history)


def test_runs_on_fresh_seeds_are_not_the_searchs_best() -> None:
    history = history_of({TrialKey(0): 0.5, TrialKey(0, 1): 0.1})

    assert best_of(small_spec(), history) is history.trials[TrialKey(0)]
