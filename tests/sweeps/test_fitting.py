"""Tests that a budget ends with a winner at any speed: what is held back for the selection, and how much fits."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import small_spec
from timed import REPORTS, Machine, Timed

from sweeps.search.fitting import smaller
from sweeps.search.notes import CLOSED, FITTED
from sweeps.search.pace import pace, selection_costs
from sweeps.search.verification import verify
from sweeps.sections import SelectionRule

MACHINES = st.builds(
    Machine,
    report=st.floats(-1.5, 2).map(lambda exponent: 10**exponent),  # 0.03 to 100 s
    start=st.sampled_from([0.0, 1.0, 20.0]),
    slots=st.integers(1, 6),
    busier=st.sampled_from([0.5, 1.0, 3.0]),
    uneven=st.sampled_from([1.0, 4.0]),
    seed=st.integers(0, 10**6),
)
RULES = st.fixed_dictionaries(
    {
        "candidates": st.integers(0, 5),
        "seeds": st.integers(0, 5),
        "published_seeds": st.integers(0, 7),
        "racing": st.booleans(),
        "time_share": st.sampled_from([0.0, 0.2, 0.4, 0.9]),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    machine=MACHINES,
    rule=RULES,
    trials=st.sampled_from([1, 5, 500]),
    seconds=st.floats(5, 300),
    kind=st.sampled_from(["time", "device_hours"]),
    pruning=st.sampled_from(["asha", "none"]),
)
def test_a_budget_ends_with_a_winner_on_any_machine(
    machine: Machine, rule: dict[str, Any], trials: int, seconds: float, kind: str, pruning: str
) -> None:
    budget = {kind: seconds if kind == "time" else seconds * machine.slots / 3600}
    table = {"pruning": {"name": pruning, "max_fidelity": REPORTS}, "sampler": "random", "selection": rule}
    sweep = Timed(small_spec(trials=trials, **table, **budget), machine)
    begun = sweep.now
    body = sweep.run()

    reported = [trial for trial in sweep.history.search if trial.measurements]
    assert (body["winner"] is not None) == bool(reported), body["reason"]
    assert (body["mean"] is not None) == bool(reported)
    assert ("not confirmed" in body["reason"]) == (body["basis"] in ("selection", "search"))
    assert not sweep.history.running
    assert verify(sweep.spec, sweep.ledger.rows).difference is None
    if kind == "time":
        assert sweep.now - begun <= seconds + max(5.0, 0.05 * seconds)


@pytest.mark.parametrize("slots", [1, 2, 8])
@pytest.mark.parametrize("report", [0.05, 0.5, 1.0])
def test_the_search_ends_early_enough_for_a_selection_that_a_share_of_the_time_suffices_for(
    report: float, slots: int
) -> None:
    selection = {"candidates": 3, "seeds": 2, "published_seeds": 3}
    enough = 14 * REPORTS * report / slots / 0.4 * 1.5 + 20 * report
    sweep = Timed(small_spec(trials=100_000, time=enough, selection=selection), Machine(report, slots=slots))
    body = sweep.run()

    assert body["basis"] == "evaluation"
    assert sweep.history.budgeted.fitted == selection
    assert body["n"] == 3
    assert next(iter(sweep.history.noted(CLOSED))).body == {"budget": "time"}


def test_no_more_is_held_back_than_the_selection_takes() -> None:
    selection = {"candidates": 1, "seeds": 1, "published_seeds": 1}
    sweep = Timed(small_spec(trials=100_000, time=1000, selection=selection), Machine(1.0))
    sweep.run()
    of_search = max(trial.moments[-1] for trial in sweep.history.search)

    assert 1000 - 5 * REPORTS < of_search < 1000


def test_what_a_budget_can_never_hold_is_not_held_back() -> None:
    sweep = Timed(small_spec(trials=3, time=60), Machine(20.0, slots=1))
    begun = sweep.now
    body = sweep.run()

    assert sweep.now - begun >= 55  # nine reports of 20 s: no run on a fresh seed fits, so the search has all the time
    assert body["basis"] == "search"
    assert (body["low"], body["high"], body["n"]) == (None, None, 1)


def test_what_did_not_fit_is_told_and_the_winner_is_confirmed_on_what_did() -> None:
    sweep = Timed(small_spec(trials=500, time=60), Machine(0.4, slots=2))
    body = sweep.run()

    assert body["basis"] == "evaluation"
    assert "the budgets sufficed for" in body["reason"]
    assert "where candidates=5, seeds=5 and published_seeds=7 were asked for" in body["reason"]


def test_a_search_whose_trials_are_all_done_leaves_its_selection_what_is_left() -> None:
    sweep = Timed(small_spec(trials=4, time=80, pruning="none", selection={"time_share": 0.9}), Machine(1.0, slots=1))
    body = sweep.run()

    assert len(list(sweep.history.noted(FITTED))) == 1
    assert body["winner"] is not None


def test_ever_smaller_selections_take_ever_less() -> None:
    rules = list(smaller(SelectionRule()))
    costs = [selection_costs(rule, [10.0] * (rule.candidates + 1), slots=2).both for rule in rules]

    assert rules[0] == SelectionRule()
    assert rules[-1].trainings == 0
    assert costs == sorted(costs, reverse=True)
    seeds, candidates = ([getattr(rule, name) for rule in rules] for name in ("seeds", "candidates"))
    assert candidates[: seeds.index(1) + 1] == [5] * (seeds.index(1) + 1)  # seeds are reduced before candidates


def test_a_selection_without_seeds_stays_one() -> None:
    nothing = SelectionRule(candidates=0, seeds=0, published_seeds=0)

    assert list(smaller(nothing)) == [nothing]


def test_a_pace_is_that_of_reports_and_not_of_the_time_for_which_a_trial_was_paused() -> None:
    sweep = Timed(small_spec(trials=60, sampler="random"), Machine(2.0, start=3.0, slots=3))
    sweep.run()
    found = pace(sweep.spec, sweep.history)

    assert found is not None
    assert found.training == pytest.approx(9 * 2 + 3, rel=0.5)
