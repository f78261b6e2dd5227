"""The durations of trainings, by the recorded times, and of a selection: pure functions of history.

A training starts up (a model is built, data are read) and then reports at an even pace. Its duration is therefore
estimated as seconds between reports × remaining fidelity + the time that it took so far. The estimate uses the trials
that came furthest: they are the ones that pruning kept, and their start-up weighs least.
"""

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from sweeps.search.history import History, Trial, TrialKey
from sweeps.sections import SelectionRule, Stage
from sweeps.spec import SweepSpec

_FURTHEST = 8  # trials from which the duration of a training is estimated
_TOGETHER = 2  # rounds of a race that run together, since no candidate is raced out after the first


@dataclass(frozen=True)
class Pace:
    """The seconds for which a training to full fidelity holds a worker, and the seconds between two reports."""

    training: float
    report: float


class _Furthest:
    """The search's trials that came furthest, the better first at equal fidelity; each report is processed once."""

    def __init__(self, spec: SweepSpec) -> None:
        self._metric, self._sign = spec.metric, -1 if spec.direction == "maximize" else 1
        self._seen = 0
        self._ranked: list[tuple[float, float, TrialKey]] = []
        self.full = 0.0  # the highest fidelity that a trial has reached

    def follow(self, history: History) -> list[Trial]:
        for trial, measurement in history.measured[self._seen :]:
            if trial.key.replicate:
                continue
            loss = self._sign * measurement.values.get(self._metric, math.nan)
            self.full = max(self.full, measurement.fidelity)
            self._ranked = [ranked for ranked in self._ranked if ranked[-1] != trial.key]
            insort(self._ranked, (-measurement.fidelity, loss if math.isfinite(loss) else math.inf, trial.key))
            del self._ranked[_FURTHEST:]
        self._seen = len(history.measured)
        return [history.trials[key] for _, _, key in self._ranked]


def _furthest(spec: SweepSpec, history: History) -> tuple[list[Trial], float]:
    """Return the trials that came furthest, and the fidelity of a whole training."""
    kept = history.kept(spec, _Furthest, lambda: _Furthest(spec))
    trials = kept.follow(history)
    return trials, spec.max_fidelity or kept.full


def pace(spec: SweepSpec, history: History) -> Pace | None:
    """Return how long trainings take, or None before the first report."""
    trials, full = _furthest(spec, history)
    lengths = [length for trial in trials if (length := _length(trial, full)) is not None]
    if not lengths:
        return None
    training = fmean(lengths)
    return Pace(training, training * max(trial.gained for trial in trials) / full)


def _length(trial: Trial, full: float) -> float | None:
    """Return for how long a training of the trial's configuration to full fidelity would hold a worker, s."""
    if trial.last is None or trial.last.fidelity <= 0:
        return None
    if trial.state == "complete":
        return trial.occupied
    return trial.occupied + _rate(trial, trial.last.fidelity) * max(full - trial.last.fidelity, 0.0)


def _rate(trial: Trial, reached: float) -> float:
    """Return the seconds that a trial takes per unit of fidelity."""
    steps = [
        (later - earlier) / (after.fidelity - before.fidelity)
        for earlier, later, before, after in zip(
            trial.moments, trial.moments[1:], trial.measurements, trial.measurements[1:], strict=False
        )
        if after.fidelity > before.fidelity
    ]
    # While a trial is paused, time passes between its reports, but it holds no worker.
    return min(median(steps), trial.occupied / reached) if steps else trial.occupied / reached


def warm_training(spec: SweepSpec, history: History) -> float | None:
    """Return how long a training takes in a worker that has already started, s, or None before the first report."""
    trials, full = _furthest(spec, history)
    lengths = []
    # A single report says more about a worker's start than about the pace.
    for trial in [trial for trial in trials if len(trial.measurements) > 1] or trials:
        first, reached = trial.measurements[0], trial.measurements[-1].fidelity
        if reached > 0:
            lengths.append(first.seconds + _rate(trial, reached) * max(full - first.fidelity, 0.0))
    return fmean(lengths) if lengths else None


def candidate_lengths(spec: SweepSpec, history: History, numbers: Sequence[int]) -> list[float]:
    """Return for how long a training of each candidate would hold a worker, s; [] before the first report.

    A single report says more about a training's start-up than about its pace, so the usual duration is used instead.
    """
    usual, (_, full) = pace(spec, history), _furthest(spec, history)
    if usual is None:
        return []
    fresh = {run.key.number: run for run in history.selection if run.state == "complete"}
    lengths = []
    for number in numbers:
        trial = fresh.get(number) or history.trials[TrialKey(number)]
        says_little = trial.state != "complete" and len(trial.measurements) < 2
        lengths.append(usual.training if says_little else _length(trial, full) or usual.training)
    return lengths


@dataclass(frozen=True)
class Costs:
    """The seconds that the two stages of a selection take."""

    choice: float
    publication: float

    @property
    def both(self) -> float:
        return self.choice + self.publication

    def of(self, stage: Stage) -> float:
        """Return the seconds that the stages after this one take."""
        return {"search": self.both, "choice": self.publication, "publication": 0.0}[stage]


def selection_costs(rule: SelectionRule, lengths: Sequence[float], slots: int | None) -> Costs:
    """Estimate how long a selection takes.

    Args:
        rule: The selection.
        lengths: The duration of a training of each candidate, including the baseline, s.
        slots: The number of trainings that run at a time, or None to count the time of workers.

    Returns:
        Wall-clock seconds, or seconds of held workers if `slots` is None. No candidate is assumed to be raced out, and
        the one that takes longest is assumed to win.
    """
    runs = len(lengths)
    if not runs:
        return Costs(0.0, 0.0)
    choice = 0.0
    if rule.chooses and runs > 1:
        first = min(rule.seeds, _TOGETHER) if rule.races else rule.seeds
        choice = _batch(first * runs, lengths, slots) + (rule.seeds - first) * _batch(runs, lengths, slots)
    published = rule.published_seeds * min(runs, 2)
    return Costs(choice, _batch(published, [max(lengths)], slots))


def _batch(runs: int, lengths: Sequence[float], slots: int | None) -> float:
    """Return the seconds that this many trainings take, which may run in parallel."""
    if not runs:
        return 0.0
    if slots is None:
        return runs * fmean(lengths)
    return max(math.ceil(runs / slots) * fmean(lengths), *lengths)


def slots(history: History) -> int:
    """Return how many trainings of the selection run at a time by the last session, or 1 if it does not say."""
    sessions = list(history.noted("session"))
    body = sessions[-1].body if sessions else {}
    return max(int(body.get("selection_slots", body.get("slots", 1))), 1)
