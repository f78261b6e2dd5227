"""Tests of the event clock: workers, ends and calls between a searcher and its table are as on real workers."""

from collections.abc import Hashable
from itertools import pairwise
from typing import Any

import pytest
from event_clock import Evaluation, Params, race
from searchers import Optuna, Ours, Random

from search_spaces import Choice, Int, SearchSpace

SPACE = SearchSpace({"x": Int(0, 5), "kind": Choice(("a", "b"))})


def look_up(params: Params) -> tuple[float, float]:
    """Return loss and seconds, where a large x is bad and fast."""
    return abs(params["x"] - 1) + (params["kind"] == "b"), 12.0 - 2 * params["x"]


class Recorder:
    """A searcher that counts up, keeps all results, and wants at most `limit` evaluations at a time."""

    def __init__(self, limit: int = 99) -> None:
        self.limit = limit
        self.asked: dict[Hashable, Params] = {}
        self.told: list[tuple[float, Hashable, float, float]] = []

    def ask(self, now: float) -> tuple[Hashable, Params] | None:
        if len(self.asked) - len(self.told) >= self.limit:
            return None
        number = len(self.asked)
        self.asked[number] = {"x": -number % 6, "kind": "ab"[number % 2]}
        return number, self.asked[number]

    def tell(self, now: float, identity: Hashable, loss: float, seconds: float) -> None:
        self.told.append((now, identity, loss, seconds))


def by_worker(run: list[Evaluation]) -> dict[int, list[Evaluation]]:
    workers: dict[int, list[Evaluation]] = {}
    for evaluation in run:
        workers.setdefault(evaluation.worker, []).append(evaluation)
    return workers


def test_evaluations_end_in_the_order_of_simulated_time() -> None:
    run = race(Recorder(), look_up, workers=3, budget=200)

    assert [e.end for e in run] == sorted(e.end for e in run)
    assert [e.start for e in run] != sorted(e.start for e in run)  # otherwise nothing would test the order
    assert all(e.end - e.start == look_up(e.params)[1] for e in run)


def test_no_worker_is_booked_twice_and_none_idles() -> None:
    workers = by_worker(race(Recorder(), look_up, workers=3, budget=200))

    assert sorted(workers) == [0, 1, 2]
    for evaluations in workers.values():
        assert evaluations[0].start == 0
        assert all(before.end == after.start for before, after in pairwise(evaluations))


def test_a_searcher_is_told_what_it_asked_when_it_ends() -> None:
    searcher = Recorder()
    run = race(searcher, look_up, workers=3, budget=200)

    assert len({identity for _, identity, _, _ in searcher.told}) == len(searcher.told) == len(run)
    for (now, identity, loss, seconds), evaluation in zip(searcher.told, run, strict=True):
        assert (loss, seconds) == look_up(searcher.asked[identity])
        assert (now, searcher.asked[identity]) == (evaluation.end, evaluation.params)


def test_what_ends_after_the_budget_counts_for_nothing() -> None:
    searcher = Recorder()
    run = race(searcher, look_up, workers=3, budget=50)

    assert max(e.end for e in run) <= 50
    assert len(searcher.asked) == len(run) + 3  # one is in progress on each worker


def test_a_searcher_that_waits_is_asked_again_at_the_next_end() -> None:
    run = race(Recorder(limit=2), look_up, workers=3, budget=200)

    assert sorted(by_worker(run)) == [0, 1]


def test_a_searcher_that_never_asks_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="nothing runs at 0 s of 200"):
        race(Recorder(limit=0), look_up, workers=3, budget=200)


@pytest.mark.parametrize("make", [Ours, Optuna, Random])
def test_searchers_begin_with_the_defaults_and_are_repeatable(make: Any) -> None:
    first, again = (race(make(SPACE, 3), look_up, workers=2, budget=150) for _ in range(2))

    assert first == again
    assert by_worker(first)[0][0].params == SPACE.defaults()  # worker 0 is asked for first
    assert len({tuple(e.params.items()) for e in first}) > 5


def test_ours_learns_from_what_it_is_told() -> None:
    run = race(Ours(SPACE, 0), look_up, workers=2, budget=400)

    assert sum(e.loss for e in run[-10:]) < sum(e.loss for e in run[:10])
