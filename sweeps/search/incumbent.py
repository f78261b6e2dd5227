"""The best value that a search had seen at each moment and for each epoch trained, as a pure function of history."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from study.measurement import Measurement
from sweeps.search.history import History, TrialKey
from sweeps.spec import SweepSpec


class Incumbent(NamedTuple):
    """A report of the search that was better than all before it.

    Attributes:
        seconds: When it arrived, s of wall-clock time of the sweep's sessions (the time between them doesn't count).
        epochs: The fidelity that all trials had trained by then, including those on fresh seeds.
        value: The value of the metric.
        trial: The number of the trial that made the report.
    """

    seconds: float
    epochs: float
    value: float
    trial: int


class _Report(NamedTuple):
    seq: int
    seconds: float
    gained: float  # fidelity since its trial's last report
    key: TrialKey
    measurement: Measurement


def best_so_far(spec: SweepSpec, history: History) -> list[Incumbent]:
    """Return each improvement of the search's best value, in ledger order; [] before the first finite report.

    A report counts even if its trial later diverged, failed or got worse. The list of a shorter history is therefore
    the beginning of that of a longer one.
    """
    sign = 1 if spec.direction == "maximize" else -1
    found: list[Incumbent] = []
    epochs = 0.0
    for report in _reports(history):
        epochs += report.gained
        value = report.measurement.values.get(spec.metric, math.nan)
        is_better = not found or sign * value > sign * found[-1].value
        if report.key.replicate == 0 and math.isfinite(value) and is_better:
            found.append(Incumbent(report.seconds, epochs, value, report.key.number))
    return found


def epochs_trained(history: History) -> float:
    """Return the fidelity that all trials were trained for, summed over the search and the fresh seeds."""
    return math.fsum(trial.last.fidelity for trial in history.trials.values() if trial.last)


def _reports(history: History) -> Iterator[_Report]:
    """Return all reports in the order of the ledger."""
    found = []
    for trial in history.trials.values():
        before = 0.0
        for seq, seconds, measurement in zip(trial.seqs, trial.moments, trial.measurements, strict=True):
            found.append(_Report(seq, seconds, measurement.fidelity - before, trial.key, measurement))
            before = measurement.fidelity
    return iter(sorted(found))
