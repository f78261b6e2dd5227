"""The honest choice: by the mean on fresh common seeds, and a candidate that failed on one can't win."""

from simulation import small_spec

from study.measurement import Measurement
from sweeps.search.history import Asked, History, Measured, Moved, Stamp, TrialKey
from sweeps.search.selection import candidates, select, selection_seed, wanted

SPEC = small_spec(selection={"candidates": 2, "seeds": 2})


def history_of(values: dict[TrialKey, float | None]) -> History:
    """Complete trials with these losses; None stands for a failed one."""
    history = History()
    for key, value in values.items():
        rows = [Asked(key, {"x": 0.5}, 0, 0)]
        if value is not None:
            rows.append(Measured(key, Measurement(1, 1, 9.0, 0.0, {"loss": value})))
        rows.append(Moved(key, "failed" if value is None else "complete", ""))
        for row in rows:
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    return history


SEARCH = {TrialKey(0): 0.9, TrialKey(1): 0.1, TrialKey(2): 0.2, TrialKey(3): 0.3}


def test_the_best_trials_and_the_baseline_are_candidates() -> None:
    assert candidates(SPEC, history_of(SEARCH)) == [1, 2, 0]


def test_a_baseline_among_the_best_is_one_candidate() -> None:
    assert candidates(SPEC, history_of({**SEARCH, TrialKey(0): 0.0})) == [0, 1]


def test_a_failed_trial_is_no_candidate() -> None:
    assert candidates(SPEC, history_of({**SEARCH, TrialKey(1): None})) == [2, 3, 0]


def test_every_first_fresh_seed_comes_before_any_second() -> None:
    assert [key.replicate for key in wanted(SPEC, [1, 2, 0])] == [1, 1, 1, 2, 2, 2]


def test_fresh_seeds_are_common_to_candidates_and_differ_from_each_other() -> None:
    assert selection_seed(SPEC, 1) != selection_seed(SPEC, 2)


def test_the_winner_is_best_by_the_mean_and_not_by_the_search() -> None:
    runs = {TrialKey(1, 1): 0.5, TrialKey(1, 2): 0.5, TrialKey(2, 1): 0.1, TrialKey(2, 2): 0.3}
    chosen = select(SPEC, history_of(SEARCH | runs | {TrialKey(0, 1): 0.9, TrialKey(0, 2): 0.9}), [1, 2, 0])

    assert chosen.winner == 2
    assert chosen.final == TrialKey(2, 1)
    assert [c.number for c in chosen.candidates] == [2, 1, 0]
    assert chosen.candidates[0].mean == 0.2


def test_a_candidate_that_failed_on_a_fresh_seed_cannot_win() -> None:
    runs = {TrialKey(1, 1): 0.0, TrialKey(1, 2): None, TrialKey(2, 1): 0.5, TrialKey(2, 2): 0.5}
    chosen = select(SPEC, history_of(SEARCH | runs), [1, 2])

    assert chosen.winner == 2
    assert chosen.candidates[-1].number == 1
    assert "fresh seed 2: failed" in chosen.candidates[-1].reason


def cut(history: History, *keys: TrialKey) -> History:
    """The same history in which these runs were begun and cut by a budget."""
    for key in keys:
        for row in (Asked(key, {"x": 0.5}, 0, 0), Moved(key, "cut", "time")):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    return history


def test_where_a_budget_ended_the_candidates_are_compared_on_the_seeds_that_all_have() -> None:
    runs = {TrialKey(1, 1): 0.5, TrialKey(2, 1): 0.4, TrialKey(1, 2): 0.1}
    chosen = select(SPEC, cut(history_of(SEARCH | runs), TrialKey(2, 2)), [1, 2])

    assert (chosen.winner, chosen.seeds) == (2, 1)
    assert chosen.candidates[0].mean == 0.4
    assert chosen.candidates[0].reason.endswith("(n = 1 of 2, not all of which came to an end)")


def test_a_candidate_whose_first_seed_was_cut_is_out_where_others_have_one() -> None:
    chosen = select(SPEC, cut(history_of(SEARCH | {TrialKey(1, 1): 0.5}), TrialKey(2, 1)), [1, 2])

    assert chosen.winner == 1
    assert chosen.candidates[-1].reason == "fresh seed 1: cut time"


def test_a_failure_counts_also_where_a_budget_ended() -> None:
    runs = {TrialKey(1, 1): 0.1, TrialKey(1, 2): None, TrialKey(2, 1): 0.5}
    chosen = select(SPEC, cut(history_of(SEARCH | runs), TrialKey(2, 2)), [1, 2])

    assert chosen.winner == 2


def test_where_none_survived_there_is_no_winner() -> None:
    chosen = select(SPEC, history_of(SEARCH | {TrialKey(1, 1): None, TrialKey(1, 2): None}), [1])

    assert (chosen.winner, chosen.final) == (None, None)


def test_maximize_prefers_the_larger_mean() -> None:
    spec = small_spec(direction="maximize", selection={"candidates": 1, "seeds": 1, "published_seeds": 1})
    chosen = select(spec, history_of(SEARCH | {TrialKey(0, 1): 0.7, TrialKey(3, 1): 0.4}), [0, 3])

    assert chosen.winner == 0
