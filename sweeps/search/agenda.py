"""The next work of a free slot, as a pure function of recorded history.

Range tests come first. A trial that was interrupted, cut or lost is resumed before anything new. Then the best paused
trial is promoted, and then the searcher is asked. When the search is over, the candidates race on fresh seeds. When
that is decided, winner and baseline are trained on further seeds. Promotion, resume, retry and extension are thus the
same operation: a trial continues under its own number, from its checkpoint.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sweeps.search.budgets import Ended, may_go_on
from sweeps.search.fitting import as_fitted
from sweeps.search.history import RESUMED, Decided, History, Moved, TrialKey
from sweeps.search.pruning import promotion
from sweeps.search.race import Race, next_runs, race
from sweeps.search.ranges import RangeKey, due
from sweeps.search.selection import BASELINE, candidates, publication, select
from sweeps.sections import STAGES, Stage
from sweeps.spec import SweepSpec

NOT_NEEDED = "its configuration is no candidate any more"  # the reason recorded when a fresh run is left unfinished


@dataclass(frozen=True)
class Measure:
    """A range test to run, because the search needs its bounds."""

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
    """A trial that continues; `row` is committed first."""

    key: TrialKey
    row: Decided | Moved


@dataclass(frozen=True)
class Record:
    """A row to commit, after which the agenda is asked again."""

    row: Moved


@dataclass(frozen=True)
class Fit:
    """The end of the search: the rest of the budgets determines how much of the selection there is time for."""


@dataclass(frozen=True)
class Wait:
    """Nothing to do until a live trial reports."""


@dataclass(frozen=True)
class Finished:
    """Nothing left to do."""


Work = Measure | Ask | Replicate | GoOn | Record | Fit | Wait | Finished


def stage_of(work: Work) -> Stage | None:
    """Return the stage whose workers do the work, or None if it needs no worker."""
    match work:
        case Replicate(key) | GoOn(key):
            return key.stage
        case Measure() | Ask():
            return "search"
    return None


def next_work(spec: SweepSpec, history: History, live: Collection[TrialKey | RangeKey], ended: Ended) -> Work:
    """Return the next work of a free slot.

    Args:
        spec: The spec of the sweep.
        history: The sweep's recorded history.
        live: The trials and range tests that workers hold now, or that may not be handed to a worker yet.
        ended: What has ended each stage.
    """
    if tests := due(spec, history):
        idle = [] if ended.search else [key for key in tests if key not in live]
        return Measure(idle[0]) if idle else Wait() if live else Finished()
    return _next_trial(spec, history, {key for key in live if isinstance(key, TrialKey)}, ended)


def _next_trial(spec: SweepSpec, history: History, live: Collection[TrialKey], ended: Ended) -> Work:
    if not ended.search:
        work = _next_in_search(spec, history, live)
        if work is not None:
            return work
    idle = [trial for trial in history.running if trial.key not in live]
    for stage in STAGES:
        over = ended.of(stage)
        if over and (uncut := next((t for t in idle if t.key.stage == stage), None)):
            return Record(Moved(uncut.key, "cut", over))
    if ended.publication:
        return Wait() if live else Finished()
    if any(not key.replicate for key in live):
        return _early(spec, history, live, ended) or Wait()
    return _next_of_selection(spec, history, live, ended)


def _next_of_selection(spec: SweepSpec, history: History, live: Collection[TrialKey], ended: Ended) -> Work:
    if spec.design:
        return Wait() if live else Finished()  # its cells were all trained on common seeds: there is nothing to choose
    if history.budgeted.fitted is None and (spec.time is not None or spec.device_hours is not None):
        return Fit()
    spec = as_fitted(spec, history)
    numbers = candidates(spec, history)
    choosing = [] if ended.choice else next_runs(spec, race(spec, history, numbers))
    work: Work | None = _next_fresh(history, live, choosing)
    if work is None and (choosing or any(key.stage == "choice" for key in live)):
        return _early(spec, history, live, ended) or Wait()
    if work is None and (winner := select(spec, history, numbers).winner) is not None:
        baseline = [BASELINE] if BASELINE in numbers else []
        work = _next_fresh(history, live, publication(spec, history, [winner, *baseline]))
    stale = [run for run in history.selection if run.key not in live and run.state == "running"]
    if work is None and stale:
        work = Record(Moved(stale[0].key, "cut", NOT_NEEDED))
    return work or (Wait() if live else Finished())


def _early(spec: SweepSpec, history: History, live: Collection[TrialKey], ended: Ended) -> Work | None:
    """Return work for an otherwise idle slot: runs of the baseline, which is a candidate and published in any case."""
    if spec.design:
        return None
    run = race(spec, history, candidates(spec, history))
    choosing = [] if ended.choice else [key for key in next_runs(spec, run) if key.number == BASELINE]
    return _next_fresh(history, live, [*choosing, *published_ahead(spec, history, run)])


def published_ahead(spec: SweepSpec, history: History, run: Race) -> list[TrialKey]:
    """Return the baseline's published runs, which an idle slot may make before the choice is decided.

    There are none if the baseline has failed, or if a budget is held back for the choice: the next round would wait for
    the slot.
    """
    is_in = BASELINE in run.left or BASELINE in run.beaten
    if not is_in or BASELINE in run.late or spec.device_hours is not None or spec.time is not None:
        return []
    return publication(spec, history, [BASELINE])


def is_searching(spec: SweepSpec, history: History, ended: Ended) -> bool:
    """Return whether a free slot would continue the search, whatever the other slots hold."""
    return not ended.search and _next_in_search(spec, history, history.trials) is not None


def _next_in_search(spec: SweepSpec, history: History, live: Collection[TrialKey]) -> Work | None:
    cut = [trial for trial in history.in_state("cut") if may_go_on(spec, trial)]
    for trial in (*history.running, *cut):
        if trial.key not in live and trial.key.stage == "search":
            return GoOn(trial.key, Moved(trial.key, "running", RESUMED))
    promoted = promotion(spec, history)
    if promoted is not None:
        return GoOn(promoted.key, promoted)
    asked = len(history.search)
    return Ask(TrialKey(asked)) if asked < spec.trials else None


def _next_fresh(history: History, live: Collection[TrialKey], keys: list[TrialKey]) -> Work | None:
    for key in keys:
        trial = history.trials.get(key)
        if trial is None:
            return Replicate(key)
        if trial.state in ("running", "cut") and key not in live:
            return GoOn(key, Moved(key, "running", RESUMED))
    return None
