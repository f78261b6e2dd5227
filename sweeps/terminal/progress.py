"""Progress of a running sweep as a live panel, plain lines, or JSON lines; each row appears after its commit."""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sweeps.digits import number
from sweeps.execution.session import Session
from sweeps.search.budgets import device_seconds
from sweeps.search.earlier import NOTE as WARM_START
from sweeps.search.history import (
    HUNG,
    LOST,
    PREEMPTED,
    RETRIED,
    Asked,
    Decided,
    History,
    Measured,
    Moved,
    Noted,
    Row,
    Stamp,
    State,
    Trial,
)
from sweeps.search.ranges import NOTE, due
from sweeps.search.standing import Leader, shown_state
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder
from sweeps.store.rows import dump_json
from sweeps.terminal.failures import log_of, why
from sweeps.terminal.screen import Form, Screen, duration
from sweeps.terminal.tables import add_row

STATES: tuple[State, ...] = ("running", "paused", "cut", "pruned", "complete", "failed")
_REFRESH = 0.5  # s between two updates of the panel
_RATE_WINDOW = 30.0  # s, over which the rate is averaged


@dataclass(frozen=True)
class Summary:
    """The state of a sweep at a glance."""

    phase: str
    states: Mapping[State, int]
    asked: int
    trials: int
    best: float | None
    best_trial: str
    elapsed: float  # s
    time: float | None  # s, the budget
    hours: float  # used by devices
    device_hours: float | None  # the budget
    rate: float  # recent fidelity (epochs) per second

    @property
    def budget(self) -> str:
        """Return how much of each budget is used."""
        spent = f"{self.asked}/{self.trials} trials"
        clock = duration(self.elapsed) if self.time is None else f"{duration(self.elapsed)} of {duration(self.time)}"
        devices = "" if self.device_hours is None else f", {self.hours:.3g} of {self.device_hours:g} device-hours"
        return f"{spent}, {clock}{devices}"

    @property
    def counts(self) -> str:
        now = "over" if self.phase == "selection" else "running"
        counted = ((self.states.get(state, 0), shown_state(state, now)) for state in STATES)
        return ", ".join(f"{count} {state}" for count, state in counted if count) or "none yet"


class Progress:
    """Display of a sweep that follows it row by row, in one form of output."""

    def __init__(self, spec: SweepSpec, folder: SweepFolder, history: History, form: Form, *, verbose: bool) -> None:
        self._spec, self._folder, self.history, self._form = spec, folder, history, form
        self._verbose = verbose
        self._screen = Screen(sys.stdout, form, has_panel=not verbose)
        self._shown = 0.0
        self._step = ""  # the current step outside of the trials, "" while they run
        self._phase = "range tests" if due(spec, history) else "search"
        self._leader = Leader(spec, history)
        self._recent: deque[tuple[float, float]] = deque()  # (time, fidelity gained)
        self._gained = 0.0  # the sum of the fidelities in `_recent`

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show what the sweep is waiting for while the block runs, on a panel if the terminal can hold one."""
        with self._screen.opened():
            yield

    def begin(self) -> None:
        """Print that the sweep is starting; called before any step that takes long."""
        self._say(f"sweep {self._spec.name}: starting")
        self.wait_for("starting Ray")

    def wait_for(self, step: str) -> None:
        """Show what the sweep is waiting for from now on; "" stands for the trials."""
        self._step = step
        self._screen.wait_for(step or self._awaited())
        if self.history.last.seq:
            self._show(self.history.last)

    def _awaited(self) -> str:
        """Return what the sweep is waiting for from its trials."""
        running = [trial for trial in self.history.running if not trial.needs_worker]
        if not running:
            return "waiting for a worker"
        silent = [trial.key.label for trial in running if not trial.measurements]
        if not silent:
            return "waiting for the next report"
        return f"waiting for the first report of trial {', '.join(silent[:3])}{', …' if len(silent) > 3 else ''}"

    def opened(self, session: Session, slots: int) -> None:
        """Print how many trials run at a time, the direction of the metric, and where to watch the sweep."""
        spec = self._spec
        if self._form == "json":
            aim = {"metric": spec.metric, "direction": spec.direction}
            self._line({"kind": "session", "dashboard": session.dashboard, "slots": slots, **aim})
        trials = f"{spec.trials} trials, {slots} at a time, {spec.metric} {spec.direction}d"
        self._say(f"sweep {spec.name}: {trials}, in {self._folder.shown}")
        self._say(session.where)
        if slots < session.slots:
            self._say(f"note: the nodes have places for {session.slots}: `concurrency` bounds it to {slots}")
        for note in session.notes:
            self._say(f"note: {note}")

    def say(self, text: str) -> None:
        """Print a line for a user, or a note in JSON form."""
        if self._form == "json":
            self._line({"kind": "note", "text": text})
        self._say(text)

    def _say(self, text: str) -> None:
        self._screen.line(text)

    def was_over(self) -> None:
        """Print that the sweep was over before this session; in JSON form, also print its outcome."""
        if self._form == "json":
            self._line({"kind": "outcome", **(self.history.outcome or {})})
        count, show = len(self.history.search), self._folder.command("show")
        self.say(f"sweep {self._spec.name} is over: {count} trials; see `{show}`")

    def observe(self, stamp: Stamp, row: Row) -> None:
        """Show a committed row."""
        if isinstance(row, Asked) and row.key.replicate:
            self._phase = "selection"
        if isinstance(row, Asked) and not row.key.replicate:
            self._phase = "search"
        if isinstance(row, Measured):
            self._count(stamp, row)
        if self._form == "json":
            self._line(row_as_dict(stamp, row))
        elif self._form == "auto":
            self._observe_for_person(stamp, row)

    def _count(self, stamp: Stamp, row: Measured) -> None:
        self._recent.append((stamp.time, self.history.trials[row.key].gained))
        self._gained += self._recent[-1][1]
        while self._recent[0][0] <= stamp.time - _RATE_WINDOW:
            self._gained -= self._recent.popleft()[1]

    def _observe_for_person(self, stamp: Stamp, row: Row) -> None:
        if isinstance(row, Noted):
            if row.kind == NOTE:
                self._say(range_in_brief(row.body))
            if row.kind == "warning":
                self._say(f"warning: {f'trial {row.key.label}: ' if row.key else ''}{row.body['text']}")
            if row.kind == WARM_START:
                self._say(warm_start_in_brief(row.body))
            return
        if not self._screen.is_live and self._is_worth_a_line(row):
            self._say(self._plain(stamp, row))
        if not self._step:
            self._screen.wait_for(self._awaited())
        if time.monotonic() - self._shown > _REFRESH:
            self._show(stamp)

    def _show(self, stamp: Stamp) -> None:
        self._screen.show(lambda: self._panel(self.summary(stamp.time)), lambda: self._standing(stamp))
        self._shown = time.monotonic()

    def _is_worth_a_line(self, row: Row) -> bool:
        if self._verbose:
            return not isinstance(row, Asked)
        if isinstance(row, Measured):
            return row.measurement.report == 1 and row.key == next(iter(self.history.trials))
        is_end = isinstance(row, Decided) and row.verdict in ("pause", "stop")
        return is_end or (
            isinstance(row, Moved) and (row.state != "running" or row.reason in (LOST, HUNG, RETRIED, PREEMPTED))
        )

    def summary(self, now: float) -> Summary:
        """Return the state of the sweep at a given time (seconds since the epoch)."""
        best = self._leader.now()
        span = max(now - self._recent[0][0], 1.0) if self._recent else 1.0
        return Summary(
            phase=self._phase,
            states=self.history.counts(),
            asked=len(self.history.search),
            trials=self._spec.trials,
            best=best.value if best else None,
            best_trial=_named(best.trial) if best else "",
            elapsed=self.history.elapsed(now),
            time=self._spec.time,
            hours=device_seconds(self._spec, self.history, now) / 3600,
            device_hours=self._spec.device_hours,
            rate=self._gained / span,
        )

    def _plain(self, stamp: Stamp, row: Measured | Decided | Moved | Asked) -> str:
        summary = self.summary(stamp.time)
        trial = self.history.trials[row.key]
        value = trial.value(self._spec.metric)
        shown = "no value" if value is None else f"{self._spec.metric} {number(value)}"
        place = f" at {trial.last.fidelity:g}" if trial.last else ""
        best = "" if summary.best is None else f" | best {number(summary.best)} ({summary.best_trial})"
        is_told = trial.state in ("failed", "pruned") or trial.reason in (LOST, HUNG, RETRIED, PREEMPTED)
        reason = f" ({self._why(trial)})" if is_told and trial.reason else ""
        name = f"{row.key.label}{self._cell(trial)}"
        return (
            f"{duration(summary.elapsed)} trial {name} {trial.state}{place}, {shown}{reason}{best} | "
            f"{summary.counts} | {summary.budget} | {summary.rate:.2f} {self._spec.fidelity_unit}/s"
        )

    def _why(self, trial: Trial) -> str:
        log = f", log {log_of(trial, self._folder)}" if trial.state == "failed" else ""
        return why(trial) + log

    def _standing(self, stamp: Stamp) -> str:
        """Return the counts of trials and the use of budgets, in short."""
        summary = self.summary(stamp.time)
        return f"{summary.counts} | {summary.budget}"

    def _cell(self, trial: Trial) -> str:
        """Return the cell, protocol and seed of a trial of a design; "" in a search."""
        if self._spec.design is None:
            return ""
        variant, replicate = self._spec.design.place(trial.key.number)
        return f" ({', '.join(filter(None, (variant.cell, variant.protocol)))}, seed {replicate})"

    def _panel(self, summary: Summary) -> Group:
        grid = Table.grid(padding=(0, 2))
        best = "none yet" if summary.best is None else f"{number(summary.best)} ({summary.best_trial})"
        for name, value in (
            ("phase", summary.phase),
            ("trials", summary.counts),
            (f"best {self._spec.metric}", best),
            ("budget", summary.budget),
            ("speed", f"{summary.rate:.2f} {self._spec.fidelity_unit}/s"),
        ):
            grid.add_row(Text(name, style="dim"), Text(value))
        running = Table(box=None, padding=(0, 2), header_style="dim", expand=True)
        for title in ("trial", self._spec.fidelity_unit, self._spec.metric):
            running.add_column(Text(title), no_wrap=True, min_width=len(title))
        running.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)  # long texts are cut here
        for trial in self.history.running:
            now = trial.value(self._spec.metric)
            done = f"{trial.last.fidelity:g}" if trial.last else "-"
            shown = "-" if now is None else number(now)
            add_row(running, trial.key.label, done, shown, params_in_brief(self._spec.space.texts(trial.params)))
        return Group(grid, running)

    def _line(self, value: Mapping[str, Any]) -> None:
        self._screen.json(dump_json(value))


def range_in_brief(found: Mapping[str, Any]) -> str:
    """Return the finding of a range test on one line."""
    return (
        f"range test of {found['optimizer']}: learning_rate from {found['low']:.2g} to {found['high']:.2g}, "
        f"valley {found['valley']:.2g}"
    )


def warm_start_in_brief(found: Mapping[str, Any]) -> str:
    """Return on one line what the sampler learns from an earlier sweep."""
    rest = f"; {found['left_out']} lie outside this space, the first since {found['why']}" if found["left_out"] else ""
    return f"warm start: {len(found['trials'])} trials of {found['source']}{rest}"


def _named(trial: Trial) -> str:
    """Return the name of the trial with the best value, which can no longer win once it has failed."""
    return f"trial {trial.key.label}{', which failed' if trial.state == 'failed' else ''}"


def params_in_brief(texts: Mapping[str, str]) -> str:
    """Return parameters on one line."""
    return " ".join(f"{name}={text}" for name, text in texts.items())


def row_as_dict(stamp: Stamp, row: Row) -> dict[str, Any]:
    """Return a ledger row as one flat dictionary for JSON."""
    fields = asdict(row)
    key = fields.pop("key", None)
    place = {} if key is None else {"trial": key[0], "replicate": key[1]}
    if isinstance(row, Measured):
        fields |= fields.pop("measurement")
    if isinstance(row, Noted):
        return {"kind": row.kind, "seq": stamp.seq, "time": stamp.time, **place, **json.loads(dump_json(row.body))}
    return {"kind": type(row).__name__.lower(), "seq": stamp.seq, "time": stamp.time, **place, **fields}
