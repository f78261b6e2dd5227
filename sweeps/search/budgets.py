"""What is left of a sweep's budgets, as pure functions of recorded history and the time of day.

    trials         how many the search may ask for
    time           wall-clock of the whole sweep, s; the time between its sessions doesn't count
    device_hours   of GPUs where a trial has a share of one, else of CPUs, for as long as trials hold workers
    trial_time     wall-clock for which one trial of the search may hold workers, s

Of `time` and `device_hours` a share is held back from the search for the choice on fresh seeds, and a part of it from
that for the published runs; of what a sweep is given later, a share of all that is left then.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sweeps.search.history import History, Trial, TrialKey
from sweeps.sections import STAGES, Stage
from sweeps.spec import SweepSpec

TIME, DEVICE_HOURS, TRIAL_TIME = "time", "device_hours", "trial_time"
BY_HAND = "select"  # `sweeps select` ended the search
# How long a worker may take to stop when a budget ended, s and as a share of it: the overrun must stay below 5 s or
# 5 %, whichever is more.
_GRACE, _GRACE_SHARE = 3.0, 0.03


@dataclass(frozen=True)
class Limit:
    """A budget by name, what is left of it and what it was in all, s of wall-clock."""

    name: str
    left: float
    total: float

    @property
    def patience(self) -> float:
        """After how long a worker that did not stop is killed, s."""
        return self.left + max(_GRACE, _GRACE_SHARE * self.total)


@dataclass(frozen=True)
class Ended:
    """What ended each stage: a budget or, of the search, BY_HAND; None while it may go on."""

    search: str | None = None
    choice: str | None = None
    publication: str | None = None

    def of(self, stage: Stage) -> str | None:
        """What ended a stage."""
        found: str | None = getattr(self, stage)
        return found


def device_seconds(spec: SweepSpec, history: History, now: float) -> float:
    """For how long all trials occupied devices of the kind that is counted, s."""
    seconds = history.occupied(now) * spec.devices("search")
    if spec.selection.resources is None:
        return seconds
    fresh = math.fsum(history.occupied(now, run) for run in history.selection)
    return seconds + fresh * (spec.devices("choice") - spec.devices("search"))


def _limits(spec: SweepSpec, history: History, now: float, share: float, workers: int) -> Iterator[Limit]:
    spent, occupied = history.extended_at
    if spec.time is not None:
        yield Limit(TIME, spent + (spec.time - spent) * share - history.elapsed(now), spec.time)
    if spec.device_hours is not None:
        seconds = spec.device_hours * 3600 / spec.devices("search")  # for which trials may hold workers
        left = occupied + (seconds - occupied) * share - history.occupied(now)
        yield Limit(DEVICE_HOURS, left / workers, seconds / workers)


def spent(spec: SweepSpec, history: History, now: float, stage: Stage) -> list[str]:
    """The budgets of which nothing is left for a stage."""
    return [limit.name for limit in _limits(spec, history, now, spec.share(stage), 1) if limit.left <= 0]


def ended(spec: SweepSpec, history: History, now: float) -> Ended:
    """Which stages are at their end."""
    search, *rest = (next(iter(spent(spec, history, now, stage)), None) for stage in STAGES)
    return Ended(search or (BY_HAND if history.is_closed else None), *rest)


def limit(spec: SweepSpec, history: History, trial: Trial, now: float, workers: int) -> Limit | None:
    """What ends a trial's stay in a worker, where so many workers are held; None if nothing does."""
    limits = list(_limits(spec, history, now, spec.share(trial.key.stage), workers))
    if trial.key.stage == "search" and spec.trial_time is not None:
        limits.append(Limit(TRIAL_TIME, spec.trial_time - history.occupied(now, trial), spec.trial_time))
    return min(limits, key=lambda found: found.left, default=None)


def may_go_on(spec: SweepSpec, trial: Trial) -> bool:
    """Whether a trial that was cut has anything left of its own time."""
    return trial.reason != TRIAL_TIME or spec.trial_time is None or trial.occupied < spec.trial_time


def resting(spec: SweepSpec, history: History, now: float) -> set[TrialKey]:
    """The trials that lost a worker, or raised, and wait before they go on: twice as long each time."""
    return {
        trial.key
        for trial in history.running
        if trial.needs_worker and now < trial.halted + spec.retries.wait * 2 ** (trial.losses + trial.errors - 1)
    }
