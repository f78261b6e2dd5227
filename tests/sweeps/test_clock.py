"""Tests of a system clock that is set at any moment: nothing that is counted, waited for or decided changes."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from simulation import Simulation, open_driver, rows_of, small_spec, told

from sweeps.clock import SessionClock, machine
from sweeps.execution.messages import Leg
from sweeps.search.budgets import DEVICE_HOURS, TRIAL_TIME, Limit
from sweeps.search.history import LOST, Moved, TrialKey
from sweeps.store.folders import SweepFolder

JUMPS = st.sampled_from([-1e6, -600.0, -1.0, 1.0, 600.0, 1e6])


@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(jumps=st.lists(st.tuples(st.integers(0, 100), JUMPS), max_size=6), between=JUMPS)
def test_no_order_of_clock_jumps_changes_what_is_counted_or_decided(
    jumps: list[tuple[int, float]], between: float
) -> None:
    assert story(jumps, between) == undisturbed()


@cache
def undisturbed() -> Any:
    return story()


def story(jumps: Sequence[tuple[int, float]] = (), between: float = 0.0) -> Any:
    """Return the decisions and all counts of two sessions of a sweep with all budgets of time and with lost workers.

    Args:
        jumps: Pairs of a number of messages and the seconds by which the system's clock is set after them.
        between: The seconds by which it is set after each session.
    """
    offset, passed, messages = [1e9], [500.0], [0]
    clocks = SimpleNamespace(time=lambda: offset[0] + passed[0], monotonic=lambda: passed[0])
    budgets = {"time": 24, "trial_time": 2, "device_hours": 1}
    retries = {"lost": 9, "wait": 2}
    spec = small_spec(trials=30, sampler="random", selection="none", retries=retries, **budgets)
    waited = []
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patched:
        for module in ("sweeps.clock", "sweeps.store.ledger"):
            patched.setattr(f"{module}.time", clocks)
        patched.setattr("time.time", clocks.time)
        folder = SweepFolder(Path(place), "bowl")
        for most in (30, 200):
            driver = open_driver(folder, spec)
            driver.start({})

            def pass_time(driver: Any = driver, most: int = most) -> bool:
                messages[0] += 1
                passed[0] += 0.4
                offset[0] += sum(by for count, by in jumps if count == messages[0])
                assert not driver.overdue()
                waited.append(sorted(driver.resting))
                return messages[0] >= most

            Simulation(driver, slots=2, seed=3, losses=6).run(stop=pass_time)
            for key in sorted(driver.live):
                driver.lost(key, "died")
            offset[0] += between
        rows = [row for _, row in rows_of(folder)]
        assert any(isinstance(row, Moved) and row.reason == LOST for row in rows)
        assert any(isinstance(row, Moved) and row.state == "cut" for row in rows)
        history = driver.history
        counted = {
            t.key: (t.state, round(t.occupied, 6), [round(m, 6) for m in t.moments]) for t in history.trials.values()
        }
        return told(folder), counted, waited, round(history.worked, 6), round(history.occupied(history.until), 6)


def test_a_session_begins_by_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = SimpleNamespace(time=lambda: 1e9, monotonic=lambda: 500.0)
    monkeypatch.setattr("sweeps.clock.time", clocks)
    clock = SessionClock()
    clocks.time = lambda: 0.0
    clocks.monotonic = lambda: 507.0

    assert clock() == 1e9 + 7


@pytest.mark.parametrize(
    ("name", "where", "is_over"),
    [(DEVICE_HOURS, machine(), True), (DEVICE_HOURS, "another", False), (TRIAL_TIME, machine(), False)],
)
def test_a_worker_counts_the_time_since_it_was_handed_a_leg_by_a_clock_that_it_shares_with_the_driver(
    name: str, where: str, is_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = SimpleNamespace(time=lambda: 1e9, monotonic=lambda: 500.0)
    monkeypatch.setattr("sweeps.execution.messages.time", clocks)
    limit = Limit(name, 10.0, 60.0)
    leg = Leg("bowl", TrialKey(0), {}, 0, 0, Path("c"), Path("l"), handed_out=500.0, machine=where, limit=limit)
    clocks.monotonic = lambda: 511.0
    clock = leg.clock()

    assert clock() is is_over
    assert replace(leg, limit=None).clock()() is False
    clocks.time = lambda: 2e9
    assert clock() is is_over
