"""The rows of a ledger as frozen dataclasses, and the state of every trial that follows from them.

A `History` is a fold over the rows in order. It uses no clock, file or Ray, so any decision can be repeated.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from study.measurement import Measurement
from sweeps.search.notes import BETWEEN_SESSIONS, EXTENDED, RETRY, SELECTED, Budgeted
from sweeps.sections import Stage

State = Literal["running", "paused", "cut", "pruned", "complete", "failed"]
Verdict = Literal["continue", "pause", "promote", "stop"]

# Reasons why a running trial needs another worker; a preemption does not count as a loss.
LOST, HUNG, RETRIED, PREEMPTED = "lost", "hung", "retried", "preempted"
RESUMED = "resumed"  # the reason recorded when it gets one
AGAIN = "failed, and may run again"  # the reason recorded when a failed trial becomes "cut" for a retry
_BREAKS = {LOST: "the loss of its worker", HUNG: "a worker that hung", RETRIED: "an error", RESUMED: "an interruption"}
BEGAN = "began"  # its worker has started; written only if the sweep has a budget of time or device hours
PUBLISHED = 1000  # offset from the replicate numbers of the runs that choose to those of the published runs
DIVERGED = -1  # the rung number of the decision that ends a trial whose metric is not finite


class TrialKey(NamedTuple):
    """A trial's identity: its number, and which run of its configuration it is.

    `replicate` is 0 in the search, 1, 2, … on fresh seeds that choose, and PUBLISHED + 1, … on published ones.
    """

    number: int
    replicate: int = 0

    @property
    def stage(self) -> Stage:
        """Return the part of the sweep that the trial belongs to."""
        if self.replicate > PUBLISHED:
            return "publication"
        return "choice" if self.replicate else "search"

    @property
    def fresh(self) -> int:
        """Return the number of its fresh seed within its stage, counted from 1, or 0 in the search."""
        return self.replicate - (PUBLISHED if self.stage == "publication" else 0)

    @property
    def label(self) -> str:
        """Return the name in logs and folders: 12, 12-seed1 or 12-published1."""
        kind = {"search": "", "choice": "-seed", "publication": "-published"}[self.stage]
        return f"{self.number}{kind}{self.fresh or ''}"


@dataclass(frozen=True)
class Stamp:
    """A row's position in the ledger: its sequence number and the time of its commit (seconds since the epoch)."""

    seq: int
    time: float


@dataclass(frozen=True)
class Asked:
    """A new trial: its parameters, its seed and the last sequence number that the suggestion saw."""

    key: TrialKey
    params: Mapping[str, Any]
    seed: int
    seen: int


@dataclass(frozen=True)
class Measured:
    """One report of a trial, and the SHA-256 of the environment that produced it."""

    key: TrialKey
    measurement: Measurement
    environment: str | None = None


@dataclass(frozen=True)
class Decided:
    """A pruning decision: the rung and its fidelity, the verdict, and the last sequence number that it saw."""

    key: TrialKey
    rung: int
    level: float
    verdict: Verdict
    reason: str
    seen: int


@dataclass(frozen=True)
class Moved:
    """A change of a trial's state for a reason other than a pruning decision."""

    key: TrialKey
    state: State
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Noted:
    """Any other row: sessions, environments, extensions, reads of the test set, the outcome."""

    kind: str
    body: Mapping[str, Any]
    key: TrialKey | None = None


Row = Asked | Measured | Decided | Moved | Noted
_Kept = TypeVar("_Kept")


@dataclass
class Trial:
    """One trial in the state that follows from the rows so far."""

    key: TrialKey
    params: Mapping[str, Any]
    seed: int
    asked: Stamp
    seen: int
    state: State = "running"
    reason: str = ""
    detail: str = ""
    ended: float | None = None
    measurements: list[Measurement] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)  # the sequence number of each measurement
    moments: list[float] = field(default_factory=list)  # and when it arrived, s of the sweep's sessions
    environments: list[str | None] = field(default_factory=list)
    decided: dict[int, Decided] = field(default_factory=dict)  # the last decision at each rung
    losses: int = 0  # how often its worker died or hung
    breaks: int = 0  # how often it was taken from a worker that may still be alive
    since: int = 0  # how many of those breaks precede the reports that count
    errors: int = 0  # how often it raised an exception and was retried
    halted: float = 0.0  # when it was last recorded as running, e.g. after a loss, s of the sweep's sessions
    occupied: float = 0.0  # wall-clock time for which it held a worker, s
    held: float = 0.0  # when it was last given a worker (seconds since the epoch)
    due: int = 0  # when its next report is due in a deterministic sweep, in reports; see `turn`
    continued: dict[int, str] = field(default_factory=dict)  # the first report after each break, and the kind of break
    rows: int = 1  # number of rows about it; anything derived from it is valid while this is unchanged

    @property
    def turn(self) -> tuple[int, TrialKey]:
        """Return its place in the order of reports of a deterministic sweep."""
        return self.due, self.key

    @property
    def last(self) -> Measurement | None:
        return self.measurements[-1] if self.measurements else None

    def goes_on_after(self, what: str) -> None:
        """Record which break precedes the next report, whose worker continues from a checkpoint."""
        if self.measurements:
            self.continued[len(self.measurements) + 1] = what

    def with_metric(self, metric: str) -> list[Measurement]:
        """Return the measurements that have a metric, which a function need not report every time."""
        return [measurement for measurement in self.measurements if metric in measurement.values]

    def valued(self, metric: str) -> Measurement | None:
        """Return the last measurement that has a metric, or None if there is none."""
        return next((m for m in reversed(self.measurements) if metric in m.values), None)

    @property
    def gained(self) -> float:
        """Return the fidelity that its last report added."""
        return self.measurements[-1].fidelity - (self.measurements[-2].fidelity if len(self.measurements) > 1 else 0.0)

    @property
    def needs_worker(self) -> bool:
        """Return whether it is running but has lost its worker, or raised and is to be retried."""
        return self.state == "running" and self.reason in (LOST, HUNG, RETRIED, PREEMPTED)

    @property
    def diverged(self) -> bool:
        """Return whether it was ended because a value was not finite."""
        return DIVERGED in self.decided

    def value(self, metric: str) -> float | None:
        """Return the metric's last value, or None if that is not finite or the trial has diverged."""
        last = self.valued(metric)
        if self.diverged or last is None:
            return None
        return last.values[metric] if math.isfinite(last.values[metric]) else None

    def full_value(self, metric: str) -> float | None:
        """Return the metric's value at full fidelity, or None if the trial is not complete."""
        return self.value(metric) if self.state == "complete" else None


class History:
    """The fold over all rows, each processed once: trials by key in the order they were asked, and the notes."""

    def __init__(self, rows: Iterable[tuple[Stamp, Row]] = ()) -> None:
        self.trials: dict[TrialKey, Trial] = {}
        self.search: list[Trial] = []  # the search's own trials, by number
        self.selection: list[Trial] = []  # the trials on fresh seeds, that choose or are published, in the order asked
        self.measured: list[tuple[Trial, Measurement]] = []
        self.notes: list[tuple[Stamp, Noted]] = []
        self.last = Stamp(0, 0.0)
        self._by_kind: dict[str, list[Noted]] = {}
        self._plans: dict[TrialKey | None, Mapping[str, Any]] = {}
        self._by_state: dict[State, dict[TrialKey, Trial]] = {state: {} for state in get_args(State)}
        self._kept: tuple[object, dict[Hashable, Any]] = (None, {})
        self._spent = 0.0  # wall-clock time of the sessions before the current one, s
        self._session: float | None = None
        self._worked = 0.0  # time of the last row that a session wrote
        self._held: dict[TrialKey, Trial] = {}  # the running trials that have a worker
        self._occupied = 0.0  # wall-clock time of all trials' workers, s
        self.extended_at = (0.0, 0.0)  # `elapsed` and `occupied` when the budgets were last enlarged, s
        self.is_closed = False  # whether the search was ended by hand
        self.budgeted = Budgeted()
        self.is_concluded = False  # whether the last outcome covers all rows that could change it
        self.turn = 0  # the progress of a deterministic sweep, in reports
        for stamp, row in rows:
            self.apply(stamp, row)

    def apply(self, stamp: Stamp, row: Row) -> None:
        """Apply the next row of the ledger."""
        if isinstance(row, Noted) and row.kind in BETWEEN_SESSIONS:
            self._note(stamp, row)
            self.last = stamp
            return
        self._occupy(stamp.time)
        match row:
            case Asked():
                trial = Trial(row.key, row.params, row.seed, stamp, row.seen, due=self.turn + 1)
                self.trials[row.key] = self._by_state["running"][row.key] = trial
                (self.selection if row.key.replicate else self.search).append(trial)
            case Measured():
                trial = self.trials[row.key]
                self.turn = trial.due
                trial.due += 1
                trial.measurements.append(row.measurement)
                trial.seqs.append(stamp.seq)
                trial.moments.append(self.elapsed(stamp.time))
                trial.environments.append(row.environment)
                self.measured.append((trial, row.measurement))
            case Decided() | Moved():
                trial = self.trials[row.key]
                before = trial.state
                self._decide(stamp, row) if isinstance(row, Decided) else self._move(stamp, row)
                if trial.state != before:
                    del self._by_state[before][trial.key]
                    self._by_state[trial.state][trial.key] = trial
            case Noted():
                self._note(stamp, row)
        if not isinstance(row, Noted):
            self.is_concluded = False
            self.trials[row.key].rows += 1
            self._hold(self.trials[row.key], stamp.time)
        self.last, self._worked = stamp, stamp.time

    def _hold(self, trial: Trial, now: float) -> None:
        """Add a trial to those that have a worker, or remove it."""
        if trial.state != "running" or trial.needs_worker:
            self._held.pop(trial.key, None)
        elif trial.key not in self._held:
            self._held[trial.key], trial.held = trial, now

    def _occupy(self, now: float) -> None:
        """Charge the time since the session's last row to every trial that holds a worker."""
        if self._session is not None:
            for trial in self._held.values():
                self._charge(trial, now - self._worked)

    def _charge(self, trial: Trial, seconds: float) -> None:
        trial.occupied += seconds
        self._occupied += seconds

    def _move(self, stamp: Stamp, row: Moved) -> None:
        trial = self.trials[row.key]
        if row.reason == BEGAN:  # the trial is not charged for the start-up of its worker
            self._charge(trial, trial.held - stamp.time)
        if row.state == "running":
            trial.losses += row.reason in (LOST, HUNG)
            trial.breaks += row.reason in (LOST, HUNG, PREEMPTED)
            trial.errors += row.reason == RETRIED
            if row.reason in _BREAKS:
                trial.goes_on_after(_BREAKS[row.reason])
            trial.halted = self.elapsed(stamp.time)
        elif row.state == "cut":
            trial.breaks += bool(row.detail)  # its worker did not stop in time
        else:
            self.turn = max(self.turn, trial.due)
        trial.state, trial.reason, trial.detail = row.state, row.reason, row.detail
        trial.ended = None if row.state == "running" else stamp.time

    def _decide(self, stamp: Stamp, row: Decided) -> None:
        trial = self.trials[row.key]
        trial.decided[row.rung] = row
        if row.verdict == "stop":
            trial.state, trial.reason, trial.ended = "pruned", row.reason, stamp.time
        elif row.verdict == "pause":
            trial.state, trial.reason, trial.ended = "paused", row.reason, stamp.time
        elif row.verdict == "promote":
            trial.state, trial.reason, trial.ended, trial.due = "running", "", None, self.turn + 1
            trial.goes_on_after("a pause")

    def _note(self, stamp: Stamp, row: Noted) -> None:
        self.notes.append((stamp, row))
        self._by_kind.setdefault(row.kind, []).append(row)
        if row.kind == "plan":
            self._plans.setdefault(row.key, row.body)
        if row.kind in BETWEEN_SESSIONS:
            self._spent, self._session = self.worked, None
        if row.kind == "session":
            self._session = self._worked = stamp.time
            for trial in self._held.values():
                trial.breaks += 1
                trial.goes_on_after("an interruption")
            self._held.clear()  # each trial has to be handed out again
        self.is_closed = row.kind == SELECTED or (self.is_closed and row.kind != EXTENDED)
        self.is_concluded = row.kind == "outcome" or (self.is_concluded and row.kind not in (EXTENDED, SELECTED, RETRY))
        if row.kind == EXTENDED:
            self.extended_at = self.worked, self.occupied(self._worked)
        self.budgeted = self.budgeted.after(row.kind, row.body)
        for number, replicate in row.body["trials"] if row.kind == RETRY else ():
            trial = self._by_state["failed"].pop(TrialKey(number, replicate))
            self._by_state["cut"][trial.key] = trial
            trial.state, trial.reason, trial.detail, trial.ended = "cut", AGAIN, "", None
            trial.losses, trial.errors, trial.due = 0, 0, self.turn + 1  # it may have as many as a new trial
            trial.rows += 1
        for key in row.body["from_start"] if row.kind == RETRY else ():
            self._restart(self.trials[TrialKey(*key)])

    def _restart(self, trial: Trial) -> None:
        """Reset a trial to its start, because none of its reports counts."""
        trial.since = trial.breaks = trial.breaks + 1
        trial.rows += 1
        reports = (trial.measurements, trial.seqs, trial.moments, trial.environments)
        for one in (*reports, trial.decided, trial.continued):
            one.clear()
        self.measured = [(one, measurement) for one, measurement in self.measured if one is not trial]
        self._kept = (None, {})  # it counts the reports that it has seen

    def elapsed(self, now: float) -> float:
        """Return the wall-clock time of the sweep's sessions, s, without the time between them."""
        return self._spent + (now - self._session if self._session is not None else 0.0)

    @property
    def until(self) -> float:
        """Return the time at which a session wrote its last row (seconds since the epoch)."""
        return self._worked

    @property
    def worked(self) -> float:
        """Return the wall-clock time of the sweep's sessions up to their last row, s."""
        return self.elapsed(self._worked)

    @property
    def running(self) -> list[Trial]:
        """Return the running trials, with or without a worker, in the order they were asked."""
        return self.in_state("running")

    def counts(self) -> dict[State, int]:
        """Return the number of trials in each state, including the runs on fresh seeds."""
        return {state: len(trials) for state, trials in self._by_state.items()}

    def in_state(self, state: State) -> list[Trial]:
        """Return the trials in a state, in the order they were asked."""
        return sorted(self._by_state[state].values(), key=lambda trial: trial.asked.seq)

    @property
    def due_first(self) -> Trial | None:
        """Return the running trial whose report a deterministic sweep takes next, or None if no trial is running."""
        return min(self._by_state["running"].values(), key=lambda trial: trial.turn, default=None)

    def occupied(self, now: float, trial: Trial | None = None) -> float:
        """Return the wall-clock time for which workers were held by all trials, or by one, s."""
        since = now - self._worked if self._session is not None else 0.0
        if trial is None:
            return self._occupied + since * len(self._held)
        return trial.occupied + (since if trial.key in self._held else 0.0)

    def noted(self, kind: str) -> Iterator[Noted]:
        """Return an iterator over the notes of a kind, in order."""
        return iter(self._by_kind.get(kind, ()))

    def plan(self, key: TrialKey) -> Mapping[str, Any] | None:
        """Return the recorded horizon of a wall-clock trial, or None for any other trial."""
        return self._plans.get(key)

    def kept(self, spec: object, what: Hashable, make: Callable[[], _Kept]) -> _Kept:
        """Return the cached result of `make` for `what`; a call with another spec object clears the cache."""
        if self._kept[0] is not spec:
            self._kept = (spec, {})
        made = self._kept[1]
        found: _Kept = made[what] if what in made else made.setdefault(what, make())
        return found

    @property
    def outcome(self) -> Mapping[str, Any] | None:
        """Return the result of the last conclusion, or None if there is none."""
        return next((note.body for note in reversed(self._by_kind.get("outcome", []))), None)
