"""Tests of the agenda: every sweep ends, and its choice depends on no speed, lost worker or kill."""

import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, open_driver, small_spec

from sweeps.execution.conclusion import conclude
from sweeps.execution.driver import Driver
from sweeps.search.agenda import NOT_NEEDED
from sweeps.search.history import PUBLISHED, TrialKey
from sweeps.search.selection import BASELINE, Selection, candidates, select
from sweeps.search.verification import verify
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger


def finished(folder: SweepFolder, spec: SweepSpec, slots: int, seed: int, kills: int, losses: int) -> Driver:
    """Return the driver of a concluded sweep whose driver was killed `kills` times, each time after a few more rows."""
    draw = random.Random(seed)
    for _ in range(kills):
        driver = open_driver(folder, spec)
        driver.start({})
        end = driver.history.last.seq + draw.randint(1, 60)
        Simulation(driver, slots, seed, losses).run(stop=lambda d=driver, e=end: d.history.last.seq > e)
        driver._ledger.close()
    driver = open_driver(folder, spec)
    driver.start({})
    Simulation(driver, slots, seed).run()
    conclude(driver, None, None)
    return driver


def told(selection: Selection) -> Selection:
    """Return a selection without the values of candidates that have no seeds, which count for nothing."""
    candidates = tuple(c if c.seeds else replace(c, values={}) for c in selection.candidates)
    return replace(selection, candidates=candidates)


SELECTIONS = st.fixed_dictionaries(
    {
        "candidates": st.integers(1, 4),
        "seeds": st.integers(1, 4),
        "published_seeds": st.integers(1, 3),
        "racing": st.booleans(),
    }
)


@settings(max_examples=6, deadline=None)
@given(
    selection=SELECTIONS,
    trials=st.integers(1, 5),
    slots=st.integers(1, 6),
    kills=st.integers(0, 3),
    losses=st.integers(0, 2),
    seed=st.integers(0, 10**6),
)
def test_the_choice_hangs_on_no_timing_kill_or_lost_worker(
    selection: dict[str, Any], trials: int, slots: int, kills: int, losses: int, seed: int
) -> None:
    options = {"sampler": "random", "pruning": "none", "retries": {"wait": 1e-9}}  # a lost trial would rest otherwise
    spec = small_spec(trials=trials, selection=selection, **options)
    with tempfile.TemporaryDirectory() as place:
        calm = finished(SweepFolder(Path(place) / "a", "bowl"), spec, 1, 0, 0, 0)
        wild = finished(SweepFolder(Path(place) / "b", "bowl"), spec, slots, seed, kills, losses)
        rows = Ledger.open(wild.folder.ledger, read_only=True).rows()

    first, second = (select(spec, d.history, candidates(spec, d.history)) for d in (calm, wild))
    assert told(first) == told(second)
    assert second.final == TrialKey(second.winner, PUBLISHED + 1)
    # During the search, an idle slot may have run the baseline on a seed that was not needed in the end.
    assert {key for key in set(calm.history.trials) ^ set(wild.history.trials) if key.number != BASELINE} == set()
    left = [trial for trial in wild.history.trials.values() if trial.state != "complete"]
    assert {(trial.key.number, trial.reason) for trial in left} <= {(BASELINE, NOT_NEEDED)}  # left over by a kill
    assert all(len(p.values) == selection["published_seeds"] for p in second.published)
    assert verify(spec, rows).difference is None


@settings(max_examples=10, deadline=None)
@given(
    selection=SELECTIONS,
    rule=st.sampled_from([{}, {"rule": "within_one_se", "cost": "size"}]),
    slots=st.integers(2, 6),
    kills=st.integers(0, 2),
    losses=st.integers(0, 2),
    seed=st.integers(0, 10**6),
)
def test_nor_does_it_where_trials_fail_on_some_seeds(
    selection: dict[str, Any], rule: dict[str, str], slots: int, kills: int, losses: int, seed: int
) -> None:
    options = {"sampler": "random", "pruning": "none", "retries": {"wait": 1e-9}}
    seeds = {"seeds": max(selection["seeds"], 2)} if rule else {}  # a single seed has no standard error
    options |= {"seed": seed, "target": "functions:fails_on_some_seeds", "selection": selection | rule | seeds}
    spec = small_spec(trials=6, **options)
    with tempfile.TemporaryDirectory() as place:
        calm = finished(SweepFolder(Path(place) / "a", "bowl"), spec, 1, 0, 0, 0)
        wild = finished(SweepFolder(Path(place) / "b", "bowl"), spec, slots, seed, kills, losses)
        rows = Ledger.open(wild.folder.ledger, read_only=True).rows()

    first, second = (select(spec, d.history, candidates(spec, d.history)) for d in (calm, wild))
    assert (first.winner, first.final, first.published, first.difference) == (
        second.winner,
        second.final,
        second.published,
        second.difference,
    )
    assert [(c.number, c.mean, c.decision) for c in first.candidates] == [
        (c.number, c.mean, c.decision) for c in second.candidates
    ]
    assert verify(spec, rows).difference is None


@settings(max_examples=6, deadline=None)
@given(selection=SELECTIONS, slots=st.integers(1, 4), seed=st.integers(0, 10**6), minutes=st.floats(0.0, 3.0))
def test_a_sweep_whose_time_is_over_at_any_moment_comes_to_an_outcome(
    selection: dict[str, Any], slots: int, seed: int, minutes: float
) -> None:
    spec, now = small_spec(trials=6, time="2m", selection=selection), [0.0]
    with tempfile.TemporaryDirectory() as place:
        driver = open_driver(SweepFolder(Path(place), "bowl"), spec, clock=lambda: now[0])
        driver.start({})
        now[0], draw = driver.history.last.time, random.Random(seed)

        def pass_time() -> bool:
            now[0] += draw.random() * minutes
            return False

        Simulation(driver, slots, seed).run(stop=pass_time)
        conclude(driver, None, None)

    assert driver.history.outcome is not None
    assert driver.history.outcome["reason"]
    assert driver.next_leg() == "finished"
    assert not [trial for trial in driver.history.trials.values() if trial.state == "running"]
