"""ASHA as pure functions of recorded history: what each rung decides, and which paused trial goes on.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020. Rung k lies at fidelity
min_fidelity × reduction_factor^k, below the full fidelity. A trial's value at a rung is that of its first measurement
at or past the rung's fidelity, so a report that skips rungs is decided at each of them, lowest first.

    promote   a trial goes on past a rung when it is among the best 1/reduction_factor there (rounded down), else it
              pauses; whenever a slot is free the best paused trial that has come to belong to them is promoted
    stop      a trial goes on when it is among the best 1/reduction_factor (rounded up), else it is pruned for good
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from study.measurement import Measurement
from sweeps.search.history import DIVERGED, Decided, History, Trial
from sweeps.spec import SweepSpec

LOSSES = ("train_loss", "validation_loss")
_TOLERANCE = 1e-9  # a fidelity is a quotient of whole numbers: 3 epochs may come out as 2.9999999999


@dataclass(frozen=True)
class Entry:
    """A trial's standing at a rung: smaller is better; the earlier number wins a tie."""

    loss: float
    number: int


def levels(spec: SweepSpec, reached: float) -> Iterator[tuple[int, float]]:
    """The rungs at or below a fidelity, lowest first: (rung, fidelity). The full fidelity is no rung."""
    if spec.pruning.name == "none":
        return
    rung, level = 0, spec.pruning.min_fidelity
    full = spec.max_fidelity
    while level <= reached + _TOLERANCE and (full is None or level < full - _TOLERANCE):
        yield rung, level
        rung, level = rung + 1, level * spec.pruning.reduction_factor


def _loss(spec: SweepSpec, measurement: Measurement) -> float:
    value = measurement.values[spec.metric]
    return -value if spec.direction == "maximize" else value


def entry(spec: SweepSpec, trial: Trial, level: float) -> Entry | None:
    """The trial's standing at a rung, or None if it hasn't reached it or diverged there."""
    for measurement in trial.measurements:
        if measurement.fidelity >= level - _TOLERANCE:
            loss = _loss(spec, measurement)
            return Entry(loss, trial.key.number) if math.isfinite(loss) else None
    return None


def standings(spec: SweepSpec, history: History, level: float) -> list[Entry]:
    """All trials that reached a rung, best first."""
    entries = (entry(spec, trial, level) for trial in history.search)
    return sorted((e for e in entries if e is not None), key=lambda e: (e.loss, e.number))


def decide(spec: SweepSpec, history: History, trial: Trial) -> Decided | None:
    """The next decision that is due for a running trial, or None if it may train on.

    One decision is due at each rung that the trial has reached and that it was not decided at yet. A metric that is
    not finite ends the trial at once, and so does a loss of the study's models: their weights are lost.
    """
    last = trial.last
    if trial.state != "running" or last is None:
        return None
    seen = history.last.seq
    watched = (spec.metric, *(() if spec.target else LOSSES))
    if wrong := next((name for name in watched if not math.isfinite(last.values.get(name, 0.0))), None):
        reason = f"diverged: {wrong} is {last.values[wrong]}"
        return Decided(trial.key, DIVERGED, last.fidelity, "stop", reason, seen)
    if trial.key.replicate:
        return None
    for rung, level in levels(spec, last.fidelity):
        if rung in trial.decided:
            continue
        ranked = standings(spec, history, level)
        place = next(i for i, e in enumerate(ranked, start=1) if e.number == trial.key.number)
        share = len(ranked) / spec.pruning.reduction_factor
        goes_on = place <= (math.ceil(share) if spec.pruning.variant == "stop" else math.floor(share))
        standing = f"place {place} of {len(ranked)} at rung {rung} (fidelity {level:g})"
        if goes_on:
            return Decided(trial.key, rung, level, "continue", standing, seen)
        return Decided(trial.key, rung, level, "stop" if spec.pruning.variant == "stop" else "pause", standing, seen)
    return None


def promotion(spec: SweepSpec, history: History) -> Decided | None:
    """The paused trial to promote now, from the highest rung that has one, or None."""
    paused = {trial.key.number: trial for trial in history.search if trial.state == "paused"}
    rungs = {max(trial.decided): trial.decided[max(trial.decided)].level for trial in paused.values()}
    for rung in sorted(rungs, reverse=True):
        ranked = standings(spec, history, rungs[rung])
        best = ranked[: len(ranked) // spec.pruning.reduction_factor]
        for place, standing in enumerate(best, start=1):
            trial = paused.get(standing.number)
            if trial is not None and max(trial.decided) == rung:
                reason = f"place {place} of {len(ranked)} at rung {rung} (fidelity {rungs[rung]:g})"
                return Decided(trial.key, rung, rungs[rung], "promote", reason, history.last.seq)
    return None
