"""Metrics of a running sweep for monitoring: gauges and counters in Ray's own metrics, which Prometheus scrapes."""

from collections import Counter as Counts
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sweeps.search.history import DIVERGED, History, Measured, Row, Stamp
from sweeps.spec import SweepSpec
from sweeps.terminal.progress import STATES, Summary

_PERIOD = 1.0  # s between two updates of the gauges; Ray exports them every few seconds

# Name, description, and the tag that they have next to `sweep`, if any. Ray puts `ray_` before each name.
GAUGES = {
    "sweeps_trials": ("Trials by state, with runs on fresh seeds.", "state"),
    "sweeps_trials_asked_for": ("Trials that the search is to try.", ""),
    "sweeps_best_value": ("The metric of the best trial of the search so far.", ""),
    "sweeps_fidelity_per_second": ("Epochs, or reports of a function, per second over the last half minute.", ""),
    "sweeps_device_hours_used": ("Hours that trials occupied of GPUs, or CPUs where they have no GPU.", ""),
    "sweeps_device_hours_left": ("Hours left of the spec's device_hours; absent without such a budget.", ""),
    "sweeps_seconds_left": ("Seconds left of the spec's time; absent without such a budget.", ""),
    "sweeps_rung_trials": ("Trials of the search that reached a rung.", "rung"),
    "sweeps_pruned_share": ("Of the trials of the search, how many are paused or pruned.", ""),
}
COUNTERS = {
    "sweeps_measurements": ("Measurements that are in the ledger, since this driver began.", ""),
    "sweeps_fidelity": ("Epochs, or reports of a function, since this driver began.", ""),
}


@dataclass(frozen=True)
class Reading:
    """One value of one gauge."""

    name: str
    value: float
    tag: str = ""  # value of the gauge's own tag, if it has one


def readings(spec: SweepSpec, history: History, summary: Summary) -> Iterator[Reading]:
    """Yield the value of each gauge that has one now, once per tag."""
    for state in STATES:
        yield Reading("sweeps_trials", summary.states.get(state, 0), state)
    yield Reading("sweeps_trials_asked_for", summary.trials)
    if summary.best is not None:
        yield Reading("sweeps_best_value", summary.best)
    yield Reading("sweeps_fidelity_per_second", summary.rate)
    yield Reading("sweeps_device_hours_used", summary.hours)
    if summary.device_hours is not None:
        yield Reading("sweeps_device_hours_left", max(summary.device_hours - summary.hours, 0.0))
    if summary.time is not None:
        yield Reading("sweeps_seconds_left", max(summary.time - summary.elapsed, 0.0))
    for rung, count in Counts(rung for t in history.search for rung in t.decided if rung != DIVERGED).items():
        yield Reading("sweeps_rung_trials", count, str(rung))
    if history.search:
        halted = sum(trial.state in ("paused", "pruned") for trial in history.search)
        yield Reading("sweeps_pruned_share", halted / len(history.search))


@dataclass
class Meter:
    """The metrics of a sweep, updated as its rows are committed; this process must be connected to Ray."""

    spec: SweepSpec
    history: History
    summary: Callable[[float], Summary]
    _set: float = 0.0  # when the gauges were last set, by the ledger's clock
    _made: dict[str, Any] = field(default_factory=dict)

    def observe(self, stamp: Stamp, row: Row) -> None:
        """Count a committed row, and set the gauges at most once per second."""
        if isinstance(row, Measured):
            self._metric("sweeps_measurements").inc(1.0, tags={"sweep": self.spec.name})
            if (gained := self.history.trials[row.key].gained) > 0:
                self._metric("sweeps_fidelity").inc(gained, tags={"sweep": self.spec.name})
        if stamp.time - self._set > _PERIOD:
            self.settle(stamp.time)

    def settle(self, now: float) -> None:
        """Set all gauges to the present state of the sweep; called at its end too, however recent the last update."""
        self._set = now
        for reading in readings(self.spec, self.history, self.summary(now)):
            kind = GAUGES[reading.name][1]
            tags = {"sweep": self.spec.name, **({kind: reading.tag} if kind else {})}
            self._metric(reading.name).set(float(reading.value), tags=tags)

    def _metric(self, name: str) -> Any:
        if name not in self._made:
            from ray.util.metrics import Counter, Gauge

            make: Any = Gauge if name in GAUGES else Counter
            meaning, kind = (GAUGES | COUNTERS)[name]
            self._made[name] = make(name, description=meaning, tag_keys=("sweep", *((kind,) if kind else ())))
        return self._made[name]
