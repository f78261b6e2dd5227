"""Tests of the honest choice: by the mean on common fresh seeds, published from other seeds that chose nothing."""

from typing import Any

import pytest
from fresh import add, chosen_on, cut, history_of, published_on
from simulation import small_spec

from study.measurement import Measurement
from sweeps.errors import SpecError
from sweeps.search.history import PUBLISHED, Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.search.intervals import Interval
from sweeps.search.labels import parse_label
from sweeps.search.race import race
from sweeps.search.selection import BASELINE, TEST_READ, Selection, candidates, publication, select, selection_seed

SPEC = small_spec(selection={"candidates": 2, "seeds": 2, "published_seeds": 2})
SEARCH: dict[TrialKey, float | None] = {TrialKey(0): 0.9, TrialKey(1): 0.1, TrialKey(2): 0.2, TrialKey(3): 0.3}


def chosen(numbers: list[int], *runs: dict[TrialKey, float | None], **selection: Any) -> Selection:
    spec = small_spec(selection={"candidates": 2, "seeds": 2, "published_seeds": 2, **selection})
    return select(spec, history_of(SEARCH | {key: value for run in runs for key, value in run.items()}), numbers)


def test_the_best_trials_and_the_baseline_are_candidates() -> None:
    assert candidates(SPEC, history_of(SEARCH)) == [1, 2, 0]


def test_a_baseline_among_the_best_is_one_candidate() -> None:
    assert candidates(SPEC, history_of({**SEARCH, TrialKey(0): 0.0})) == [0, 1]


def searched(*configurations: tuple[float, float]) -> History:
    """Return a search whose trials have these values of x and of the metric."""
    history = History()
    for number, (x, value) in enumerate(configurations):
        key = TrialKey(number)
        last = Measurement(1, 9, 9.0, 18.0, {"loss": value})
        for row in (Asked(key, {"x": x, "kind": "a"}, 0, 0), Measured(key, last), Moved(key, "complete", "")):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    return history


@pytest.mark.parametrize(
    ("configurations", "expected"),
    [
        ([(0.5, 0.9), (0.1, 0.2), (0.1, 0.1), (0.2, 0.3)], [2, 3, 0]),  # of equal ones, the best value represents them
        ([(0.5, 0.9), (0.1, 0.1), (0.1, 0.1), (0.2, 0.3)], [1, 3, 0]),  # otherwise the first does
        ([(0.5, 0.9), (0.5, 0.1), (0.2, 0.2), (0.3, 0.3)], [0, 2]),  # the baseline represents its own
        ([(0.5, 0.1), (0.5, 0.2), (0.5, 0.3)], [0]),
    ],
)
def test_candidates_are_different_configurations(
    configurations: list[tuple[float, float]], expected: list[int]
) -> None:
    assert candidates(SPEC, searched(*configurations)) == expected


def test_a_failed_trial_is_no_candidate() -> None:
    assert candidates(SPEC, history_of({**SEARCH, TrialKey(1): None})) == [2, 3, 0]


def test_fresh_seeds_are_common_to_candidates_and_none_that_chooses_publishes() -> None:
    seeds = {selection_seed(SPEC, replicate) for replicate in (1, 2, PUBLISHED + 1, PUBLISHED + 2)}

    assert len(seeds) == 4


@pytest.mark.parametrize("key", [TrialKey(3), TrialKey(3, 2), TrialKey(3, PUBLISHED + 2)])
def test_a_label_names_one_run(key: TrialKey) -> None:
    assert parse_label(key.label) == key


@pytest.mark.parametrize("label", ["", "-seed1", "3-seed0", "3-published", "x", "3-seed1-seed2", "-3"])
def test_what_is_no_label_names_none(label: str) -> None:
    assert parse_label(label) is None


def test_the_winner_is_best_by_the_mean_and_not_by_the_search() -> None:
    found = chosen([1, 2, 0], chosen_on(1, 0.5, 0.5), chosen_on(2, 0.1, 0.3), chosen_on(0, 0.9, 0.9))

    assert found.winner == 2
    assert [c.number for c in found.candidates] == [2, 1, 0]
    assert [c.mean for c in found.candidates] == [0.2, 0.5, 0.9]
    assert [c.decision for c in found.candidates] == ["winner", "beaten", "beaten"]


def test_differences_from_the_winner_are_paired_by_seed() -> None:
    found = chosen([1, 2], chosen_on(1, 0.5, 0.8), chosen_on(2, 0.1, 0.4))
    difference = found.candidates[1].difference

    assert found.candidates[0].difference is None
    assert difference is not None
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.4, 0.4, 0.4))


def test_of_equal_means_the_earlier_trial_wins() -> None:
    assert chosen([2, 1], chosen_on(1, 0.5, 0.5), chosen_on(2, 0.4, 0.6)).winner == 1


def test_a_candidate_that_failed_on_a_fresh_seed_cannot_win() -> None:
    found = chosen([1, 2, 0], chosen_on(1, 0.0, None), chosen_on(2, 0.5, 0.5), chosen_on(0, 0.9, 0.9))

    assert found.winner == 2
    assert found.candidates[-1].number == 1
    assert found.candidates[-1].decision == "out"
    assert found.candidates[-1].reason == "fresh seed 2: failed"


def test_who_was_raced_out_ranks_behind_those_that_are_left_with_the_mean_it_had() -> None:
    runs = [chosen_on(1, *[0.1, 0.12, 0.11, 0.12]), chosen_on(2, *[0.12, 0.1, 0.11, 0.11]), chosen_on(0, 0.9, 0.9)]
    found = chosen([1, 2, 0], *runs, seeds=4)

    last = found.candidates[-1]
    assert (last.number, last.decision, last.rank, last.seeds) == (0, "raced out", 3, 2)
    assert last.mean == pytest.approx(0.9)
    assert last.reason.startswith("after 2 fresh seeds 0.79 behind trial")


def test_who_was_raced_out_may_win_where_the_leaders_fail_later() -> None:
    leaders = chosen_on(1, 0.10, 0.12, None) | chosen_on(2, 0.12, 0.11, None)
    found = chosen([1, 2, 0], leaders, chosen_on(0, 0.90, 0.92), seeds=4)

    assert (found.winner, found.candidates[0].decision) == (0, "winner")
    assert {c.number: c.reason for c in found.candidates[1:]} == dict.fromkeys((1, 2), "fresh seed 3: failed")


def test_a_difference_is_taken_on_the_seeds_that_the_means_are_over() -> None:
    runs = chosen_on(0, 0.1, 0.3, 0.5) | chosen_on(1, 0.11, 0.31, 0.2) | chosen_on(2, 0.12, 0.29)
    found = {c.number: c for c in chosen([0, 1, 2], runs, seeds=5).candidates}

    assert found[0].mean == pytest.approx(0.2)
    assert found[1].difference is not None
    assert (found[1].difference.n, found[1].difference.mean) == (2, pytest.approx(0.01))


def test_a_winner_that_failed_where_nothing_was_decided_any_more_says_so() -> None:
    found = chosen([0, 1], chosen_on(0, None), chosen_on(1, 0.2, None))

    assert found.winner == 1
    assert found.candidates[0].reason.endswith("it failed on a further seed, on which nothing was decided any more")


def test_the_final_model_is_the_first_published_one_or_else_the_next_and_that_is_said() -> None:
    first, second = (chosen([3], published_on(3, value, 0.4)) for value in (0.2, None))

    assert (first.final, first.instead) == (TrialKey(3, PUBLISHED + 1), "")
    assert second.final == TrialKey(3, PUBLISHED + 2)
    assert second.instead == "the model is that of further seed 2, the lowest one that came to its end"


def test_a_model_that_the_test_set_has_scored_stays_the_final_one() -> None:
    """Check a first published run that a budget had cut, and that more of the budget later completed."""
    history = history_of(SEARCH | published_on(3, 0.2, 0.4))
    history.apply(Stamp(history.last.seq + 1, 0.0), Noted(TEST_READ, {}, TrialKey(3, PUBLISHED + 2)))
    found = select(SPEC, history, [3])

    assert found.final == TrialKey(3, PUBLISHED + 2)
    assert found.instead.endswith("further seed 2, for which the test set may have been read already")


def test_the_only_candidate_wins_without_a_choice() -> None:
    found = chosen([3], published_on(3, 0.2, 0.4))

    assert (found.winner, found.candidates[0].mean, found.candidates[0].rank) == (3, None, 1)
    assert found.candidates[0].reason == "the only candidate that is left"
    assert found.published[0].interval is not None
    assert found.published[0].interval.mean == pytest.approx(0.3)


def test_what_is_published_hangs_on_no_seed_that_chose() -> None:
    runs = chosen_on(1, 0.1, 0.1) | chosen_on(0, 0.5, 0.5)
    found = chosen([1, 0], runs, published_on(1, 0.2, 0.4), published_on(0, 0.6, 0.7))
    winner, baseline = found.published

    assert (winner.number, baseline.number) == (1, BASELINE)
    assert winner.values == {1: 0.2, 2: 0.4}
    assert winner.interval is not None
    assert winner.interval.mean == pytest.approx(0.3)
    assert found.difference is not None
    assert found.difference.mean == pytest.approx((0.2 - 0.6 + 0.4 - 0.7) / 2)
    changed = chosen([1, 0], chosen_on(1, 0.3, 0.3) | chosen_on(0, 0.5, 0.5), published_on(1, 0.2, 0.4))
    assert changed.published[0].interval == winner.interval


def test_the_final_model_is_the_winners_first_on_a_further_seed() -> None:
    runs = chosen_on(1, 0.1, 0.1) | chosen_on(0, 0.5, 0.5)

    assert chosen([1, 0], runs, published_on(1, 0.9, 0.1)).final == TrialKey(1, PUBLISHED + 1)
    assert chosen([1, 0], runs).final == TrialKey(
        1, 1
    )  # the run on its first seed that chose, as long as there is no other
    later = chosen([1, 0], runs, published_on(1, None, 0.1))
    assert later.final == TrialKey(1, PUBLISHED + 2)
    assert later.published[0].missing == "seed 1: failed"


@pytest.mark.parametrize(("direction", "optimism"), [("minimize", 0.2), ("maximize", -0.2)])
def test_optimism_is_how_much_better_the_search_saw_the_winner(direction: str, optimism: float) -> None:
    spec = small_spec(direction=direction, selection={"candidates": 1, "seeds": 1, "published_seeds": 2})
    found = select(spec, history_of(SEARCH | published_on(1, 0.2, 0.4)), [1])

    assert found.optimism == pytest.approx(optimism)


def test_what_the_search_saw_at_one_fidelity_is_not_compared_with_what_is_published_at_another() -> None:
    history = History()
    for row in (
        Asked(TrialKey(0), {"x": 0.5}, 0, 0),
        Measured(TrialKey(0), Measurement(1, 1, 1.0, 0.0, {"loss": 0.1})),
        Moved(TrialKey(0), "paused", ""),
    ):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)
    add(history, TrialKey(0, PUBLISHED + 1), 0.2)

    found = select(SPEC, history, [0])
    assert found.optimism is None
    assert (found.candidates[0].searched, found.candidates[0].searched_at) == (0.1, 1.0)


def test_winner_and_baseline_are_published_on_the_same_seeds_the_winners_first() -> None:
    keys = publication(SPEC, history_of(SEARCH), [1, 0])

    assert keys == [TrialKey(n, PUBLISHED + seed) for seed in (1, 2) for n in (1, 0)]
    assert publication(SPEC, history_of(SEARCH), [0, 0]) == keys[1::2]


def test_a_baseline_that_failed_on_a_fresh_seed_is_not_published() -> None:
    keys = publication(SPEC, history_of(SEARCH | chosen_on(0, None)), [1, 0])

    assert {key.number for key in keys} == {1}


def test_a_baseline_that_won_is_published_whatever_it_did_on_a_seed_that_was_not_needed() -> None:
    history = history_of(SEARCH | chosen_on(0, 0.1, None) | published_on(0, None))

    assert publication(SPEC, history, [0, 0]) == [TrialKey(0, PUBLISHED + 1), TrialKey(0, PUBLISHED + 2)]


def test_nothing_is_told_of_a_failed_baseline_that_was_published_ahead() -> None:
    runs = chosen_on(0, None, None) | chosen_on(1, 0.1, 0.1) | chosen_on(2, 0.2, 0.2)
    found = select(SPEC, history_of(SEARCH | runs | published_on(0, 0.3)), [0, 1, 2])

    assert [published.number for published in found.published] == [1]


def test_a_baseline_that_a_budget_cut_in_the_choice_is_trained_on_further_seeds_and_told() -> None:
    runs = chosen_on(1, 0.1) | chosen_on(2, 0.2) | published_on(1, 0.2, 0.3) | published_on(0, 0.6, 0.6)
    history = cut(history_of(SEARCH | runs), TrialKey(0, 1))
    found = select(SPEC, history, [1, 2, 0])

    assert found.candidates[-1].decision == "out"
    assert {key.number for key in publication(SPEC, history, [1, 0])} == {1, 0}
    assert [published.number for published in found.published] == [1, BASELINE]
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(-0.35)


def test_a_failure_on_a_published_seed_ends_nothing() -> None:
    keys = publication(SPEC, history_of(SEARCH | published_on(0, None)), [1, 0])

    assert keys == publication(SPEC, history_of(SEARCH), [1, 0])


def test_where_a_budget_ended_the_candidates_are_compared_on_the_seeds_that_all_have() -> None:
    runs = chosen_on(1, 0.5, 0.1) | chosen_on(2, 0.4)
    found = select(SPEC, cut(history_of(SEARCH | runs), TrialKey(2, 2)), [1, 2])

    assert (found.winner, found.seeds) == (2, 1)
    assert found.candidates[0].mean == 0.4
    assert found.candidates[0].reason.endswith("(n = 1 of 2, not all of which came to an end)")


def test_a_candidate_whose_first_seed_was_cut_is_out_where_others_have_one() -> None:
    found = select(SPEC, cut(history_of(SEARCH | chosen_on(1, 0.5)), TrialKey(2, 1)), [1, 2])

    assert found.winner == 1
    assert found.candidates[-1].reason == "fresh seed 1: cut by time"


def test_a_candidate_whose_first_seed_was_cut_takes_no_seed_from_the_others() -> None:
    runs = chosen_on(1, 0.1, 0.5) | chosen_on(2, 0.2, 0.2)
    found = select(SPEC, cut(history_of(SEARCH | runs), TrialKey(3, 1)), [1, 2, 3])

    assert (found.winner, found.seeds) == (2, 2)
    assert found.candidates[-1].reason == "fresh seed 1: cut by time"


def test_where_all_were_cut_on_their_first_seed_the_best_of_the_search_wins_and_is_not_confirmed() -> None:
    found = select(SPEC, cut(history_of(SEARCH), TrialKey(1, 1), TrialKey(2, 1)), [1, 2])

    assert (found.winner, found.basis, found.final) == (1, "search", TrialKey(1))
    assert found.value == Interval(1, 0.1, None, None)
    assert found.candidates[0].reason == "best of the search, since not one fresh seed was through"
    assert [c.decision for c in found.candidates] == ["winner", "out"]


def test_who_failed_on_a_fresh_seed_does_not_win_by_the_search() -> None:
    found = select(SPEC, cut(history_of(SEARCH | chosen_on(1, None)), TrialKey(2, 1), TrialKey(0, 1)), [1, 2, 0])

    assert (found.winner, found.basis) == (2, "search")


def test_a_winner_without_a_further_seed_has_the_mean_of_those_that_chose_it_and_no_interval() -> None:
    runs = chosen_on(1, 0.5, 0.5), chosen_on(2, 0.1, 0.3), chosen_on(0, 0.9, 0.9)
    found = chosen([1, 2, 0], *runs, published_seeds=0)

    assert (found.winner, found.basis, found.is_confirmed) == (2, "selection", False)
    assert found.value == Interval(2, pytest.approx(0.2), None, None)
    assert found.final == TrialKey(2, 1)
    assert (found.optimism, found.difference) == (None, None)


@pytest.mark.parametrize("rule", [{"candidates": 0}, {"seeds": 0}, {"candidates": 0, "seeds": 0}])
def test_without_candidates_or_seeds_the_best_of_the_search_is_published_as_it_comes(rule: dict[str, int]) -> None:
    spec = small_spec(selection={"candidates": 2, "seeds": 2, "published_seeds": 2, **rule})
    history = history_of(SEARCH | published_on(1, 0.2, 0.4) | published_on(0, 0.6, 0.6))
    numbers = candidates(spec, history)
    found = select(spec, history, numbers)

    assert numbers == [1, 0]
    assert race(spec, history, numbers).is_over
    assert [(c.number, c.decision) for c in found.candidates] == [(1, "winner"), (0, "not compared")]
    assert (found.basis, found.final) == ("evaluation", TrialKey(1, PUBLISHED + 1))
    assert found.value is not None
    assert found.value.mean == pytest.approx(0.3)
    assert found.difference is not None


def test_a_selection_of_nothing_publishes_the_search_s_best_as_it_is() -> None:
    spec = small_spec(selection="none")
    found = select(spec, history_of(SEARCH), candidates(spec, history_of(SEARCH)))

    assert spec.selection.trainings == 0
    assert (found.winner, found.basis, found.final) == (1, "search", TrialKey(1))
    assert publication(spec, history_of(SEARCH), [1, 0]) == []


def test_a_winner_that_failed_on_its_further_seeds_is_none() -> None:
    found = chosen([3], published_on(3, None))

    assert (found.winner, found.final, found.basis) == (3, None, None)


@pytest.mark.parametrize(
    ("rule", "trainings"),
    [({}, 44), ({"candidates": 0}, 14), ({"seeds": 0}, 14), ({"published_seeds": 0}, 30), ({"candidates": 1}, 24)],
)
def test_a_selection_knows_how_many_trainings_it_takes(rule: dict[str, int], trainings: int) -> None:
    assert small_spec(selection=rule).selection.trainings == trainings


def test_a_failure_counts_also_where_a_budget_ended() -> None:
    runs = chosen_on(1, 0.1, None) | chosen_on(2, 0.5)
    found = select(SPEC, cut(history_of(SEARCH | runs), TrialKey(2, 2)), [1, 2])

    assert found.winner == 2


def test_where_none_survived_there_is_no_winner() -> None:
    found = chosen([1, 2], chosen_on(1, 0.1, None), chosen_on(2, 0.1, None))

    assert (found.winner, found.final, found.published) == (None, None, ())
    assert [c.decision for c in found.candidates] == ["out", "out"]


def test_maximize_prefers_the_larger_mean() -> None:
    spec = small_spec(direction="maximize", selection={"candidates": 1, "seeds": 1})

    assert select(spec, history_of(SEARCH | chosen_on(0, 0.7) | chosen_on(3, 0.4)), [0, 3]).winner == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": {"rule": "within_one_se"}}, "within_one_se takes the cheapest: give selection.cost"),
        ({"selection": {"rule": "within_one_se", "cost": "size", "seeds": 1}}, "one seed has no standard error"),
        ({"selection": {"seeds": 1001}}, "selection.seeds"),
        ({"selection": {"published_seeds": -1}}, "selection.published_seeds"),
        ({"selection": "some"}, "selection: a selection is a table, or \"none\", but got 'some'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        small_spec(**changes)
