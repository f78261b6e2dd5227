"""How far a sweep has come: its best trial, and whether anything is left to do."""

from typing import Literal

from sweeps.search.agenda import Finished, next_work
from sweeps.search.budgets import ended
from sweeps.search.history import History, Trial
from sweeps.spec import SweepSpec

State = Literal["running", "stopped", "over"]  # a driver is at work; none is, and there is work left; all is done


def best_of(spec: SweepSpec, history: History) -> Trial | None:
    """The search's best trial by its last finite value."""
    able = [t for t in history.search if t.state != "failed" and t.value(spec.metric) is not None]
    sign = -1 if spec.direction == "maximize" else 1
    return min(able, key=lambda t: (sign * (t.value(spec.metric) or 0.0), t.key.number), default=None)


def is_over(spec: SweepSpec, history: History) -> bool:
    """Whether nothing is left to do, so that not even Ray is needed to find out."""
    if history.outcome is None:
        return False
    return isinstance(next_work(spec, history, (), ended(spec, history, history.until)), Finished)
