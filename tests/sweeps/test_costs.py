"""Tests of the cost of a candidate's model: which candidate wins by it, and which are on the Pareto front."""

from typing import Any

from fresh import add, history_of
from simulation import small_spec
from test_selection import SEARCH

from sweeps.search.costs import pareto_front
from sweeps.search.history import PUBLISHED, Asked, Moved, Stamp, TrialKey
from sweeps.search.selection import Selection, select


def test_of_equal_means_the_cheaper_wins_and_is_on_the_front() -> None:
    spec = small_spec(selection={"candidates": 2, "seeds": 2, "cost": "size"})
    history = history_of(SEARCH)
    for number, size in ((1, 9.0), (2, 1.0), (3, 1.0)):
        for seed in (1, 2):
            add(history, TrialKey(number, seed), 0.2, size=size)
    found = select(spec, history, [1, 2, 3])

    assert [c.number for c in found.candidates] == [2, 1, 3]
    assert {c.number: c.on_front for c in found.candidates} == {2: True, 3: True, 1: False}
    assert [c.reason for c in found.candidates[1:]] == [
        "mean is the winner's, which costs less",
        "mean is the winner's, which came first",
    ]


def priced(**selection: Any) -> Selection:
    """Return a selection of three candidates: 1 is best, 2 nearly as good and smaller, 0 smallest and bad."""
    spec = small_spec(selection={"candidates": 2, "seeds": 2, "cost": "size", **selection})
    history = history_of(SEARCH)
    for number, values, size in ((1, (0.1, 0.3), 9.0), (2, (0.2, 0.24), 5.0), (0, (0.8, 0.9), 1.0)):
        for seed, value in enumerate(values, start=1):
            add(history, TrialKey(number, seed), value, size=size)
    return select(spec, history, [1, 2, 0])


def test_a_cost_alone_decides_nothing_and_shows_the_pareto_front() -> None:
    found = priced()

    assert found.winner == 1
    assert {c.number: c.on_front for c in found.candidates} == {1: True, 2: True, 0: True}
    assert {c.number: c.costs["size"] for c in found.candidates} == {1: 9.0, 2: 5.0, 0: 1.0}


def test_the_cheapest_within_one_standard_error_of_the_best_wins_where_that_is_the_rule() -> None:
    found = priced(rule="within_one_se")  # the best mean is 0.2, with a standard error of 0.1

    assert found.winner == 2
    assert found.candidates[0].reason.startswith("least size within one standard error")
    assert [c.is_cheapest for c in found.candidates] == [True, False, False]
    assert [c.number for c in found.candidates] == [2, 1, 0]
    assert found.candidates[1].reason == "mean is 0.02 better, but it costs more"


def test_what_is_published_does_not_count_for_what_a_candidate_costs() -> None:
    spec = small_spec(selection={"candidates": 2, "seeds": 2, "cost": "size", "rule": "within_one_se"})
    history = history_of(SEARCH)
    sizes = {TrialKey(1, 1): 2.0, TrialKey(1, 2): 2.0, TrialKey(2, 1): 1.0, TrialKey(2, 2): 1.0}
    for key, size in {**sizes, TrialKey(2, PUBLISHED + 1): 9.0}.items():
        add(history, key, 0.1, size=size)
    found = select(spec, history, [1, 2])

    assert found.winner == 2
    assert [c.costs["size"] for c in found.candidates] == [1.0, 2.0]


def test_where_no_candidate_has_the_cost_the_best_mean_wins_and_that_is_said() -> None:
    found = priced(rule="within_one_se", cost="weight")

    assert found.winner == 1
    assert found.candidates[0].reason.startswith("best mean loss on fresh seeds; weight decided nothing, since no")


def test_where_a_budget_left_one_seed_costs_decide_nothing_and_that_is_said() -> None:
    spec = small_spec(selection={"candidates": 2, "seeds": 2, "cost": "size", "rule": "within_one_se"})
    history = history_of(SEARCH)
    for key, value, size in ((TrialKey(1, 1), 0.2, 2.0), (TrialKey(2, 1), 0.1, 3.0), (TrialKey(1, 2), 0.2, 2.0)):
        add(history, key, value, size=size)
    history.apply(Stamp(history.last.seq + 1, 0.0), Asked(TrialKey(2, 2), {}, 0, 0))
    history.apply(Stamp(history.last.seq + 1, 0.0), Moved(TrialKey(2, 2), "cut", "time"))
    found = select(spec, history, [1, 2])

    assert found.winner == 2
    assert "size decided nothing, since one seed has no standard error (n = 1" in found.candidates[0].reason


def test_the_front_leaves_out_who_is_beaten_in_both() -> None:
    means = {1: (0.1, 9.0), 2: (0.2, 5.0), 3: (0.3, 6.0), 4: (0.1, 9.0)}

    assert pareto_front({number: ({1: loss}, cost) for number, (loss, cost) in means.items()}) == {1, 2, 4}


def test_who_was_raced_out_is_on_the_front_by_the_seeds_it_has() -> None:
    """Check a mean over fewer seeds: the later seeds are harder, so it beats no candidate that ran on all of them."""
    lasting = {1: 0.1, 2: 0.2, 3: 0.9, 4: 0.9}

    assert pareto_front({1: (lasting, 5.0), 2: ({1: 0.3, 2: 0.3}, 6.0)}) == {1}
    assert pareto_front({1: (lasting, 5.0), 2: ({1: 0.3, 2: 0.3}, 4.0)}) == {1, 2}
    assert pareto_front({1: (lasting, 5.0), 2: ({1: 0.05, 2: 0.1}, 5.0)}) == {1, 2}


def test_in_a_race_the_front_compares_on_common_seeds() -> None:
    """Check a trial that was raced out after two seeds, with a better mean than the winner's over four."""
    spec = small_spec(selection={"candidates": 2, "seeds": 4, "published_seeds": 2, "cost": "size"})
    history = history_of(SEARCH)
    for number, values, size in (
        (1, (0.10, 0.12, 0.9, 0.9), 5.0),
        (2, (0.12, 0.10, 0.9, 0.9), 9.0),
        (0, (0.4, 0.4), 6.0),
    ):
        for seed, value in enumerate(values, start=1):
            add(history, TrialKey(number, seed), value, size=size)
    found = {c.number: c for c in select(spec, history, [1, 2, 0]).candidates}

    assert (found[0].decision, found[0].n) == ("raced out", 2)
    assert {number: c.on_front for number, c in found.items()} == {1: True, 2: False, 0: False}
