"""How long trainings take, by what is recorded, and how long a selection would: pure functions of history.

A training begins (a model is built, data are read) and then reports at an even pace, so that its length is estimated as
seconds between reports × fidelity to come + what it took besides. The trials that came furthest say what a training
takes: they are the ones that pruning kept, and their beginning weighs least.
"""

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from sweeps.search.history import History, Trial, TrialKey
from sweeps.sections import SelectionRule, Stage
from sweeps.spec import SweepSpec

_FURTHEST = 8  # trials that say what a training takes
_TOGETHER = 2  # rounds of a race that run together: no candidate is raced out after the first


@dataclass(frozen=True)
class Pace:
    """Seconds for which a training to full fidelity holds a worker, and seconds between two reports."""

    training: float
    report: float


class _Furthest:
    """The trials of the search that came furthest, the better first of equal ones: each report is looked at once."""

    def __init__(self, spec: SweepSpec) -> None:
        self._metric, self._sign = spec.metric, -1 if spec.direction == "maximize" else 1
        self._seen = 0
        self._ranked: list[tuple[float, float, TrialKey]] = []
        self.full = 0.0  # the highest fidelity that a trial came to

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
    """The trials that came furthest, and the fidelity of a whole training."""
    kept = history.kept(spec, _Furthest, lambda: _Furthest(spec))
    trials = kept.follow(history)
    return trials, spec.max_fidelity or kept.full


def pace(spec: SweepSpec, history: History) -> Pace | None:
    """Return how long trainings take, None before the first report."""
    trials, full = _furthest(spec, history)
    lengths = [length for trial in trials if (length := _length(trial, full)) is not None]
    if not lengths:
        return None
    training = fmean(lengths)
    return Pace(training, training * max(trial.gained for trial in trials) / full)


def _length(trial: Trial, full: float) -> float | None:
    """For how long a training of the trial's configuration to full fidelity would hold a worker, s."""
    if trial.last is None or trial.last.fidelity <= 0:
        return None
    if trial.state == "complete":
        return trial.occupied
    return trial.occupied + _rate(trial, trial.last.fidelity) * max(full - trial.last.fidelity, 0.0)


def _rate(trial: Trial, reached: float) -> float:
    """Return the seconds that a trial takes for a fidelity of one."""
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
    """Return how long a training takes in a worker that has started, s; None before the first report."""
    trials, full = _furthest(spec, history)
    lengths = []
    for trial in trials:
        first, reached = trial.measurements[0], trial.measurements[-1].fidelity
        if reached > 0:
            lengths.append(first.seconds + _rate(trial, reached) * max(full - first.fidelity, 0.0))
    return fmean(lengths) if lengths else None


def candidate_lengths(spec: SweepSpec, history: History, numbers: Sequence[int]) -> list[float]:
    """Return for how long a training of each candidate would hold a worker, s; [] before the first report.

    A single report says more of a training's beginning than of its pace: then the pace of the others counts.
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
    """Seconds that the two stages of a selection take."""

    choice: float
    publication: float

    @property
    def both(self) -> float:
        return self.choice + self.publication

    def of(self, stage: Stage) -> float:
        """Seconds that the stages after this one take."""
        return {"search": self.both, "choice": self.publication, "publication": 0.0}[stage]


def selection_costs(rule: SelectionRule, lengths: Sequence[float], slots: int | None) -> Costs:
    """Return what a selection takes, s: wall-clock on so many slots; where slots is None, of workers.

    lengths: of a training of each candidate, the baseline among them. Nobody is raced out, and the longest one wins.
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
    """What so many trainings take that may run side by side, s."""
    if not runs:
        return 0.0
    if slots is None:
        return runs * fmean(lengths)
    return max(math.ceil(runs / slots) * fmean(lengths), *lengths)


def slots(history: History) -> int:
    """How many trainings of the selection run at a time, by the last session; 1 where none says so."""
    sessions = list(history.noted("session"))
    body = sessions[-1].body if sessions else {}
    return max(int(body.get("selection_slots", body.get("slots", 1))), 1)
