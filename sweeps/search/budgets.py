"""The remainder of a sweep's budgets, as pure functions of recorded history and the time of day.

    trials         number of trials that the search may ask for
    time           wall-clock time of the whole sweep, s, without the time between its sessions
    device_hours   of GPUs if a trial has a share of one, otherwise of CPUs, for as long as trials hold workers
    trial_time     wall-clock time for which one trial of the search may hold workers, s

Part of `time` and `device_hours` is held back from the search: as much as the selection will take, estimated from the
durations of trainings so far. What the published runs will take is held back from the choice. `time_share` is the
largest share of these budgets that is held back. If a sweep is extended, it is a share of all that is left at that
moment. Nothing is held back before the first report.
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
# How long a worker may take to stop after a budget ended, in s and as a share of the budget: the overrun must stay
# below 5 s or 5 %, whichever is more.
_GRACE, _GRACE_SHARE = 3.0, 0.03


@dataclass(frozen=True)
class Limit:
    """A budget with its remainder.

    Attributes:
        name: The name of the budget.
        left: What is left of it, s of wall-clock time.
        total: What it was in all, s of wall-clock time.
        wait: The additional seconds that a trial may take to its next report, at which it is ended.
    """

    name: str
    left: float
    total: float
    wait: float = 0.0

    @property
    def patience(self) -> float:
        """Return the time after which a worker that did not stop is killed, s."""
        return self.left + self.wait + max(_GRACE, _GRACE_SHARE * self.total)


@dataclass(frozen=True)
class Ended:
    """What ended each stage: a budget or, for the search, also BY_HAND; None while the stage may continue."""

    search: str | None = None
    choice: str | None = None
    publication: str | None = None

    def of(self, stage: Stage) -> str | None:
        """Return what ended a stage, or None while it may continue."""
        found: str | None = getattr(self, stage)
        return found


def device_seconds(spec: SweepSpec, history: History, now: float) -> float:
    """Return for how long all trials occupied devices of the kind that is counted, in device-seconds."""
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
    """Return what is left of each budget: of `time` in seconds, of `device_hours` in seconds of held workers."""
    return {limit.name: limit.left for limit in _limits(spec, history, now, "publication", 1)}


def spent(spec: SweepSpec, history: History, now: float, stage: Stage) -> list[str]:
    """Return the budgets of which nothing is left for a stage."""
    return [limit.name for limit in _limits(spec, history, now, stage, 1) if limit.left <= 0]


def ended(spec: SweepSpec, history: History, now: float) -> Ended:
    """Return what has ended each stage."""
    search, *rest = (next(iter(spent(spec, history, now, stage)), None) for stage in STAGES)
    return Ended(search or history.budgeted.closed_by or (BY_HAND if history.is_closed else None), *rest)


def limit(spec: SweepSpec, history: History, trial: Trial, now: float, workers: int) -> Limit | None:
    """Return the budget that ends a trial's stay in a worker first, or None if there is none.

    Args:
        spec: The spec of the sweep.
        history: The sweep's recorded history.
        trial: The trial.
        now: The time of day (seconds since the epoch).
        workers: The number of workers that are held. The last session's number of slots counts if it is larger.
    """
    return _nearest(spec, history, trial, now, trial.key.stage, workers)


def own_limit(spec: SweepSpec, history: History, trial: Trial, now: float, workers: int) -> Limit | None:
    """Return the budget by which a worker ends a trial's stay by itself, or None if there is none.

    A function can stop only at a report. There the driver knows better how much the selection will take, so the
    worker's own limit holds nothing back.
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
    """Return whether an interrupted trial has any of its own time left."""
    return trial.reason != TRIAL_TIME or spec.trial_time is None or trial.occupied < spec.trial_time


def resting(spec: SweepSpec, history: History, now: float) -> set[TrialKey]:
    """Return the trials that wait before they continue, because they lost a worker or raised.

    The wait doubles each time. A trial whose node was preempted does not wait.
    """
    passed = history.elapsed(now)
    return {
        trial.key
        for trial in history.running
        if trial.needs_worker
        and trial.reason != PREEMPTED
        and passed < trial.halted + spec.retries.wait * 2 ** (trial.losses + trial.errors - 1)
    }
