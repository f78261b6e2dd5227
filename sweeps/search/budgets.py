"""What is left of a sweep's budgets, as pure functions of recorded history and the time of day.

    trials         how many the search may ask for
    time           wall-clock of the whole sweep, s; the time between its sessions doesn't count
    device_hours   of GPUs where a trial has a share of one, else of CPUs, for as long as trials hold workers
    trial_time     wall-clock for which one trial of the search may hold workers, s

Of `time` and `device_hours` as much is held back from the search as the selection will take, by how long trainings took
so far, and from the choice what the published runs will take; `time_share` says how much of them that is at most, and
of what a sweep is given later, how much of all that is left then. Nothing is held back before the first report.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sweeps.search.fitting import held_back
from sweeps.search.history import PREEMPTED, History, Trial, TrialKey
from sweeps.sections import STAGES, Stage
from sweeps.spec import SweepSpec

TIME, DEVICE_HOURS, TRIAL_TIME = "time", "device_hours", "trial_time"
BY_HAND = "select"  # `sweeps select` ended the search
# How long a worker may take to stop when a budget ended, s and as a share of it: the overrun must stay below 5 s or
# 5 %, whichever is more.
_GRACE, _GRACE_SHARE = 3.0, 0.03


@dataclass(frozen=True)
class Limit:
    """A budget by name, what is left of it and what it was in all, s of wall-clock.

    wait: seconds more that a trial may take to its next report, at which it is ended.
    """

    name: str
    left: float
    total: float
    wait: float = 0.0

    @property
    def patience(self) -> float:
        """After how long a worker that did not stop is killed, s."""
        return self.left + self.wait + max(_GRACE, _GRACE_SHARE * self.total)


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


def _limits(spec: SweepSpec, history: History, now: float, stage: Stage, workers: int) -> Iterator[Limit]:
    (spent, occupied), share = history.extended_at, spec.selection.time_share
    if spec.time is not None:
        held = held_back(spec, history, stage, share * (spec.time - spent), of_workers=False)
        yield Limit(TIME, spec.time - held.seconds - history.elapsed(now), spec.time, held.wait)
    if spec.device_hours is not None:
        seconds = spec.device_hours * 3600 / spec.devices("search")  # for which trials may hold workers
        held = held_back(spec, history, stage, share * (seconds - occupied), of_workers=True)
        left = seconds - held.seconds - history.occupied(now)
        yield Limit(DEVICE_HOURS, left / workers, seconds / workers, held.wait / workers)


def lefts(spec: SweepSpec, history: History, now: float) -> dict[str, float]:
    """Return what is left of each budget: of `time` in seconds, of `device_hours` in seconds that workers are held."""
    return {limit.name: limit.left for limit in _limits(spec, history, now, "publication", 1)}


def spent(spec: SweepSpec, history: History, now: float, stage: Stage) -> list[str]:
    """The budgets of which nothing is left for a stage."""
    return [limit.name for limit in _limits(spec, history, now, stage, 1) if limit.left <= 0]


def ended(spec: SweepSpec, history: History, now: float) -> Ended:
    """Which stages are at their end."""
    search, *rest = (next(iter(spent(spec, history, now, stage)), None) for stage in STAGES)
    return Ended(search or history.budgeted.closed_by or (BY_HAND if history.is_closed else None), *rest)


def limit(spec: SweepSpec, history: History, trial: Trial, now: float, workers: int) -> Limit | None:
    """What ends a trial's stay in a worker, where so many workers are held, or all that there are; None for nothing."""
    return _nearest(spec, history, trial, now, trial.key.stage, workers)


def own_limit(spec: SweepSpec, history: History, trial: Trial, now: float, workers: int) -> Limit | None:
    """What ends a trial's stay in a worker that stops by itself; None if nothing does.

    A function can stop at a report alone, and there the driver knows better how much the selection will take.
    """
    stage = "publication" if spec.target else trial.key.stage
    return _nearest(spec, history, trial, now, stage, workers)


def _nearest(spec: SweepSpec, history: History, trial: Trial, now: float, stage: Stage, workers: int) -> Limit | None:
    sessions = list(history.noted("session"))
    slots = sessions[-1].body.get("slots", 0) if sessions else 0
    limits = list(_limits(spec, history, now, stage, max(slots, workers, 1)))
    if trial.key.stage == "search" and spec.trial_time is not None:
        limits.append(Limit(TRIAL_TIME, spec.trial_time - history.occupied(now, trial), spec.trial_time))
    return min(limits, key=lambda found: found.left, default=None)


def may_go_on(spec: SweepSpec, trial: Trial) -> bool:
    """Whether a trial that was cut has anything left of its own time."""
    return trial.reason != TRIAL_TIME or spec.trial_time is None or trial.occupied < spec.trial_time


def resting(spec: SweepSpec, history: History, now: float) -> set[TrialKey]:
    """Return the trials that lost a worker, or raised, and wait before they go on: twice as long each time.

    One whose node was preempted does not wait.
    """
    passed = history.elapsed(now)
    return {
        trial.key
        for trial in history.running
        if trial.needs_worker
        and trial.reason != PREEMPTED
        and passed < trial.halted + spec.retries.wait * 2 ** (trial.losses + trial.errors - 1)
    }
