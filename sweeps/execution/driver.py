"""The one writer of a ledger: says what a free slot does, takes what workers report, and commits before it acts.

It knows neither Ray nor threads: whatever executes legs (Ray Tune, a test, a simulation) calls `next_leg`, `receive`
and `lost` in turn.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from study.comparison import first_difference
from study.measurement import Measurement
from sweeps.errors import SweepError
from sweeps.execution.messages import Leg, Message, RangeLeg
from sweeps.search.agenda import Ask, Finished, GoOn, Measure, Record, Replicate, Wait, next_work
from sweeps.search.history import Asked, Decided, Measured, Moved, Noted, Row, Stamp, Trial, TrialKey
from sweeps.search.pruning import decide
from sweeps.search.ranges import FAILURE_NOTE, LOSS_NOTE, NOTE, OPTIMIZER, RangeKey
from sweeps.search.selection import may_be_stored, selection_seed
from sweeps.search.suggestion import suggest, trial_seed
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.rows import dump_json

MAX_LOSSES = 2  # an actor that dies may take its trial with it this often before the trial is failed

Observer = Callable[[Stamp, Row], None]


def ignore(_stamp: Stamp, _row: Row) -> None:
    """An observer that looks away."""


class Driver:
    """Drives one sweep from its ledger. `observe` sees each row after its commit, never before."""

    def __init__(
        self,
        spec: SweepSpec,
        folder: SweepFolder,
        ledger: Ledger,
        observe: Observer = ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.spec = spec
        self.folder = folder
        self.history = ledger.history()
        self.live: set[TrialKey | RangeKey] = set()
        self._ledger = ledger
        self.observe = observe
        self._clock = clock

    def record(self, row: Row) -> None:
        """Commit a row, then let the history and the observer know."""
        stamp = self._ledger.append(row)
        self.history.apply(stamp, row)
        if isinstance(row, Decided | Moved):
            self._drop_unneeded(self.history.trials[row.key])
        self.observe(stamp, row)
        for outage in self._ledger.outages():
            self.record(Noted("warning", {"text": outage}))

    def start(self, session: Mapping[str, Any]) -> None:
        """Open a session, and take the decisions that an earlier session's death left open."""
        self.record(Noted("session", session))
        for trial in list(self.history.trials.values()):
            self._settle(trial)

    @property
    def seconds_left(self) -> float | None:
        """What the search may still use of the sweep's wall-clock, s; the selection's share is held back."""
        if self.spec.search_time is None:
            return None
        return self.spec.search_time - self.history.elapsed(self._clock())

    def next_leg(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """What a free slot does now; the ask or promotion behind it is committed when this returns."""
        while True:
            left = self.seconds_left
            time_is_over = left is not None and left <= 0
            match next_work(self.spec, self.history, self.live, time_is_over):
                case Measure(test):
                    self.live.add(test)
                    return RangeLeg(self.spec.name, test, self.folder.log(test.label))
                case Ask(key):
                    params = suggest(self.spec, self.history, key.number)
                    seed = trial_seed(self.spec, key.number)
                    self.record(Asked(key, params, seed, self.history.last.seq))
                case Replicate(key):
                    params = self.history.trials[TrialKey(key.number)].params
                    seed = selection_seed(self.spec, key.replicate)
                    self.record(Asked(key, params, seed, self.history.last.seq))
                case GoOn(key, row):
                    if row is not None:
                        self.record(row)
                    self._settle(self.history.trials[key])
                case Record(row):
                    self.record(row)
                    continue
                case Wait():
                    return "wait"
                case Finished():
                    return "finished"
            # A report may have passed several rungs: a promotion past one can end at the next without training.
            if self.history.trials[key].state == "running":
                self.live.add(key)
                return self._leg(self.history.trials[key])

    def _leg(self, trial: Trial) -> Leg:
        return Leg(
            sweep=self.spec.name,
            key=trial.key,
            params=self.spec.space.in_order(trial.params),
            seed=trial.seed,
            known=len(trial.measurements),
            checkpoint=self.folder.checkpoint(trial.key.label),
            log=self.folder.log(trial.key.label),
            plan=self.history.plan(trial.key),
            seconds_left=None if trial.key.replicate else self.seconds_left,
        )

    def receive(self, key: TrialKey | RangeKey, message: Message) -> bool:
        """Take a worker's message; True if its leg goes on, False if it is over."""
        if isinstance(key, RangeKey):
            self._ranged(key, message)
            return False
        trial = self.history.trials[key]
        for note in message.notes:
            self.record(Noted("warning", {"text": note}, key))
        if message.plan is not None and self.history.plan(key) is None:
            self.record(Noted("plan", message.plan, key))
        match message.kind:
            case "measured" if message.measurement is not None:
                self._measured(trial, message.measurement, self._environment(message.environment))
            case "cut":
                self.record(Moved(key, "cut", message.reason))
            case "failed":
                self.record(Moved(key, "failed", message.reason, message.detail))
            case _:
                self._ended(trial)
        goes_on = trial.state == "running"
        if not goes_on:
            self.live.discard(key)
        return goes_on

    def _ranged(self, key: RangeKey, message: Message) -> None:
        self.live.discard(key)
        if message.range is None:
            reason = f"the range test of {key.optimizer!r} found no bounds ({message.reason.partition(': ')[2]})"
            self.record(Noted(FAILURE_NOTE, {OPTIMIZER: key.optimizer, "reason": reason, "detail": message.detail}))
            raise SweepError(f"{reason}: give learning_rate its bounds in place of range_test, in a sweep of its own")
        environment = self._environment(message.environment)
        self.record(Noted(NOTE, {OPTIMIZER: key.optimizer, **message.range, "environment": environment}))

    def _measured(self, trial: Trial, measurement: Measurement, environment: str | None) -> None:
        fault = self._fault(trial, measurement)
        if fault:
            self.record(Moved(trial.key, "failed", fault))
        elif measurement.report > len(trial.measurements):
            self.record(Measured(trial.key, measurement, environment))
            self._settle(trial)

    def _fault(self, trial: Trial, measurement: Measurement) -> str | None:
        """What is wrong with a report, or None."""
        if self.spec.metric not in measurement.values:
            return f"the metric {self.spec.metric!r} was not reported, only: {', '.join(sorted(measurement.values))}"
        if measurement.report > len(trial.measurements):
            expected = len(trial.measurements) + 1
            return None if measurement.report == expected else f"report {measurement.report} came before {expected}"
        stored = trial.measurements[measurement.report - 1]
        difference = first_difference(stored, measurement)
        return (
            difference and f"nondeterministic: report {measurement.report} was repeated after a restart, {difference}"
        )

    def _settle(self, trial: Trial) -> None:
        """Take all pruning decisions that are due; at full fidelity the trial is complete."""
        while (decision := decide(self.spec, self.history, trial)) is not None:
            self.record(decision)
        full = self.spec.max_fidelity
        is_full = full is not None and trial.last is not None and trial.last.fidelity >= full
        if trial.state == "running" and self.spec.target and is_full:
            self.record(Moved(trial.key, "complete", "full fidelity"))

    def _ended(self, trial: Trial) -> None:
        if trial.last is None:
            self.record(Moved(trial.key, "failed", "ended without a single measurement: yield at least one"))
        elif trial.value(self.spec.metric) is None:
            self.record(
                Moved(
                    trial.key,
                    "pruned",
                    f"diverged: {self.spec.metric} is {trial.last.values[self.spec.metric]}",
                )
            )
        else:
            self.record(Moved(trial.key, "complete", "full fidelity"))

    def lost(self, key: TrialKey | RangeKey, reason: str) -> None:
        """The worker of a live trial died: the trial goes on elsewhere, or fails if that happens too often."""
        self.live.discard(key)
        if isinstance(key, RangeKey):
            self.record(Noted(LOSS_NOTE, {OPTIMIZER: key.optimizer, "reason": reason}))
            if sum(note.body[OPTIMIZER] == key.optimizer for note in self.history.noted(LOSS_NOTE)) > MAX_LOSSES:
                raise SweepError(f"the worker of {key.label} was lost {MAX_LOSSES + 1} times ({reason})")
            return
        trial = self.history.trials[key]
        if trial.state != "running":
            return
        if trial.losses < MAX_LOSSES:
            self.record(Moved(key, "running", "lost", reason))
        else:
            self.record(Moved(key, "failed", f"its worker was lost {MAX_LOSSES + 1} times", reason))

    def _environment(self, environment: Mapping[str, str] | None) -> str | None:
        """The hash of an environment, noted in full the first time it is seen."""
        if environment is None:
            return None
        digest = hashlib.sha256(dump_json(environment).encode()).hexdigest()
        if not any(note.body["hash"] == digest for note in self.history.noted("environment")):
            self.record(Noted("environment", {"hash": digest, "values": dict(environment)}))
        return digest

    def drop_checkpoint(self, key: TrialKey) -> None:
        """Free the disk of a trial whose model is stored elsewhere."""
        shutil.rmtree(self.folder.checkpoint(key.label).parent, ignore_errors=True)

    def _drop_unneeded(self, trial: Trial) -> None:
        """Free the disk of a trial that can't go on; a possible final model stays until the choice is made."""
        may_go_on = trial.state in ("running", "paused", "cut")
        if not (may_go_on or may_be_stored(self.spec, trial)):
            self.drop_checkpoint(trial.key)
