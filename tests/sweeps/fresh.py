"""Histories of a final selection: trials of a search and runs on fresh seeds, given by their values."""

from collections.abc import Mapping

from study.measurement import Measurement
from sweeps.search.history import PUBLISHED, Asked, History, Measured, Moved, Stamp, TrialKey


def history_of(values: Mapping[TrialKey, float | None], metric: str = "loss") -> History:
    """Return a history of complete trials with these values; None makes a trial fail."""
    history = History()
    for key, value in values.items():
        add(history, key, value, metric)
    return history


def add(history: History, key: TrialKey, value: float | None, metric: str = "loss", **costs: float) -> None:
    """Add a trial with one report at fidelity 9, of `value` and the metrics in `costs`, or a failed trial for None."""
    rows = [Asked(key, {"x": key.number / 1000}, 0, 0)]
    if value is not None:
        rows.append(Measured(key, Measurement(1, 9, 9.0, 18.0, {metric: value, **costs})))
    rows.append(Moved(key, "failed" if value is None else "complete", ""))
    for row in rows:
        history.apply(Stamp(history.last.seq + 1, 0.0), row)


def cut(history: History, *keys: TrialKey) -> History:
    """Add these runs to the history, begun and then cut by a time budget, and return it."""
    for key in keys:
        for row in (Asked(key, {"x": key.number / 1000}, 0, 0), Moved(key, "cut", "time")):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    return history


def chosen_on(number: int, *values: float | None) -> dict[TrialKey, float | None]:
    """Return a candidate's runs on the first fresh seeds, on which the choice is made."""
    return {TrialKey(number, seed): value for seed, value in enumerate(values, start=1)}


def published_on(number: int, *values: float | None) -> dict[TrialKey, float | None]:
    """Return a candidate's runs on the first further seeds."""
    return {TrialKey(number, PUBLISHED + seed): value for seed, value in enumerate(values, start=1)}
