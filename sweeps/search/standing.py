"""The progress of a sweep: its best trial, and whether anything is left to do."""

import math
from dataclasses import dataclass
from typing import Literal

from sweeps.search.agenda import Finished, next_work
from sweeps.search.budgets import ended
from sweeps.search.history import History, Trial
from sweeps.spec import SweepSpec

State = Literal["running", "stopped", "over"]  # a driver is working; none is, but work is left; all is done


@dataclass(frozen=True)
class Best:
    """The best value that a search has seen, and the trial and the fidelity at which it was reported."""

    trial: Trial
    value: float
    fidelity: float


class Leader:
    """The best value that a search has seen, for a growing history; each report is processed once.

    It never gets worse, whatever becomes of its trial. Of equal values the first counts.
    """

    def __init__(self, spec: SweepSpec, history: History) -> None:
        self._metric, self._history = spec.metric, history
        self._sign = -1 if spec.direction == "maximize" else 1
        self._seen = 0
        self._best: Best | None = None

    def now(self) -> Best | None:
        """Return the current best, or None if no report has a finite value."""
        for trial, measurement in self._history.measured[self._seen :]:
            value = measurement.values.get(self._metric, math.nan)
            if trial.key.replicate or not math.isfinite(value):
                continue
            if self._best is None or self._sign * value < self._sign * self._best.value:
                self._best = Best(trial, value, measurement.fidelity)
        self._seen = len(self._history.measured)
        return self._best


def best_of(spec: SweepSpec, history: History) -> Best | None:
    """Return the best value that the search has seen, or None if no report has a finite value."""
    return Leader(spec, history).now()


def shown_state(trial: str, sweep: str) -> str:
    """Return the words for a trial's state: it runs, or may be promoted, only as long as its sweep may continue."""
    match trial, sweep:
        case "running", "stopped":
            return "halted"
        case "paused", "over":
            return "stopped at a rung"
    return trial


def is_over(spec: SweepSpec, history: History) -> bool:
    """Return whether nothing is left to do, without starting Ray."""
    if not history.is_concluded:  # a kill may have come between the last run and its outcome
        return False
    return isinstance(next_work(spec, history, (), ended(spec, history, history.until)), Finished)
