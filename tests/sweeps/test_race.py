"""Tests of the race on fresh seeds: a candidate that cannot win gets no further seed, and speed decides nothing."""

import random

from fresh import add, chosen_on, cut, history_of
from hypothesis import given
from hypothesis import strategies as st
from simulation import small_spec

from sweeps.search.history import History, TrialKey
from sweeps.search.race import next_runs, race, race_as_it_ended

SPEC = small_spec(selection={"candidates": 3, "seeds": 5})
SEARCH = {TrialKey(number): 0.1 * number for number in range(4)}
NUMBERS = [0, 1, 2, 3]


def raced(*runs: dict[TrialKey, float | None], **selection: object) -> tuple[tuple[int, ...], int, set[int]]:
    spec = small_spec(selection={"candidates": 3, "seeds": 5, **selection})
    found = race(spec, history_of(SEARCH | {key: value for run in runs for key, value in run.items()}), NUMBERS)
    return found.left, found.rounds, set(found.beaten)


def test_nobody_is_out_after_one_seed() -> None:
    runs = [chosen_on(number, 0.1 + number) for number in NUMBERS]

    assert raced(*runs) == ((0, 1, 2, 3), 1, set())


def test_who_is_far_behind_on_two_seeds_is_raced_out() -> None:
    runs = [chosen_on(0, 0.10, 0.12), chosen_on(1, 0.11, 0.10), chosen_on(2, 0.12, 0.11), chosen_on(3, 0.9, 0.91)]

    assert raced(*runs) == ((0, 1, 2), 2, {3})


def test_where_seeds_differ_by_more_than_candidates_all_go_on() -> None:
    runs = [chosen_on(0, 0.1, 0.9), chosen_on(1, 0.9, 0.2), chosen_on(2, 0.2, 0.8), chosen_on(3, 0.8, 0.3)]

    assert raced(*runs) == ((0, 1, 2, 3), 2, set())


def test_what_is_common_to_all_on_a_seed_is_no_noise() -> None:
    runs = [chosen_on(number, 0.1 + 0.01 * number, 0.9 + 0.0101 * number) for number in NUMBERS]

    assert raced(*runs)[0] == (0,)


def test_equal_candidates_stay() -> None:
    assert raced(*(chosen_on(number, 0.5, 0.5) for number in NUMBERS)) == ((0, 1, 2, 3), 2, set())


def test_without_racing_all_seeds_are_run_by_all() -> None:
    runs = [chosen_on(0, 0.10, 0.12), chosen_on(1, 0.11, 0.10), chosen_on(2, 0.12, 0.11), chosen_on(3, 0.9, 0.91)]

    assert raced(*runs, racing=False) == ((0, 1, 2, 3), 2, set())
    assert raced(*runs, rule="within_one_se", cost="size") == ((0, 1, 2, 3), 2, set())


def test_a_round_counts_once_all_that_are_left_came_to_its_end() -> None:
    runs = [chosen_on(0, 0.1, 0.1, 0.1), chosen_on(1, 0.1, 0.2), chosen_on(2, 0.2, 0.1), chosen_on(3, 0.1)]

    assert raced(*runs)[1] == 1


def test_a_failure_takes_a_candidate_out_on_whatever_seed() -> None:
    runs = chosen_on(0, 0.1) | chosen_on(1, 0.1, 0.1, None) | chosen_on(2, 0.2) | chosen_on(3, None)
    history = history_of(SEARCH | runs)
    found, ended = race(SPEC, history, NUMBERS), race_as_it_ended(SPEC, history, NUMBERS)

    assert (found.left, set(found.failed)) == ((0, 1, 2), {3})
    assert ended.left == (0, 2)
    assert ended.failed == {1: "fresh seed 3: failed", 3: "fresh seed 1: failed"}


def test_whom_only_a_candidate_that_failed_later_had_raced_out_is_back() -> None:
    ahead = chosen_on(0, 0.10, 0.12, None) | chosen_on(1, 0.12, 0.11, None)
    behind = chosen_on(2, 0.90, 0.92) | chosen_on(3, 0.92, 0.91)
    before = race(SPEC, history_of(SEARCH | chosen_on(0, 0.10, 0.12) | chosen_on(1, 0.12, 0.11) | behind), NUMBERS)
    found = race(SPEC, history_of(SEARCH | ahead | behind), NUMBERS)

    assert (before.left, set(before.beaten)) == ((0, 1), {2, 3})
    assert (found.left, found.rounds, set(found.failed), found.beaten) == ((2, 3), 2, {0, 1}, {})
    assert next_runs(SPEC, found)[-2:] == [TrialKey(2, 3), TrialKey(3, 3)]


def test_after_a_failure_nobody_is_raced_out_on_fewer_rounds_than_were_run() -> None:
    spec = small_spec(selection={"candidates": 3, "seeds": 6})
    runs = chosen_on(0, -0.022, 0.031, 0.052, -0.028, None)
    runs |= chosen_on(1, 0.137, -0.071, -0.049, 0.26, 0.347) | chosen_on(2, 0.175, -0.014, 0.03, -0.123, -0.256)
    found = race(spec, history_of(SEARCH | runs), [0, 1, 2])

    assert (found.left[-1], found.rounds) == (2, 5)


def test_the_only_one_that_is_back_is_compared_on_the_seeds_it_had() -> None:
    runs = chosen_on(0, 0.10, 0.12, None) | chosen_on(1, 0.90, 0.92)
    found = race(SPEC, history_of(SEARCH | runs | chosen_on(2, 0.12, 0.11, None)), [0, 1, 2])

    assert (found.left, found.rounds, found.is_over) == ((1,), 2, True)


def test_who_failed_is_out_once_the_others_ended_on_that_seed() -> None:
    runs = chosen_on(0, 0.1) | chosen_on(1, None)
    found = race(SPEC, history_of(SEARCH | runs), [0, 1, 2])

    assert (found.left, found.failed, found.is_over) == ((0, 1, 2), {}, False)
    assert next_runs(SPEC, found) == [TrialKey(0, 1), TrialKey(2, 1), TrialKey(0, 2), TrialKey(2, 2)]


def test_who_is_left_alone_by_a_failure_has_to_end_on_that_seed_too_and_on_no_other() -> None:
    open_, won, lost = (
        race(SPEC, history_of(SEARCH | chosen_on(0, None) | runs), [0, 1])
        for runs in ({}, chosen_on(1, 0.1), chosen_on(1, None))
    )

    assert next_runs(SPEC, open_) == [TrialKey(1, 1)]
    assert (won.left, won.rounds, won.is_over) == ((1,), 1, True)
    assert (lost.left, lost.is_over) == ((), True)


def test_an_only_candidate_needs_no_race() -> None:
    found = race(SPEC, history_of(SEARCH), [2])

    assert found.is_over
    assert next_runs(SPEC, found) == []


def test_all_first_seeds_come_before_any_second_and_no_third_before_the_second_is_judged() -> None:
    keys = next_runs(SPEC, race(SPEC, history_of(SEARCH), NUMBERS))

    assert [(key.replicate, key.number) for key in keys] == [(seed, n) for seed in (1, 2) for n in NUMBERS]
    without = small_spec(selection={"seeds": 3, "racing": False})
    assert {key.replicate for key in next_runs(without, race(without, history_of(SEARCH), NUMBERS))} == {1, 2, 3}


def test_a_cut_run_is_no_failure() -> None:
    found = race(SPEC, cut(history_of(SEARCH | chosen_on(0, 0.1)), TrialKey(1, 1)), [0, 1])

    assert (found.left, found.failed) == ((0, 1), {})


@given(
    means=st.lists(st.floats(0, 1), min_size=2, max_size=5),
    noise=st.sampled_from([0.0, 0.01, 0.3]),
    failing=st.sampled_from([0.0, 0.2, 0.6]),
    seeds=st.integers(1, 6),
    racing=st.booleans(),
    order=st.randoms(use_true_random=False),
    direction=st.sampled_from(["minimize", "maximize"]),
)
def test_the_race_ends_alike_in_whatever_order_runs_come_to_their_end(
    means: list[float],
    noise: float,
    failing: float,
    seeds: int,
    racing: bool,
    order: random.Random,
    direction: str,
) -> None:
    spec = small_spec(direction=direction, selection={"seeds": seeds, "racing": racing})
    numbers = list(range(len(means)))

    def value(key: TrialKey) -> float | None:
        if random.Random(f"{key} fails").random() < failing:
            return None
        return means[key.number] + noise * random.Random(f"{key}").gauss(0, 1)

    def run(shuffled: bool) -> History:
        history = history_of({TrialKey(number): 0.5 for number in numbers})
        while keys := [k for k in next_runs(spec, race(spec, history, numbers)) if k not in history.trials]:
            key = order.choice(keys) if shuffled else keys[0]
            add(history, key, value(key))
        return history

    first, second = (race(spec, run(shuffled), numbers) for shuffled in (False, True))
    assert first == second
    assert first.is_over
    sign = 1 if direction == "maximize" else -1
    if noise == failing == 0.0 and seeds >= 2:
        assert max(numbers, key=lambda number: sign * means[number]) in first.left
