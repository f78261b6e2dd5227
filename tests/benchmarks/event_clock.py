"""One event clock for all searchers: simulated workers that are asked, take as long as a table says, and tell."""

import heapq
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Params = Mapping[str, Any]


class Searcher(Protocol):
    """What is raced. It knows no loop: it is asked where a worker is free, and told when an evaluation ends."""

    def ask(self, now: float) -> tuple[Hashable, Params] | None:
        """An identity and the parameters to evaluate, or None where there is nothing to do before the next end."""

    def tell(self, now: float, identity: Hashable, loss: float, seconds: float) -> None:
        """The loss of an evaluation that was asked for, and how long it took, s."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation that ended within the budget; start and end in simulated seconds."""

    worker: int
    start: float
    end: float
    params: Params
    loss: float


def race(
    searcher: Searcher, evaluate: Callable[[Params], tuple[float, float]], *, workers: int, budget: float
) -> list[Evaluation]:
    """The evaluations that end within `budget` simulated seconds, in the order of their ends.

    evaluate: gives loss and seconds of a configuration. A searcher's own computing costs no simulated time. Equal ends
    come in the order of their starts. RuntimeError where the searcher has nothing to do though nothing runs.
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
