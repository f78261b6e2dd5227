"""Pruning as pure functions of recorded history: the decision at each rung, and the paused trial that is promoted.

Rung k is at fidelity min_fidelity × reduction_factor^k, below the full fidelity. A trial's value at a rung is that of
its first measurement at or past the rung's fidelity. If a report skips rungs, a decision is made at each of them, the
lowest first. A trial that diverged earlier has no place there. The trials compared at a rung, and how many continue:

    asha        all trials that reached it; the best 1/reduction_factor
    hyperband   those of the trial's bracket, which is drawn by its number; bracket b begins at rung b, the last has
                no rung
    median      all that reached it, with rungs at every multiple of min_fidelity; the better half, and at least 5:
                Vizier's rule, but with the values at the rung instead of averages over earlier reports

    promote     a trial continues past a rung if it is among these (rounded down), otherwise it pauses; whenever a slot
                is free, the best paused trial that has come to be among them is promoted
    stop        a trial continues if it is among these (rounded up), otherwise it is pruned for good

Sources: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (asha, and its brackets); Li et
al., Hyperband, JMLR 2018 (how many trials a bracket gets); Golovin et al., Google Vizier, KDD 2017 (median).
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from study.measurement import Measurement
from study.seeds import derive_seed
from sweeps.search.history import DIVERGED, Decided, History, Trial, TrialKey, Verdict
from sweeps.spec import SweepSpec

LOSSES = ("train_loss", "validation_loss")
MEDIAN_STARTUP = 5  # number of trials that pass a rung before the median applies
_TOLERANCE = 1e-9  # a fidelity is a quotient of integers: 3 epochs may come out as 2.9999999999


@dataclass(frozen=True)
class Entry:
    """A trial's standing at a rung: a smaller loss is better, and the lower number wins a tie."""

    loss: float
    number: int


def brackets(spec: SweepSpec) -> list[float]:
    """Return the share of the trials that each bracket gets; one bracket without Hyperband or without a full fidelity.

    Every bracket gets the same budget, so a bracket that begins to prune later has fewer trials.
    """
    full = spec.max_fidelity
    if spec.pruning.name != "hyperband" or full is None:
        return [1.0]
    return _shares(spec.pruning.reduction_factor, sum(1 for _ in _ladder(spec, full)))


@cache
def _shares(factor: int, last: int) -> list[float]:
    sizes = [math.ceil((last + 1) / (s + 1) * factor**s) for s in range(last, -1, -1)]
    return [size / sum(sizes) for size in sizes]


def bracket(spec: SweepSpec, number: int) -> int:
    """Return the bracket of a trial, drawn by the sweep's seed and the trial's number."""
    shares = brackets(spec)
    if len(shares) == 1:
        return 0
    draw = derive_seed(spec.seed, "bracket", number) / 2**63
    return min(sum(draw >= bound for bound in accumulate(shares)), len(shares) - 1)


def levels(spec: SweepSpec, number: int, reached: float) -> Iterator[tuple[int, float]]:
    """Return a trial's rungs at or below a fidelity, as (rung, fidelity), lowest first; full fidelity is no rung."""
    first = bracket(spec, number)
    return ((rung, level) for rung, level in _ladder(spec, reached) if rung >= first)


def _ladder(spec: SweepSpec, reached: float) -> Iterator[tuple[int, float]]:
    if spec.pruning.name == "none":
        return
    rung, level = 0, spec.min_fidelity
    full = spec.max_fidelity
    while level <= reached + _TOLERANCE and (full is None or level < full - _TOLERANCE):
        yield rung, level
        rung += 1
        level = spec.min_fidelity * (rung + 1 if spec.pruning.name == "median" else spec.pruning.reduction_factor**rung)


def _loss(spec: SweepSpec, measurement: Measurement) -> float:
    value = measurement.values[spec.metric]
    return -value if spec.direction == "maximize" else value


def entry(spec: SweepSpec, trial: Trial, level: float) -> Entry | None:
    """Return the trial's standing at a rung, or None if it has no value there yet or diverged there."""
    for measurement in trial.with_metric(spec.metric):
        if measurement.fidelity >= level - _TOLERANCE:
            loss = _loss(spec, measurement)
            return Entry(loss, trial.key.number) if math.isfinite(loss) else None
    return None


class _Rung:
    """The trials of a bracket that reached a fidelity, best first; each measurement is processed once."""

    def __init__(self, spec: SweepSpec, first: int, level: float) -> None:
        self._spec, self._first, self._level = spec, first, level
        self._seen = 0
        self._came: set[int] = set()
        self.entries: list[Entry] = []

    def follow(self, history: History) -> list[Entry]:
        for trial, measurement in history.measured[self._seen :]:
            number = trial.key.number
            if trial.key.replicate or number in self._came or measurement.fidelity < self._level - _TOLERANCE:
                continue
            if self._spec.metric not in measurement.values:
                continue  # a later report may have it
            self._came.add(number)
            loss = _loss(self._spec, measurement)
            if math.isfinite(loss) and bracket(self._spec, number) == self._first:
                insort(self.entries, Entry(loss, number), key=_order)
        self._seen = len(history.measured)
        return self.entries


class _Reached:
    """The highest fidelity that the search has reached; each measurement is processed once."""

    def __init__(self) -> None:
        self._seen = 0
        self.fidelity = 0.0

    def follow(self, history: History) -> float:
        for trial, measurement in history.measured[self._seen :]:
            if not trial.key.replicate:
                self.fidelity = max(self.fidelity, measurement.fidelity)
        self._seen = len(history.measured)
        return self.fidelity


def _order(entry: Entry) -> tuple[float, int]:
    return entry.loss, entry.number


def standings(spec: SweepSpec, history: History, number: int, level: float) -> Sequence[Entry]:
    """Return the trials that a trial is compared with at a rung, best first: those of its bracket that reached it."""
    return _standings(spec, history, bracket(spec, number), level)


def _standings(spec: SweepSpec, history: History, first: int, level: float) -> Sequence[Entry]:
    return history.kept(spec, (_Rung, first, level), lambda: _Rung(spec, first, level)).follow(history)


def _places(spec: SweepSpec, reached: int) -> int:
    """Return how many of the trials that reached a rung continue past it."""
    is_median = spec.pruning.name == "median"
    share = reached / (2 if is_median else spec.pruning.reduction_factor)
    places = math.ceil(share) if spec.pruning.variant == "stop" else math.floor(share)
    return max(places, min(reached, MEDIAN_STARTUP)) if is_median else places


def decide(spec: SweepSpec, history: History, trial: Trial) -> Decided | None:
    """Return the next decision that is due for a running trial, or None if it may continue to train.

    At a report with the metric, one decision is due at each rung that the trial has reached without a decision. A
    metric that is not finite ends the trial at once. So does a loss of the study's models that is not finite, because
    their weights are then lost.
    """
    last = trial.last
    if trial.state != "running" or last is None:
        return None
    seen = history.last.seq
    if wrong := _not_finite(spec, last):
        reason = f"diverged: {wrong} is {last.values[wrong]}"
        return Decided(trial.key, DIVERGED, last.fidelity, "stop", reason, seen)
    if trial.key.replicate or spec.metric not in last.values:
        return None
    for rung, level in levels(spec, trial.key.number, last.fidelity):
        if rung in trial.decided:
            continue
        ranked = standings(spec, history, trial.key.number, level)
        own = entry(spec, trial, level)
        assert own is not None  # a trial without an entry has diverged
        place = bisect_left(ranked, _order(own), key=_order) + 1
        verdict: Verdict = "stop" if spec.pruning.variant == "stop" else "pause"
        if place <= _places(spec, len(ranked)):
            verdict = "continue"
        return Decided(trial.key, rung, level, verdict, _standing(place, ranked, rung, level), seen)
    return None


def _not_finite(spec: SweepSpec, measurement: Measurement) -> str | None:
    watched = (spec.metric, *(() if spec.target else LOSSES))
    return next((name for name in watched if not math.isfinite(measurement.values.get(name, 0.0))), None)


def is_full(spec: SweepSpec, measurement: Measurement) -> bool:
    """Return whether a function's trial ends at a measurement; the study's models end by themselves (False)."""
    return spec.target is not None and spec.max_fidelity is not None and measurement.fidelity >= spec.max_fidelity


def is_undecided(spec: SweepSpec, trial: Trial, measurement: Measurement) -> bool:
    """Return whether a measurement makes a decision due for its trial, whatever has been measured elsewhere."""
    if _not_finite(spec, measurement):
        return True
    if spec.metric not in measurement.values:
        return False
    reached = levels(spec, trial.key.number, measurement.fidelity) if not trial.key.replicate else ()
    return any(rung not in trial.decided for rung, _ in reached)


def _standing(place: int, ranked: Sequence[Entry], rung: int, level: float) -> str:
    return f"place {place} of {len(ranked)} so far at rung {rung} (fidelity {level:g})"


def promotion(spec: SweepSpec, history: History) -> Decided | None:
    """Return the promotion of a paused trial that is due now, from the highest rung that has one, or None.

    It is requested whenever a slot is free. It therefore looks only at the trials that may continue past each rung, and
    not at all paused trials.
    """
    if not history.counts()["paused"]:
        return None
    reached, last = history.kept(spec, _Reached, _Reached).follow(history), len(brackets(spec)) - 1
    for rung, level in reversed(list(_ladder(spec, reached))):
        for first in range(min(rung, last) + 1):
            ranked = _standings(spec, history, first, level)
            for place, standing in enumerate(ranked[: _places(spec, len(ranked))], start=1):
                trial = history.trials[TrialKey(standing.number)]
                if trial.state == "paused" and max(trial.decided) == rung:
                    reason = _standing(place, ranked, rung, level)
                    return Decided(trial.key, rung, level, "promote", reason, history.last.seq)
    return None
