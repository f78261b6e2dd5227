"""What a design found, as a pure function of history: each cell's mean, and its paired difference from the reference.

Intervals are Student's t intervals over seeds at 95 %, each for itself: with twenty cells one is expected to miss.
Source: Student, The Probable Error of a Mean, Biometrika 6(1), 1908; pairs by common seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from study.measurement import Measurement
from sweeps.search.history import History, Trial, TrialKey, fate
from sweeps.spec import SweepSpec

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over n values with its confidence interval; low and high are None for a single value."""

    n: int
    mean: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; never for one value or equal ones, which tell nothing of the spread."""
        if self.low is None or self.high is None or self.low == self.high:
            return False
        return not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Effect:
    """A cell under a protocol.

    values: the metric by seed, of the trials that came to their end. difference: from the reference cell under the same
    protocol, over the seeds that both have; None for the reference itself. test: the accuracy on the test set, where it
    was read. rank: by mean within the protocol, 1 is best. seconds: mean training time of a trial, s; epoch_seconds: of
    one pass over the training set (one report of a function). missing: why a seed has no value.
    """

    cell: str
    protocol: str
    params: Mapping[str, Any]
    values: Mapping[int, float]
    mean: Interval | None
    difference: Interval | None
    test: Interval | None
    rank: int | None
    seconds: float | None
    epoch_seconds: float | None
    missing: str


@cache
def _quantile(degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, degrees))


def interval(values: Sequence[float]) -> Interval | None:
    """The mean and its interval; None for no values."""
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(n, mean, None, None)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _quantile(n - 1) * deviation / math.sqrt(n)
    return Interval(n, mean, mean - half, mean + half)


def effects(spec: SweepSpec, history: History) -> list[Effect]:
    """One effect for each cell and protocol, in the design's order; [] for a sweep without a design."""
    design = spec.design
    if design is None:
        return []
    runs = [
        [history.trials.get(TrialKey(seed * len(design.variants) + index)) for seed in range(design.seeds)]
        for index in range(len(design.variants))
    ]
    values = [_values(spec, trials) for trials in runs]
    references = {
        variant.protocol: index for index, variant in reversed(list(enumerate(design.variants)))
    }  # the first cell of each protocol
    scores = {note.key: note.body["test_accuracy"] for note in history.noted("scored")}
    means = [interval(list(found.values())) for found in values]
    found = []
    for index, variant in enumerate(design.variants):
        reference = references[variant.protocol]
        peers = [means[i] for i, other in enumerate(design.variants) if other.protocol == variant.protocol]
        trials = [trial for trial in runs[index] if trial is not None]
        found.append(
            Effect(
                cell=variant.cell,
                protocol=variant.protocol,
                params=variant.params,
                values=values[index],
                mean=means[index],
                difference=None if index == reference else _difference(values[index], values[reference]),
                test=interval([scores[trial.key] for trial in trials if trial.key in scores]),
                rank=_rank(spec, means[index], peers),
                seconds=_mean([m.seconds for m in _ends(trials)]),
                epoch_seconds=_mean([m.seconds / m.fidelity for m in _ends(trials) if m.fidelity]),
                missing="; ".join(
                    f"seed {seed}: {fate(trial)}" for seed, trial in enumerate(runs[index]) if seed not in values[index]
                ),
            )
        )
    return found


def _values(spec: SweepSpec, trials: Sequence[Trial | None]) -> dict[int, float]:
    return {
        seed: value
        for seed, trial in enumerate(trials)
        if trial is not None and (value := trial.full_value(spec.metric)) is not None
    }


def _difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Interval | None:
    return interval([values[seed] - reference[seed] for seed in values if seed in reference])


def _rank(spec: SweepSpec, own: Interval | None, peers: Sequence[Interval | None]) -> int | None:
    if own is None:
        return None
    sign = 1 if spec.direction == "maximize" else -1
    return 1 + sum(sign * peer.mean > sign * own.mean for peer in peers if peer is not None)


def _ends(trials: Sequence[Trial]) -> list[Measurement]:
    return [trial.last for trial in trials if trial.last is not None and trial.state == "complete"]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
