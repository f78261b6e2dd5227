"""One event clock for all searchers: simulated workers whose evaluations take as long as a table says."""

import heapq
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Params = Mapping[str, Any]


class Searcher(Protocol):
    """A searcher in a race.

    It needs no loop: it is asked when a worker is free, and gets the result when an evaluation ends.
    """

    def ask(self, now: float) -> tuple[Hashable, Params] | None:
        """Return an identity and the parameters to evaluate, or None if there is nothing to do before the next end."""

    def tell(self, now: float, identity: Hashable, loss: float, seconds: float) -> None:
        """Take the loss of an evaluation that was asked for, and its duration in seconds."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation that ended within the budget; start and end are in simulated seconds."""

    worker: int
    start: float
    end: float
    params: Params
    loss: float


def race(
    searcher: Searcher, evaluate: Callable[[Params], tuple[float, float]], *, workers: int, budget: float
) -> list[Evaluation]:
    """Run a searcher, and return the evaluations that end within the budget.

    A searcher's own computing costs no simulated time.

    Args:
        searcher: The searcher.
        evaluate: Returns the loss and the duration in seconds of a configuration.
        workers: The number of simulated workers.
        budget: The length of the race, in simulated seconds.

    Returns:
        The evaluations in the order of their ends. Equal ends are in the order of their starts.

    Raises:
        RuntimeError: If the searcher asks for nothing while nothing runs.
    """
    free, running, ended, asked = list(range(workers)), [], [], 0
    now = 0.0
    while True:
        while free and (question := searcher.ask(now)) is not None:
            identity, params = question
            loss, seconds = evaluate(params)
            evaluation = Evaluation(heapq.heappop(free), now, now + seconds, params, loss)
            asked += 1
            heapq.heappush(running, (evaluation.end, asked, identity, evaluation))
        if not running:
            raise RuntimeError(f"nothing runs at {now:g} s of {budget:g}, but the searcher asks for nothing")
        now, _, identity, evaluation = heapq.heappop(running)
        if now > budget:
            return ended
        ended.append(evaluation)
        heapq.heappush(free, evaluation.worker)
        searcher.tell(now, identity, evaluation.loss, evaluation.end - evaluation.start)
