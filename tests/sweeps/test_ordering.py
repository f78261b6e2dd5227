"""Tests of deterministic sweeps: a spec gives the same trials, decisions and winner at any timing, through any kill."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, open_driver, rows_of, small_spec, told

from sweeps.errors import SpecError, SweepError
from sweeps.execution.messages import Leg
from sweeps.execution.ordering import InOrder
from sweeps.search.history import Row, Stamp
from sweeps.search.verification import verify
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder


def spec_of(**changes: Any) -> SweepSpec:
    return small_spec(deterministic=True, retries={"wait": 1e-9, "lost": 99}, **changes)


def run(
    folder: SweepFolder, spec: SweepSpec, slots: int, seed: int, stops: tuple[int, ...] = (), losses: int = 0
) -> None:
    """Run a simulated sweep with workers of any number and speed, killed and resumed at the rows in `stops`."""
    for stop in (*stops, None):
        driver = open_driver(folder, spec)
        driver.start({})
        simulation = Simulation(InOrder(driver), slots=slots, seed=seed, losses=losses)
        simulation.run(stop=lambda d=driver, s=stop: s is not None and d.history.last.seq >= s)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """Return what one worker at a time makes of each variant."""
    found = {}
    for variant in ("promote", "stop"):
        folder = SweepFolder(tmp_path_factory.mktemp(variant), "bowl")
        run(folder, spec_of(pruning={"variant": variant, "max_fidelity": 9}), slots=1, seed=0)
        found[variant] = told(folder)
    folder = SweepFolder(tmp_path_factory.mktemp("bowl"), "bowl")
    run(folder, spec_of(target="functions:bowl"), slots=1, seed=0)
    return {**found, "bowl": told(folder), "bowl_with_checkpoint": found["promote"]}


@settings(max_examples=25, deadline=None)
@given(
    variant=st.sampled_from(["promote", "stop"]),
    slots=st.integers(1, 6),
    seed=st.integers(0, 99),
    stops=st.lists(st.integers(2, 120), max_size=4).map(lambda found: tuple(sorted(found))),
    losses=st.integers(0, 2),
)
def test_neither_timing_nor_workers_nor_kills_change_what_happens(
    undisturbed: dict[str, list[Row]],
    tmp_path_factory: pytest.TempPathFactory,
    variant: str,
    slots: int,
    seed: int,
    stops: tuple[int, ...],
    losses: int,
) -> None:
    spec = spec_of(pruning={"variant": variant, "max_fidelity": 9})
    folder = SweepFolder(tmp_path_factory.mktemp("sweep"), "bowl")
    run(folder, spec, slots, seed, stops, losses)

    assert told(folder) == undisturbed[variant]
    assert verify(spec, rows_of(folder)).difference is None


class Killed(BaseException):
    """The death of the driver between a commit and what would have followed it."""


@settings(max_examples=25, deadline=None)
@given(
    commits=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    slots=st.integers(1, 5),
    seed=st.integers(0, 99),
    target=st.sampled_from(["bowl_with_checkpoint", "bowl"]),
)
def test_a_kill_between_any_two_commits_changes_nothing(
    undisturbed: dict[str, list[Row]],
    tmp_path_factory: pytest.TempPathFactory,
    commits: list[int],
    slots: int,
    seed: int,
    target: str,
) -> None:
    spec = spec_of(target=f"functions:{target}")
    folder = SweepFolder(tmp_path_factory.mktemp("sweep"), "bowl")
    for left in (*commits, sys.maxsize):
        rows_left = [left]

        def dies(_stamp: Stamp, _row: Row, rows_left: list[int] = rows_left) -> None:
            rows_left[0] -= 1
            if not rows_left[0]:
                raise Killed

        driver = open_driver(folder, spec, observe=dies)
        with contextlib.suppress(Killed):
            driver.start({})
            Simulation(InOrder(driver), slots=slots, seed=seed).run()

    assert told(folder) == undisturbed[target]


def test_without_it_timing_changes_what_happens(tmp_path: Path) -> None:
    found = []
    for seed in range(4):
        folder = SweepFolder(tmp_path / str(seed), "bowl")
        driver = open_driver(folder, small_spec())
        driver.start({})
        Simulation(driver, slots=3, seed=seed).run()
        found.append(told(folder))

    assert any(other != found[0] for other in found[1:])


def test_as_many_trials_run_at_a_time_as_the_spec_says(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, "bowl")
    driver = open_driver(folder, spec_of(concurrency=2))
    driver.start({})
    order = InOrder(driver)

    legs = [order.next_leg() for _ in range(3)]
    assert [getattr(leg, "key", leg) for leg in legs] == [(0, 0), (1, 0), "wait"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"time": "10m"}, "time"), ({"device_hours": 1.0}, "device_hours"), ({"trial_time": "1m"}, "trial_time")],
)
def test_what_a_clock_ends_is_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(SpecError, match=f"deterministic: what a clock ends is never twice the same: leave {key} out"):
        spec_of(**changes)


@pytest.mark.parametrize(
    "table",
    [
        {"training": {"seconds": 3.0}, "space": {"learning_rate": {"float": [0.01, 0.1]}}, "trials": 3},
        {"design": {"cells": [{"name": "a"}], "seconds": 3.0}},
    ],
)
def test_the_wall_clock_protocol_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"deterministic: .*: leave (training|design).seconds out"):
        load_spec({"name": "d", "deterministic": True, **table})


def test_a_function_that_never_ends_by_itself_is_ended_at_its_full_fidelity(folder: SweepFolder) -> None:
    driver = open_driver(folder, spec_of(target="functions:bowl_without_end", trials=6))
    driver.start({})
    Simulation(InOrder(driver), slots=1).run(stop=lambda: driver.history.last.seq > 1000)

    assert driver.history.last.seq < 1000
    assert not driver.history.running


def test_a_trial_that_is_lost_too_often_ends_the_session_and_not_the_trial(folder: SweepFolder) -> None:
    spec = small_spec(deterministic=True, retries={"wait": 1e-9, "lost": 1})
    driver = open_driver(folder, spec)
    driver.start({})
    order = InOrder(driver)
    first = order.next_leg()
    assert isinstance(first, Leg)
    order.lost(first.key, "died")
    again = order.next_leg()
    assert isinstance(again, Leg)
    with pytest.raises(SweepError, match="without which a deterministic sweep can't go on"):
        order.lost(again.key, "died")

    assert driver.history.trials[again.key].state == "running"
