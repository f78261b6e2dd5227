"""What a free slot does next, as a pure function of recorded history.

Range tests come first. A trial that was interrupted, cut or lost goes on before anything new; then the best paused
trial is promoted; then the searcher is asked. When the search is over the selection follows. Promotion, resume, retry
and extension are thus one thing: a trial goes on under its own number, from its checkpoint.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sweeps.search.budgets import Ended, may_go_on
from sweeps.search.history import RESUMED, Decided, History, Moved, Trial, TrialKey
from sweeps.search.pruning import promotion
from sweeps.search.ranges import RangeKey, due
from sweeps.search.selection import BASELINE, candidates, wanted
from sweeps.spec import SweepSpec


@dataclass(frozen=True)
class Measure:
    """A range test, whose bounds the search needs."""

    key: RangeKey


@dataclass(frozen=True)
class Ask:
    """A new trial of the search."""

    key: TrialKey


@dataclass(frozen=True)
class Replicate:
    """A new trial on a fresh seed, with the parameters of a trial of the search."""

    key: TrialKey


@dataclass(frozen=True)
class GoOn:
    """A trial that goes on; `row` is committed first."""

    key: TrialKey
    row: Decided | Moved


@dataclass(frozen=True)
class Record:
    """A row to commit, after which the agenda is asked again."""

    row: Moved


@dataclass(frozen=True)
class Wait:
    """Nothing to do until a live trial reports."""


@dataclass(frozen=True)
class Finished:
    """Nothing to do any more."""


Work = Measure | Ask | Replicate | GoOn | Record | Wait | Finished


def next_work(spec: SweepSpec, history: History, live: Collection[TrialKey | RangeKey], ended: Ended) -> Work:
    """What a free slot does next; `live` are the trials and range tests that workers hold now, or may not yet."""
    if tests := due(spec, history):
        idle = [] if ended.search else [key for key in tests if key not in live]
        return Measure(idle[0]) if idle else Wait() if live else Finished()
    return _next_trial(spec, history, {key for key in live if isinstance(key, TrialKey)}, ended)


def _next_trial(spec: SweepSpec, history: History, live: Collection[TrialKey], ended: Ended) -> Work:
    idle = [trial for trial in history.trials.values() if trial.key not in live]
    search = [trial for trial in idle if not trial.key.replicate]
    if not ended.search:
        work = _next_in_search(spec, history, search)
        if work is not None:
            return work
    if ended.search and (uncut := next((t for t in search if t.state == "running"), None)):
        return Record(Moved(uncut.key, "cut", ended.search))
    if ended.sweep:
        fresh = next((t for t in idle if t.state == "running"), None)
        return Record(Moved(fresh.key, "cut", ended.sweep)) if fresh else Wait() if live else Finished()
    if any(not key.replicate for key in live):
        # While the last trials of the search run, a slot need not idle: the baseline is a candidate in any case.
        early = _next_replicate(history, live, wanted(spec, [BASELINE]))
        return early if _baseline_is_sound(spec, history) and early is not None else Wait()
    work = _next_replicate(history, live, wanted(spec, candidates(spec, history)))
    return work or (Wait() if live else Finished())


def _next_in_search(spec: SweepSpec, history: History, idle: list[Trial]) -> Work | None:
    for trial in idle:
        if trial.state == "running":
            return GoOn(trial.key, Moved(trial.key, "running", RESUMED))
    for trial in idle:
        if trial.state == "cut" and may_go_on(spec, trial):
            return GoOn(trial.key, Moved(trial.key, "running", RESUMED))
    promoted = promotion(spec, history)
    if promoted is not None:
        return GoOn(promoted.key, promoted)
    asked = len(history.search)
    return Ask(TrialKey(asked)) if asked < spec.trials else None


def _next_replicate(history: History, live: Collection[TrialKey], keys: list[TrialKey]) -> Work | None:
    for key in keys:
        trial = history.trials.get(key)
        if trial is None:
            return Replicate(key)
        if trial.state in ("running", "cut") and key not in live:
            return GoOn(key, Moved(key, "running", RESUMED))
    return None


def _baseline_is_sound(spec: SweepSpec, history: History) -> bool:
    baseline = history.trials.get(TrialKey(BASELINE))
    return baseline is not None and baseline.state != "failed" and baseline.value(spec.metric) is not None
