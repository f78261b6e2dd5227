"""How far a sweep has come: its best trial, and whether anything is left to do."""

import math
from heapq import heappop, heappush
from typing import Literal

from sweeps.search.agenda import Finished, next_work
from sweeps.search.budgets import ended
from sweeps.search.history import History, Trial, TrialKey
from sweeps.spec import SweepSpec

State = Literal["running", "stopped", "over"]  # a driver is at work; none is, and there is work left; all is done


class Leader:
    """The search's best trial by its last finite value, of a history that grows: each report is looked at once."""

    def __init__(self, spec: SweepSpec, history: History) -> None:
        self._metric, self._history = spec.metric, history
        self._sign = -1 if spec.direction == "maximize" else 1
        self._seen = 0
        self._standings: list[tuple[float, int]] = []  # a heap of losses and numbers, also of reports that are not last

    def now(self) -> Trial | None:
        """The best trial as the history stands; None where none has a value."""
        for trial, measurement in self._history.measured[self._seen :]:
            value = measurement.values.get(self._metric, math.nan)
            if trial.key.replicate == 0 and math.isfinite(value):
                heappush(self._standings, (self._sign * value, trial.key.number))
        self._seen = len(self._history.measured)
        while self._standings:
            loss, number = self._standings[0]
            trial = self._history.trials[TrialKey(number)]
            if trial.state != "failed" and trial.value(self._metric) == self._sign * loss:
                return trial
            heappop(self._standings)  # for good: a trial that failed or diverged stays so in a session
        return None


def best_of(spec: SweepSpec, history: History) -> Trial | None:
    """The search's best trial by its last finite value."""
    return Leader(spec, history).now()


def is_over(spec: SweepSpec, history: History) -> bool:
    """Whether nothing is left to do, so that not even Ray is needed to find out."""
    if not history.is_concluded:  # a kill may have come between the last run and the outcome that follows from it
        return False
    return isinstance(next_work(spec, history, (), ended(spec, history, history.until)), Finished)
