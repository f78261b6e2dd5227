"""The one writer of a ledger: assigns legs to free slots, takes workers' messages, and commits before it acts.

It knows neither Ray nor threads. An executor of legs (Ray Tune, a test, a simulation) calls `next_leg`, `receive` and
`lost` in turn, and `began` when a worker has started. Now and then it asks `overdue` which workers must be killed.
"""

import hashlib
import time
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

from study.measurement import Measurement
from sweeps.clock import machine
from sweeps.errors import LedgerError, SweepError
from sweeps.execution import failures, reports
from sweeps.execution.messages import Leg, Message, Observer, RangeLeg, ignore
from sweeps.execution.spending import Spending
from sweeps.returning import to_resume
from sweeps.search.agenda import Ask, Finished, Fit, GoOn, Measure, Record, Replicate, Wait, Work, next_work, stage_of
from sweeps.search.budgets import Ended, ended, limit, own_limit, resting
from sweeps.search.closing import closing, fit
from sweeps.search.costs import NOTE as COSTS_NOTE
from sweeps.search.history import (
    BEGAN,
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
    Trial,
    TrialKey,
)
from sweeps.search.keeping import unneeded
from sweeps.search.pruning import decide
from sweeps.search.ranges import FAILURE_NOTE, LOSS_NOTE, NOTE, OPTIMIZER, RangeKey
from sweeps.search.selection import selection_seed
from sweeps.search.suggestion import suggest, trial_seed
from sweeps.sections import STAGES, Stage
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.rows import dump_json

_GAP = 10.0  # s between two looks at the workers, normally several a second, above which this process slept
_HEARTBEAT = 5.0  # s without a row after which one is written, if rows count a budget of time


class Driver:
    """The driver of one sweep: `history` saves a second read of the ledger, `observe` gets each row after its commit.

    It measures time by the clock of the ledger.
    """

    def __init__(
        self,
        spec: SweepSpec,
        folder: SweepFolder,
        ledger: Ledger,
        observe: Observer = ignore,
        history: History | None = None,
    ) -> None:
        self.spec: SweepSpec = spec
        self.folder = folder
        self.history = history or ledger.history()
        self.live: set[TrialKey | RangeKey] = set()
        self._ledger = ledger
        self.observe = observe
        self.clock = ledger.clock
        self._heard: dict[TrialKey | RangeKey, float] = {}  # when each worker was last heard
        self._looked: float | None = None  # when `overdue` was last called
        self._killed: dict[TrialKey | RangeKey, str] = {}  # why a worker, soon to be lost, was killed
        self._answered: tuple[object, Work] | None = None  # the last question to the agenda, and its answer
        self.is_stopping = False  # if True, no further leg is handed out
        self.stages: Collection[Stage] = STAGES  # the stages whose legs are handed out now
        self.spent = Spending()

    def record(self, row: Row) -> None:
        """Commit a row, then pass it to the history and the observer; drop checkpoints that it makes unneeded."""
        self.spent.book("deciding")
        stamp = self._ledger.append(row)
        self.spent.book("ledger")
        self.history.apply(stamp, row)
        if isinstance(row, Decided | Moved):
            for key in unneeded(self.spec, self.history, self.history.trials[row.key]):
                self.drop_checkpoint(key)
        self.observe(stamp, row)
        for outage in self._ledger.outages():
            self.record(Noted("warning", {"text": outage}))

    def start(self, session: Mapping[str, Any], *notes: Noted) -> None:
        """Open a session with its first notes, and take the decisions that the last driver's death left open."""
        self.record(Noted("session", session))
        for note in notes:
            self.record(note)
        for trial in list(self.history.trials.values()):
            self._settle(trial)

    @property
    def resting(self) -> set[TrialKey]:
        """Return the trials that must wait before they continue, since they just lost their worker or raised.

        Trials of a stage that a budget has ended are left out: they no longer wait, and are cut.
        """
        over = ended(self.spec, self.history, self.clock())
        found = resting(self.spec, self.history, self.clock())
        return {key for key in found if not over.of(key.stage)}

    def next_leg(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """Return what a free slot does now; the ask or promotion behind it is committed when this returns."""
        if self.is_stopping:
            return "finished"
        key = self.next_key(self.live | self.resting)
        return key if isinstance(key, str) else self.hand_out(key)

    def next_key(self, held: Collection[TrialKey | RangeKey]) -> TrialKey | RangeKey | Literal["wait", "finished"]:
        """Return the next trial or range test that is not among `held`, after a commit of what it needs."""
        while True:
            work = self._next_work(held)
            if stage_of(work) not in (None, *self.stages):
                return "wait" if held else "finished"  # other workers do it once this part of the sweep is over
            match work:
                case Measure(test):
                    return test
                case Ask(key):
                    params = suggest(self.spec, self.history, key.number)
                    seed = trial_seed(self.spec, key.number)
                    self.record(Asked(key, params, seed, self.history.last.seq))
                case Replicate(key):
                    params = self.history.trials[TrialKey(key.number)].params
                    seed = selection_seed(self.spec, key.replicate)
                    self.record(Asked(key, params, seed, self.history.last.seq))
                case GoOn(key, row):
                    self.record(row)
                    self._settle(self.history.trials[key])
                case Record(row):
                    self.record(row)
                    continue
                case Fit():
                    self.record(fit(self.spec, self.history, self.clock()))
                    continue
                case Wait():
                    return "wait"
                case Finished():
                    return "finished"
            # A report may have passed several rungs, so a promotion past one can end at the next without training.
            if self.history.trials[key].state == "running":
                return key

    def _next_work(self, held: Collection[TrialKey | RangeKey]) -> Work:
        """Return the agenda's answer, cached by what it depends on: a waiting slot asks several times a second."""
        over = self._over()
        asked = (self.history.last.seq, frozenset(held), over)
        if self._answered is None or self._answered[0] != asked:
            self._answered = asked, next_work(self.spec, self.history, held, over)
        return self._answered[1]

    def _over(self) -> Ended:
        """Return what has ended each stage; if a budget ends the search, commit that first."""
        if (row := closing(self.spec, self.history, self.clock())) is not None:
            self.record(row)
        return ended(self.spec, self.history, self.clock())

    def hand_out(self, key: TrialKey | RangeKey) -> Leg | RangeLeg:
        """Return the leg of a trial or range test, which a worker holds from now on."""
        self.live.add(key)
        self.heard(key)
        if isinstance(key, RangeKey):
            return RangeLeg(self.spec.name, key, self.folder.log(key.label), self.folder.store)
        trial = self.history.trials[key]
        now = self.clock()
        checkpoint, *earlier = self.folder.written_checkpoints(trial)
        return Leg(
            sweep=self.spec.name,
            key=key,
            params=self.spec.space.in_order(trial.params),
            seed=trial.seed,
            known=len(trial.measurements),
            checkpoint=checkpoint,
            log=self.folder.log(key.label),
            plan=self.history.plan(key),
            handed_out=time.monotonic(),
            machine=machine(),
            limit=own_limit(self.spec, self.history, trial, now, len(self.live)),
            store=self.folder.store,
            earlier=tuple(earlier),
        )

    def stop(self) -> None:
        """Hand out no further leg; live trials and range tests may still report."""
        self.is_stopping = True

    def heard(self, key: TrialKey | RangeKey) -> None:
        """Note that a live trial's or test's worker was heard: an earlier reason to kill it no longer applies."""
        self._heard[key] = self.clock()
        self._killed.pop(key, None)

    def let_go(self, key: TrialKey | RangeKey) -> None:
        """Note that no worker holds a trial or range test any more."""
        self.live.discard(key)
        self._heard.pop(key, None)

    def began(self, key: TrialKey | RangeKey) -> None:
        """Note that the worker of a live trial or range test has started."""
        self.heard(key)
        if self._counts_time and isinstance(key, TrialKey) and self.history.trials[key].state == "running":
            self.record(Moved(key, "running", BEGAN))

    def receive(self, key: TrialKey | RangeKey, message: Message) -> bool:
        """Take a worker's message; return True if its leg continues, or False if it is over."""
        self.heard(key)
        goes_on = self.take(key, message)
        if not goes_on:
            self.let_go(key)
        return goes_on

    def take(self, key: TrialKey | RangeKey, message: Message) -> bool:
        """Commit a message and the decisions on it; return True if its trial continues to train."""
        if message.kind == "unsaved":
            advice = "what was acknowledged is kept; free space or mend permissions, then `sweeps resume`"
            raise LedgerError(f"{message.reason}: {advice}")
        if isinstance(key, RangeKey):
            self._ranged(key, message)
            return False
        trial = self.history.trials[key]
        said = {note.body["text"] for note in self.history.noted("warning")} if message.notes else ()
        for note in dict.fromkeys(note for note in message.notes if note not in said):
            self.record(Noted("warning", {"text": note}, key))
        if message.plan is not None and self.history.plan(key) is None:
            self.record(Noted("plan", message.plan, key))
        match message.kind:
            case "measured" if message.measurement is not None:
                self._measured(trial, message.measurement, self._environment(message.environment))
                self._cut_if_ended(trial)
            case "cut":
                self.record(Moved(key, "cut", message.reason))
            case "stopped":
                return False
            case "failed" if trial.errors < self.spec.retries.failed:
                self.record(Moved(key, "running", RETRIED, f"{message.reason}\n{message.detail}".rstrip()))
                return False
            case "failed":
                self.record(Moved(key, "failed", message.reason, message.detail))
                self._stop_if_hopeless(trial)
            case _:
                if message.costs:
                    self.record(Noted(COSTS_NOTE, message.costs, key))
                self._ended(trial)
        return trial.state == "running"

    def _cut_if_ended(self, trial: Trial) -> None:
        """Cut a trial at its report if a budget is used up; its checkpoint is as old as the report."""
        if trial.state == "running" and (name := self._over().of(trial.key.stage)):
            self.record(Moved(trial.key, "cut", name))

    def _ranged(self, key: RangeKey, message: Message) -> None:
        if message.range is None:
            reason = f"the range test of {key.optimizer!r} found no bounds ({message.reason.partition(': ')[2]})"
            self.record(Noted(FAILURE_NOTE, {OPTIMIZER: key.optimizer, "reason": reason, "detail": message.detail}))
            raise SweepError(f"{reason}: give learning_rate its bounds instead of range_test, in a sweep of its own")
        environment = self._environment(message.environment)
        self.record(Noted(NOTE, {OPTIMIZER: key.optimizer, **message.range, "environment": environment}))

    def _measured(self, trial: Trial, measurement: Measurement, environment: str | None) -> None:
        expected = len(trial.measurements) + 1
        if measurement.report < expected:
            self._repeated(trial, measurement)
        elif measurement.report > expected:
            self.record(Moved(trial.key, "failed", f"report {measurement.report} came before {expected}"))
        else:
            self.record(Measured(trial.key, measurement, environment))
            if self.spec.metric not in measurement.values and len(self.history.measured) == 1:
                lacking = f"{reports.without_metric(self.spec, trial)}: a trial fails that never reports it"
                self.record(Noted("warning", {"text": lacking}, trial.key))
            self._settle(trial)

    def _repeated(self, trial: Trial, measurement: Measurement) -> None:
        """Note, once per trial, that a report came out differently after a restart; the first value stays."""
        stored = trial.measurements[measurement.report - 1]
        found = reports.repeated_otherwise(self.spec, stored, measurement)
        warned = [note.body["text"] for note in self.history.noted("warning") if note.key == trial.key]
        if found and not any(text.startswith(reports.NONDETERMINISTIC) for text in warned):
            self.record(Noted("warning", {"text": found}, trial.key))

    def _settle(self, trial: Trial) -> None:
        """Take all pruning decisions that are due, then end the trial if it still runs after its final report."""
        while (decision := decide(self.spec, self.history, trial)) is not None:
            self.record(decision)
        if trial.state == "running" and trial.last is not None and reports.is_last(self.spec, trial):
            self._ended(trial)

    def _ended(self, trial: Trial) -> None:
        self.record(reports.end_of(self.spec, trial))
        self._stop_if_hopeless(trial)

    def _stop_if_hopeless(self, trial: Trial) -> None:
        """Raise SweepError if no trial would do better than the one that just ended, since each may take hours."""
        again = to_resume(self.spec, self.folder.where, "--retry-failed")
        lacks = trial.reason == (fault := reports.without_metric(self.spec, trial))
        if lacks and not any(self.spec.metric in m.values for _, m in self.history.measured):
            raise SweepError(f"{fault}: {reports.how_to_report_it(trial, again)}")
        if (text := failures.failing_alike(self.history)) is not None:
            self.record(Noted(failures.NOTE, {"reason": text}))
            raise SweepError(f"{text}; see {self.folder.log(trial.key.label)}; mend it, then `{again}` runs all again")

    def overdue(self) -> dict[TrialKey | RangeKey, str]:
        """Return the trials and range tests whose workers must be killed now, and why; call `lost` after each kill.

        A worker is hung if it was not heard for the spec's `report_timeout`. It is late if the budget that limits its
        leg has ended and it has not stopped within the time that it gets for that.
        """
        now = self.clock()
        self._pass(now)
        silent = [key for key in self.live if now - self._heard[key] > self.spec.retries.report_timeout]
        held = [self.history.trials[key] for key in self.live if isinstance(key, TrialKey)]
        limits = {trial.key: limit(self.spec, self.history, trial, now, len(self.live)) for trial in held}
        late = {key: nearest.name for key, nearest in limits.items() if nearest is not None and nearest.patience < 0}
        found = dict.fromkeys(silent, HUNG) | late
        self._killed |= found
        return found

    def _pass(self, now: float) -> None:
        """Discount time in which this process slept and could hear no worker, and write a heartbeat row if due."""
        stood_still = now - self._looked if self._looked is not None and now - self._looked > _GAP else 0.0
        self._looked = now
        self._heard = {key: heard + stood_still for key, heard in self._heard.items()}
        if self._counts_time and now - self.history.until > _HEARTBEAT:
            self.record(Noted("alive", {}))

    @property
    def _counts_time(self) -> bool:
        """Return whether a budget counts time, so a kill must not lose the time since the last row."""
        return any(limit is not None for limit in (self.spec.time, self.spec.device_hours, self.spec.trial_time))

    def can_save(self) -> bool:
        """Return whether this machine can write to the sweep's folder, so only a worker's own node may be at fault."""
        return self.folder.takes_files()

    def lost(self, key: TrialKey | RangeKey, reason: str, *, was_preempted: bool = False) -> None:
        """Note that a live trial's worker died: the trial continues elsewhere, or fails if that happens too often."""
        self.let_go(key)
        why = PREEMPTED if was_preempted else self._killed.pop(key, LOST)
        if isinstance(key, RangeKey):
            self._lost_range_test(key, why, reason)
            return
        trial, most = self.history.trials[key], self.spec.retries.lost
        if trial.state != "running":
            return
        if why not in (LOST, HUNG, PREEMPTED):
            self.record(Moved(key, "cut", why, "its worker did not stop in time: it resumes from its last checkpoint"))
            return
        if why == HUNG:
            reason = f"no word from its worker for {self.spec.retries.report_timeout:g} s"
        if trial.losses < most or self.spec.deterministic or was_preempted:
            self.record(Moved(key, "running", why, reason))
            if trial.losses > most:  # a failure now would depend on the clock
                raise SweepError(
                    f"the worker of trial {key.label} was lost {trial.losses} times ({reason}), without which a "
                    f"deterministic sweep can't go on: mend the cause, then `{to_resume(self.spec, self.folder.where)}`"
                )
        else:
            what = "hung" if why == HUNG else "was lost"
            self.record(Moved(key, "failed", f"its worker {what}, {most + 1} in all: {reason}"))

    def _lost_range_test(self, key: RangeKey, why: str, reason: str) -> None:
        if why == PREEMPTED:
            return
        reason = why if why == HUNG else reason
        self.record(Noted(LOSS_NOTE, {OPTIMIZER: key.optimizer, "reason": reason}))
        losses = sum(note.body[OPTIMIZER] == key.optimizer for note in self.history.noted(LOSS_NOTE))
        if losses > self.spec.retries.lost:
            raise SweepError(f"the worker of {key.label} was lost {losses} times ({reason})")

    def _environment(self, environment: Mapping[str, str] | None) -> str | None:
        """Return the hash of an environment, and note the environment in full the first time it is seen."""
        if environment is None:
            return None
        digest = hashlib.sha256(dump_json(environment).encode()).hexdigest()
        if not any(note.body["hash"] == digest for note in self.history.noted("environment")):
            self.record(Noted("environment", {"hash": digest, "values": dict(environment)}))
        return digest

    def alone(self, what: str) -> AbstractContextManager[None]:
        """Return a context that excludes other drivers that ask for `what` with a ledger in the same database."""
        return self._ledger.alone(what)

    def drop_checkpoint(self, key: TrialKey) -> None:
        """Remove the checkpoint of a trial that nothing needs any more; note a warning if it can't be removed."""
        try:
            self.folder.drop(self.folder.checkpoint(key.label).parent)
        except LedgerError as error:
            text = f"the checkpoint of {key.label} is not needed and stays: `sweeps clean` removes it ({error})"
            self.record(Noted("warning", {"text": text}, key))
