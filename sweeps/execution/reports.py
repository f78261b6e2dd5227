"""Checks of a trial's reports: whether one is the last, lacks the metric, or repeats an earlier one differently."""

from study.measurement import Measurement
from sweeps.search.history import Moved, Trial
from sweeps.search.pruning import is_full
from sweeps.spec import SweepSpec

_PATIENCE = 1000  # reports without the metric after which a trial is over, if no fidelity is its last
NONDETERMINISTIC = "nondeterministic"  # how the warning about a report begins that was repeated differently


def is_last(spec: SweepSpec, trial: Trial) -> bool:
    """Return whether a trial is over after its last report: at full fidelity, or after too many without the metric."""
    if trial.last is None:
        return False
    is_endless = spec.max_fidelity is None and len(trial.measurements) >= _PATIENCE
    return is_full(spec, trial.last) or (is_endless and trial.valued(spec.metric) is None)


def end_of(spec: SweepSpec, trial: Trial) -> Moved:
    """Return the row that ends a trial which finished by itself."""
    if trial.last is None:
        return Moved(trial.key, "failed", "ended without a single measurement: yield at least one")
    if (valued := trial.valued(spec.metric)) is None:
        return Moved(trial.key, "failed", without_metric(spec, trial))
    if trial.value(spec.metric) is None:
        return Moved(trial.key, "pruned", f"diverged: {spec.metric} is {valued.values[spec.metric]}")
    return Moved(trial.key, "complete", "full fidelity")


def without_metric(spec: SweepSpec, trial: Trial) -> str:
    """Return the reason that a trial has not reported the metric, with what it did report."""
    names = sorted({name for measurement in trial.measurements for name in measurement.values})
    lacking = f"the metric {spec.metric!r} was not reported"
    return f"{lacking}, only: {', '.join(names)}" if names else f"{lacking}, nor any other"


def how_to_report_it(trial: Trial, again: str) -> str:
    """Return the remedy for a metric that was not reported; `again` is the command that runs failed trials again."""
    has_others = any(measurement.values for measurement in trial.measurements)
    return f"yield it, then `{again}`" + (", or set `metric` to one of these in a new sweep" if has_others else "")


def repeated_otherwise(spec: SweepSpec, stored: Measurement, repeated: Measurement) -> str | None:
    """Return a warning if a report that was repeated after a restart differs, or None if it does not.

    The sweep's metric and the weights are compared. Other metrics, such as timings, may differ each time.

    Args:
        spec: The spec of the sweep.
        stored: The report as the ledger has it.
        repeated: The same report after the restart.
    """
    before, now = ((m.values.get(spec.metric), m.digest) for m in (stored, repeated))
    if repr(before) == repr(now):
        return None
    what = (
        f"{spec.metric} was {before[0]!r}, is {now[0]!r}" if repr(before[0]) != repr(now[0]) else "its weights differ"
    )
    return f"{NONDETERMINISTIC}: report {stored.report} was repeated after a restart, {what}; the first value stays"
