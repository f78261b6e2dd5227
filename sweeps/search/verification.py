"""Verification that a recorded sweep follows from its history: suggestions, seeds, decisions, order and outcome."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sweeps.search.agenda import Finished, is_searching, next_work, published_ahead
from sweeps.search.budgets import ended, lefts, spent
from sweeps.search.closing import closing, fitted
from sweeps.search.extension import as_extended, from_start
from sweeps.search.fitting import as_fitted
from sweeps.search.history import Asked, Decided, History, Measured, Moved, Noted, Row, Stamp, TrialKey
from sweeps.search.outcome import outcome
from sweeps.search.pruning import decide, promotion
from sweeps.search.race import next_runs, race
from sweeps.search.selection import BASELINE, candidates, publication, select, selection_seed
from sweeps.search.suggestion import suggest, trial_seed
from sweeps.spec import SweepSpec

_CLOCKS = 1.0  # s, by which the clocks of driver and ledger may differ


@dataclass(frozen=True)
class Verification:
    """The result of a verification: how much was recomputed, and the first difference, or None if there is none."""

    suggestions: int
    decisions: int
    difference: str | None

    @property
    def holds(self) -> bool:
        return self.difference is None


def describe(row: Row) -> str:
    """Return a row in a few words, with its trial."""
    match row:
        case Asked():
            what = "suggestion"
        case Decided():
            what = f"decision at rung {row.rung}"
        case Measured():
            what = f"report {row.measurement.report}"
        case Moved():
            what = f"state {row.state!r}"
        case Noted():
            what = f"note {row.kind!r}"
    return f"the {what}" if row.key is None else f"trial {row.key.label}: its {what}"


def verify(spec: SweepSpec, rows: Iterable[tuple[Stamp, Row]]) -> Verification:
    """Recompute every suggestion and decision from the rows before it, and stop at the first difference."""
    history, suggestions, decisions = History(), 0, 0
    for stamp, row in rows:
        match row:
            case Asked():
                difference = _asked(spec, history, stamp, row)
                suggestions += 1
            case Decided():
                difference = _decided(spec, history, row)
                decisions += 1
            case Noted(kind="outcome"):
                difference = _concluded(spec, history, stamp, row)
            case Noted(kind="retry"):
                difference = _retried(spec, history, row)
            case Noted(kind="closed"):
                difference = _closed(as_extended(spec, history), history, stamp, row)
            case Noted(kind="fitted"):
                difference = _fitted(as_extended(spec, history), history, stamp, row)
            case Moved(state="complete"):
                difference = _completed(spec, history, row)
            case Measured() if spec.deterministic:
                difference = _measured(history, row)
            case _:
                difference = None
        if difference:
            return Verification(suggestions, decisions, f"{describe(row)} (row {stamp.seq}): {difference}")
        history.apply(stamp, row)
    return Verification(suggestions, decisions, None)


def _asked(spec: SweepSpec, history: History, stamp: Stamp, row: Asked) -> str | None:
    number, replicate = row.key
    if row.seen != history.last.seq:
        return f"it saw the history up to row {row.seen}, but {history.last.seq} was the last"
    if why := _not_asked_for(as_extended(spec, history), history, stamp, row.key):
        return why
    if replicate:
        params, seed = history.trials[TrialKey(number)].params, selection_seed(spec, replicate)
    else:
        params, seed = suggest(spec, history, number), trial_seed(spec, number)
    for name in [*params, *(name for name in row.params if name not in params)]:
        if params.get(name) != row.params.get(name):
            return f"{name} is recorded as {row.params.get(name)!r}, and computed again {params.get(name)!r}"
    return None if seed == row.seed else f"its seed is recorded as {row.seed}, and computed again {seed}"


def _not_asked_for(spec: SweepSpec, history: History, stamp: Stamp, key: TrialKey) -> str | None:
    """Return why the sweep did not need a trial at that time, or None if it did."""
    if key.number >= spec.trials:
        return f"the search was to try {spec.trials} trials"
    if not key.replicate:
        return None
    if TrialKey(key.number) not in history.trials:
        return f"there is no trial {key.number} to train again"
    if is_searching(spec, history, ended(spec, history, stamp.time)):
        return "the search was not over"
    return None if key in _due(spec, history) else "the selection did not need it"


def _due(spec: SweepSpec, history: History) -> set[TrialKey]:
    """Return the runs on fresh seeds that race and publication need, whichever slot was free."""
    spec = as_fitted(spec, history)
    numbers = candidates(spec, history)
    choice = race(spec, history, numbers)
    # Without a budget, the choice ends only when the race is over; with one, only a clock could decide.
    may_be_decided = choice.is_over or spec.time is not None or spec.device_hours is not None
    winner = select(spec, history, numbers).winner if may_be_decided else None
    baseline = [BASELINE] if BASELINE in numbers else []
    published = publication(spec, history, [winner, *baseline]) if winner is not None else []
    return {*next_runs(spec, choice), *published, *published_ahead(spec, history, choice)}


def _concluded(spec: SweepSpec, history: History, stamp: Stamp, row: Noted) -> str | None:
    """Return why the outcome does not follow: work was left, or a recorded value differs from the recomputed one."""
    # Test results are not compared, since only a replay can check them. The reason's words may be another version's.
    spec = as_extended(spec, history)
    if not isinstance(next_work(spec, history, (), ended(spec, history, stamp.time)), Finished):
        return "the sweep was not over"
    again = {} if spec.design else outcome(spec, history, select(spec, history, candidates(spec, history)))
    for name, value in again.items():
        if name != "reason" and not _is_same(row.body.get(name), value):
            return f"its {name} is recorded as {row.body.get(name)!r}, and computed again {value!r}"
    return None


def _closed(spec: SweepSpec, history: History, stamp: Stamp, row: Noted) -> str | None:
    """Return why the recorded budget had no reason to end the search at that time, or None if it had one."""
    now = stamp.time + _CLOCKS
    if closing(spec, history, now) is None:
        return "no budget ended the search then"
    names = spent(spec, history, now, "search")
    return None if row.body["budget"] in names else f"it names {row.body['budget']!r}, but {names[0]} ended the search"


def _fitted(spec: SweepSpec, history: History, stamp: Stamp, row: Noted) -> str | None:
    """Return how the recorded remainder or the selection fitted to it differs, or None if neither does."""
    # The remainder depends on the clock of that moment; the selection that fits into it can be recomputed.
    left, at_the_row = row.body["left"], lefts(spec, history, stamp.time)
    if left.keys() != at_the_row.keys() or any(left[name] < at_the_row[name] - _CLOCKS for name in left):
        return f"what was left is recorded as {left}, and was {at_the_row}"
    again = fitted(spec, history, left)
    return (
        None if again == row.body["selection"] else f"recorded is {row.body['selection']}, and computed again {again}"
    )


def _is_same(recorded: object, value: object) -> bool:
    """Return whether two values are equal, up to the last bits of floats: interval bounds use a library's quantiles."""
    if isinstance(recorded, float) and isinstance(value, float):
        return math.isclose(recorded, value, rel_tol=1e-9, abs_tol=1e-15)
    return type(recorded) is type(value) and recorded == value


def _retried(spec: SweepSpec, history: History, row: Noted) -> str | None:
    """Return an error unless only failed trials run again, and only those without the metric from their start."""
    keys = [TrialKey(*key) for key in row.body["trials"]]
    wrong = next((key for key in keys if key not in history.trials or history.trials[key].state != "failed"), None)
    if wrong is not None:
        return f"trial {wrong.label} had not failed"
    is_right = row.body["from_start"] == [list(key) for key in from_start(spec, history, keys)]
    return None if is_right else "it takes back reports that count, or keeps some that do not"


def _completed(spec: SweepSpec, history: History, row: Moved) -> str | None:
    """Return where a model ended short of its last epoch, or None; a function may end anywhere."""
    trial = history.trials[row.key]
    if spec.target is not None:
        return None
    epochs, reached = spec.trial_config(trial.params, trial.seed).epochs, trial.last.fidelity if trial.last else 0.0
    if epochs is None or reached >= epochs - 1e-9:
        return None
    return f"it ended at {spec.told(reached)} of {epochs}"


def _measured(history: History, row: Measured) -> str | None:
    """Return which trial's report was due first if it was another; a deterministic sweep has one order of reports."""
    first = history.due_first
    if first is None or first.key == row.key:
        return None
    return f"it was taken before the next report of trial {first.key.label}, which was due first"


def _decided(spec: SweepSpec, history: History, row: Decided) -> str | None:
    trial = history.trials.get(row.key)
    if trial is None:
        return "there is no such trial"
    found = promotion(spec, history) if row.verdict == "promote" else decide(spec, history, trial)
    if found == row:
        return None
    again = "none is due" if found is None else f"{found.verdict} of trial {found.key.label} ({found.reason})"
    return f"recorded is {row.verdict} ({row.reason}), and computed again {again}"
