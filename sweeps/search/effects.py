"""The findings of a design, as a pure function of history: each cell's mean, and its difference from the reference.

Each interval is computed on its own: of twenty cells, one is expected to miss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.measurement import Measurement
from sweeps.search.bounds import SHARE, metric_bounds
from sweeps.search.fates import fate
from sweeps.search.history import History, Trial, TrialKey
from sweeps.search.intervals import Interval, interval, mean_of, paired
from sweeps.spec import SweepSpec


@dataclass(frozen=True)
class Effect:
    """A cell under a protocol.

    Attributes:
        cell: The name of the cell.
        protocol: The name of the protocol.
        params: The parameters of the cell.
        values: The metric by seed, for the trials that are complete.
        mean: The mean of `values` with its interval.
        difference: The paired difference from the reference cell under the same protocol, over the seeds that both
            have; None for the reference itself.
        test: The accuracy on the test set, if it was read.
        rank: The rank by mean within the protocol; 1 is best.
        seconds: The mean training time of a trial, s.
        epoch_seconds: The mean time of one pass over the training set, or of one report of a function, s.
        missing: Why a seed has no value.
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


def effects(spec: SweepSpec, history: History) -> list[Effect]:
    """Return one effect for each cell and protocol, in the design's order; [] for a sweep without a design."""
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
    bounds = metric_bounds(spec, history)
    means = [interval(list(found.values()), bounds) for found in values]
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
                difference=None if index == reference else paired(values[index], values[reference], bounds),
                test=interval([scores[trial.key] for trial in trials if trial.key in scores], SHARE),
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


def _rank(spec: SweepSpec, own: Interval | None, peers: Sequence[Interval | None]) -> int | None:
    if own is None:
        return None
    sign = 1 if spec.direction == "maximize" else -1
    return 1 + sum(sign * peer.mean > sign * own.mean for peer in peers if peer is not None)


def _ends(trials: Sequence[Trial]) -> list[Measurement]:
    return [trial.last for trial in trials if trial.last is not None and trial.state == "complete"]


def _mean(values: Sequence[float]) -> float | None:
    return mean_of(values) if values else None
