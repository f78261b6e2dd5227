"""Tests of what a history keeps for quick access: at every row, it equals what all rows give."""

import math
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, open_driver, small_spec

from sweeps.search.history import History, Row, Stamp, State
from sweeps.search.optuna_view import OptunaView
from sweeps.search.pruning import bracket, entry, levels, standings
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder

PRUNERS = [
    {"name": name, "variant": variant, "max_fidelity": 9, "reduction_factor": 2}
    for name in ("asha", "hyperband", "median")
    for variant in ("promote", "stop")
]


def check_indexes(history: History) -> None:
    trials = list(history.trials.values())
    for state in get_args(State):
        assert history.in_state(state) == [trial for trial in trials if trial.state == state]
    assert history.running == history.in_state("running")
    assert history.search == [trial for trial in trials if not trial.key.replicate]
    assert history.selection == [trial for trial in trials if trial.key.replicate]
    assert len(history.measured) == sum(len(trial.measurements) for trial in trials)
    for kind in {row.kind for _, row in history.notes}:
        assert list(history.noted(kind)) == [row for _, row in history.notes if row.kind == kind]
    now = history.until + 5.0
    each = math.fsum(history.occupied(now, trial) for trial in trials)
    assert history.occupied(now) == pytest.approx(each, abs=1e-6)


def check_rungs(spec: SweepSpec, history: History) -> None:
    for trial in history.search:
        reached = trial.last.fidelity if trial.last else 0.0
        for _, level in levels(spec, trial.key.number, reached):
            own = bracket(spec, trial.key.number)
            peers = [entry(spec, other, level) for other in history.search if bracket(spec, other.key.number) == own]
            there = sorted((found for found in peers if found), key=lambda found: (found.loss, found.number))
            assert list(standings(spec, history, trial.key.number, level)) == there


@settings(max_examples=12)
@given(
    pruning=st.sampled_from(PRUNERS),
    target=st.sampled_from(["functions:bowl", "functions:nan_at_half", "functions:bowl_with_checkpoint"]),
    seed=st.integers(0, 2**16),
    losses=st.integers(0, 2),
)
def test_what_is_kept_at_every_row_is_what_all_rows_say(
    tmp_path_factory: pytest.TempPathFactory, pruning: dict[str, object], target: str, seed: int, losses: int
) -> None:
    changes = {"pruning": pruning, "target": target, "seed": seed, "retries": {"wait": 0.001, "lost": 5}}
    spec = small_spec(trials=9, **changes)
    driver = open_driver(SweepFolder(tmp_path_factory.mktemp("swept"), "bowl"), spec)
    view = OptunaView(spec, driver.history)

    def check(_stamp: Stamp, _row: Row) -> None:
        check_indexes(driver.history)
        check_rungs(spec, driver.history)
        view.follow(driver.history)
        assert view.get_all_trials(0) == OptunaView(spec, driver.history).get_all_trials(0)

    driver.observe = check
    driver.start({})
    Simulation(driver, seed=seed, losses=losses).run()

    assert len(driver.history.search) == 9
    assert driver.history.selection


def test_what_was_made_for_one_spec_is_not_given_for_another(tmp_path: Path) -> None:
    history = History()
    first, second = small_spec(), small_spec()

    assert history.kept(first, "what", lambda: [1]) == [1]
    assert history.kept(first, "what", lambda: [2]) == [1]
    assert history.kept(second, "what", lambda: [3]) == [3]
    assert history.kept(second, "other", lambda: [4]) == [4]


def test_a_trial_that_was_begun_in_a_view_is_gone_when_the_view_follows(tmp_path: Path) -> None:
    driver = open_driver(SweepFolder(tmp_path, "bowl"), small_spec(trials=3))
    driver.start({})
    Simulation(driver).run()
    view = OptunaView(driver.spec, driver.history)
    known = view.get_all_trials(0)
    assert len(known) == 3

    assert view.begin() == 3
    view.follow(driver.history)
    assert view.get_all_trials(0) == known
