"""Histories of a final selection: trials of a search, and runs on fresh seeds, by their values."""

from collections.abc import Mapping

from study.measurement import Measurement
from sweeps.search.history import PUBLISHED, Asked, History, Measured, Moved, Stamp, TrialKey


def history_of(values: Mapping[TrialKey, float | None], metric: str = "loss") -> History:
    """Complete trials with these values; None stands for a failed one."""
    history = History()
    for key, value in values.items():
        add(history, key, value, metric)
    return history


def add(history: History, key: TrialKey, value: float | None, metric: str = "loss", **costs: float) -> None:
    """One more trial of nine reports, of which the last counts; costs: further metrics."""
    rows = [Asked(key, {"x": key.number / 1000}, 0, 0)]
    if value is not None:
        rows.append(Measured(key, Measurement(1, 9, 9.0, 18.0, {metric: value, **costs})))
    rows.append(Moved(key, "failed" if value is None else "complete", ""))
    for row in rows:
        history.apply(Stamp(history.last.seq + 1, 0.0), row)


def cut(history: History, *keys: TrialKey) -> History:
    """The same history in which these runs were begun and cut by a budget."""
    for key in keys:
        for row in (Asked(key, {"x": key.number / 1000}, 0, 0), Moved(key, "cut", "time")):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    return history


def chosen_on(number: int, *values: float | None) -> dict[TrialKey, float | None]:
    """A candidate's runs on the first fresh seeds that choose."""
    return {TrialKey(number, seed): value for seed, value in enumerate(values, start=1)}


def published_on(number: int, *values: float | None) -> dict[TrialKey, float | None]:
    """Its runs on the first further seeds."""
    return {TrialKey(number, PUBLISHED + seed): value for seed, value in enumerate(values, start=1)}
