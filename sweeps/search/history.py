"""What a ledger holds, as frozen rows, and the state of every trial that follows from them.

A `History` is a fold over rows in their order: it looks at no clock, file or Ray, so that any decision can be repeated.
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

# Reasons for which a running trial needs another worker; what was preempted counts as no loss.
LOST, HUNG, RETRIED, PREEMPTED = "lost", "hung", "retried", "preempted"
RESUMED = "resumed"  # the reason with which it gets one
AGAIN = "failed, and may run again"  # the reason with which a trial that failed is interrupted
_BREAKS = {LOST: "the loss of its worker", HUNG: "a worker that hung", RETRIED: "an error", RESUMED: "an interruption"}
BEGAN = "began"  # its worker has started; written where a budget of time is counted
PUBLISHED = 1000  # how far the published runs are counted from those that choose
DIVERGED = -1  # the rung number of the decision that ends a trial whose metric is not finite


class TrialKey(NamedTuple):
    """A trial's identity: its number, and which run of its configuration this is.

    replicate: 0 in the search, 1, 2, … on fresh seeds that choose, PUBLISHED + 1, … on those that are published.
    """

    number: int
    replicate: int = 0

    @property
    def stage(self) -> Stage:
        """The part of the sweep to which it belongs."""
        if self.replicate > PUBLISHED:
            return "publication"
        return "choice" if self.replicate else "search"

    @property
    def fresh(self) -> int:
        """Which fresh seed of its stage it has, from 1; 0 in the search."""
        return self.replicate - (PUBLISHED if self.stage == "publication" else 0)

    @property
    def label(self) -> str:
        """The name in logs and folders: 12, 12-seed1 or 12-published1."""
        kind = {"search": "", "choice": "-seed", "publication": "-published"}[self.stage]
        return f"{self.number}{kind}{self.fresh or ''}"


@dataclass(frozen=True)
class Stamp:
    """Where a row stands in the ledger: sequence number and time of its commit (seconds since the epoch)."""

    seq: int
    time: float


@dataclass(frozen=True)
class Asked:
    """A trial was asked for: its parameters, its seed and the last sequence number that the suggestion saw."""

    key: TrialKey
    params: Mapping[str, Any]
    seed: int
    seen: int


@dataclass(frozen=True)
class Measured:
    """One report of a trial, and the SHA-256 of the environment that made it."""

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
    """A trial changed its state for a reason other than a pruning decision."""

    key: TrialKey
    state: State
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Noted:
    """Anything else worth keeping: sessions, environments, extensions, reads of the test set, the outcome."""

    kind: str
    body: Mapping[str, Any]
    key: TrialKey | None = None


Row = Asked | Measured | Decided | Moved | Noted
_Kept = TypeVar("_Kept")


@dataclass
class Trial:
    """One trial as the rows so far tell it."""

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
    moments: list[float] = field(default_factory=list)  # and when it came, s of the sweep's sessions
    environments: list[str | None] = field(default_factory=list)
    decided: dict[int, Decided] = field(default_factory=dict)  # the last decision at each rung
    losses: int = 0  # how often its worker died or hung
    breaks: int = 0  # how often it was taken from a worker that may live on unseen
    since: int = 0  # how many of those came before the reports that count
    errors: int = 0  # how often it raised an exception and was tried again
    halted: float = 0.0  # when it last came to need another worker, s of the sweep's sessions
    occupied: float = 0.0  # wall-clock for which it held a worker, s
    held: float = 0.0  # when it was last given a worker (seconds since the epoch)
    due: int = 0  # when its next report falls due in a deterministic sweep, in reports; see `turn`
    continued: dict[int, str] = field(default_factory=dict)  # reports that came first after a break, and after which
    rows: int = 1  # how many told of it; what was made from it holds for as long as there are no more

    @property
    def turn(self) -> tuple[int, TrialKey]:
        """Its place in the order of reports of a deterministic sweep."""
        return self.due, self.key

    @property
    def last(self) -> Measurement | None:
        return self.measurements[-1] if self.measurements else None

    def goes_on_after(self, what: str) -> None:
        """Keep that the next report will come from a worker that continues from a checkpoint."""
        if self.measurements:
            self.continued[len(self.measurements) + 1] = what

    def with_metric(self, metric: str) -> list[Measurement]:
        """The measurements that have a metric: a function need not report it each time."""
        return [measurement for measurement in self.measurements if metric in measurement.values]

    def valued(self, metric: str) -> Measurement | None:
        """The last measurement that has a metric."""
        return next((m for m in reversed(self.measurements) if metric in m.values), None)

    @property
    def gained(self) -> float:
        """The fidelity that its last report added."""
        return self.measurements[-1].fidelity - (self.measurements[-2].fidelity if len(self.measurements) > 1 else 0.0)

    @property
    def needs_worker(self) -> bool:
        """Whether it runs and lost its worker, or raised and is tried again."""
        return self.state == "running" and self.reason in (LOST, HUNG, RETRIED, PREEMPTED)

    @property
    def diverged(self) -> bool:
        """Whether it was ended because a value was not finite."""
        return DIVERGED in self.decided

    def value(self, metric: str) -> float | None:
        """The metric's last value if it is finite and its trial has not diverged, else None."""
        last = self.valued(metric)
        if self.diverged or last is None:
            return None
        return last.values[metric] if math.isfinite(last.values[metric]) else None

    def full_value(self, metric: str) -> float | None:
        """The metric at full fidelity, None where the trial did not get there."""
        return self.value(metric) if self.state == "complete" else None


class History:
    """The fold: trials by key in the order they were asked, and what was noted; each row is looked at once."""

    def __init__(self, rows: Iterable[tuple[Stamp, Row]] = ()) -> None:
        self.trials: dict[TrialKey, Trial] = {}
        self.search: list[Trial] = []  # the search's own trials, by number
        self.selection: list[Trial] = []  # the trials on fresh seeds, that choose or are published, as they were asked
        self.measured: list[tuple[Trial, Measurement]] = []
        self.notes: list[tuple[Stamp, Noted]] = []
        self.last = Stamp(0, 0.0)
        self._by_kind: dict[str, list[Noted]] = {}
        self._plans: dict[TrialKey | None, Mapping[str, Any]] = {}
        self._by_state: dict[State, dict[TrialKey, Trial]] = {state: {} for state in get_args(State)}
        self._kept: tuple[object, dict[Hashable, Any]] = (None, {})
        self._spent = 0.0  # wall-clock of the sessions before the current one, s
        self._session: float | None = None
        self._worked = 0.0  # time of the last row that a session wrote
        self._held: dict[TrialKey, Trial] = {}  # those of the running that have a worker
        self._occupied = 0.0  # by all trials, s
        self.extended_at = (0.0, 0.0)  # `elapsed` and `occupied` when the budgets were last enlarged, s
        self.is_closed = False  # whether the search was ended by hand
        self.budgeted = Budgeted()
        self.is_concluded = False  # whether the last outcome is of all rows that could change it
        self.turn = 0  # how far a deterministic sweep has come, in reports
        for stamp, row in rows:
            self.apply(stamp, row)

    def apply(self, stamp: Stamp, row: Row) -> None:
        """Take one more row, in the order of the ledger."""
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
        """Keep a trial among those that have a worker, or not."""
        if trial.state != "running" or trial.needs_worker:
            self._held.pop(trial.key, None)
        elif trial.key not in self._held:
            self._held[trial.key], trial.held = trial, now

    def _occupy(self, now: float) -> None:
        """Count the time since the last row of the session for every trial that holds a worker."""
        if self._session is not None:
            for trial in self._held.values():
                self._charge(trial, now - self._worked)

    def _charge(self, trial: Trial, seconds: float) -> None:
        trial.occupied += seconds
        self._occupied += seconds

    def _move(self, stamp: Stamp, row: Moved) -> None:
        trial = self.trials[row.key]
        if row.reason == BEGAN:  # it is not charged for the start of its worker
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
        if row.kind == "session":
            if self._session is not None:
                self._spent += self._worked - self._session
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
            trial.losses, trial.errors, trial.due = 0, 0, self.turn + 1  # as many as a new one may have
            trial.rows += 1
        for key in row.body["from_start"] if row.kind == RETRY else ():
            self._restart(self.trials[TrialKey(*key)])

    def _restart(self, trial: Trial) -> None:
        """Let a trial start again, since nothing that it reported counts."""
        trial.breaks += 1
        trial.since = trial.breaks
        trial.rows += 1
        for of_reports in (trial.measurements, trial.seqs, trial.moments, trial.environments, trial.decided):
            of_reports.clear()
        trial.continued.clear()
        self.measured = [(one, measurement) for one, measurement in self.measured if one is not trial]

    def elapsed(self, now: float) -> float:
        """Wall-clock that the sweep's sessions used, s; the time between them doesn't count."""
        return self._spent + (now - self._session if self._session is not None else 0.0)

    @property
    def until(self) -> float:
        """When a session wrote its last row (seconds since the epoch)."""
        return self._worked

    @property
    def worked(self) -> float:
        """Wall-clock that the sweep's sessions used up to their last row, s."""
        return self.elapsed(self._worked)

    @property
    def running(self) -> list[Trial]:
        """The trials that are neither halted nor ended, in the order they were asked."""
        return self.in_state("running")

    def counts(self) -> dict[State, int]:
        """How many trials are in each state, the runs on fresh seeds too."""
        return {state: len(trials) for state, trials in self._by_state.items()}

    def in_state(self, state: State) -> list[Trial]:
        """The trials in a state, in the order they were asked."""
        return sorted(self._by_state[state].values(), key=lambda trial: trial.asked.seq)

    @property
    def due_first(self) -> Trial | None:
        """The running trial whose report is the next that a deterministic sweep takes."""
        return min(self._by_state["running"].values(), key=lambda trial: trial.turn, default=None)

    def occupied(self, now: float, trial: Trial | None = None) -> float:
        """Wall-clock for which workers were held by all trials, or by one, s."""
        since = now - self._worked if self._session is not None else 0.0
        if trial is None:
            return self._occupied + since * len(self._held)
        return trial.occupied + (since if trial.key in self._held else 0.0)

    def noted(self, kind: str) -> Iterator[Noted]:
        """The notes of a kind, in order."""
        return iter(self._by_kind.get(kind, ()))

    def plan(self, key: TrialKey) -> Mapping[str, Any] | None:
        """The recorded horizon of a wall-clock trial, None for any other."""
        return self._plans.get(key)

    def kept(self, spec: object, what: Hashable, make: Callable[[], _Kept]) -> _Kept:
        """Return what was made of these rows for the spec that was used last, for this very object; else make it."""
        if self._kept[0] is not spec:
            self._kept = (spec, {})
        made = self._kept[1]
        found: _Kept = made[what] if what in made else made.setdefault(what, make())
        return found

    @property
    def outcome(self) -> Mapping[str, Any] | None:
        """The result of the last conclusion, None while there is none."""
        return next((note.body for note in reversed(self._by_kind.get("outcome", []))), None)
