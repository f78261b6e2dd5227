"""Deterministic sweeps: workers report at any time, and the driver takes their reports in one defined order.

The order is that of as many imagined workers as the spec says, which need equal time for every report. A trial's next
report falls due one unit after its last. Of two that fall due together, the one of the lower number is first. What a
sweep does thus depends on its spec alone.

A report that comes before its turn waits for it. Meanwhile its worker continues to train if nothing can be decided on
the report, and otherwise takes up another trial. Fewer workers than imagined ones seldom wait, since there is always
another trial to continue.
"""

from collections import deque
from typing import Literal

from sweeps.execution.driver import Driver
from sweeps.execution.messages import Leg, Message, RangeLeg
from sweeps.search.history import Trial, TrialKey
from sweeps.search.pruning import is_full, is_undecided
from sweeps.search.ranges import RangeKey, due
from sweeps.spec import SweepSpec


class InOrder:
    """A source of legs that puts events in order before it passes them to its driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._workers = driver.spec.at_a_time or 1
        self._early: dict[TrialKey, deque[Message]] = {}  # messages that wait for their turn, by trial
        self._agenda: TrialKey | RangeKey | Literal["wait", "finished"] = "wait"

    @property
    def spec(self) -> SweepSpec:
        return self._driver.spec

    @property
    def live(self) -> set[TrialKey | RangeKey]:
        return self._driver.live

    def overdue(self) -> dict[TrialKey | RangeKey, str]:
        return self._driver.overdue()

    def began(self, key: TrialKey | RangeKey) -> None:
        self._driver.began(key)

    def stop(self) -> None:
        self._driver.stop()

    def can_save(self) -> bool:
        return self._driver.can_save()

    def next_leg(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """Return what a free slot does now: the trial that is due first of those that no worker holds."""
        driver = self._driver
        if driver.is_stopping or due(driver.spec, driver.history):
            return driver.next_leg()  # range tests come before all trials, and none depends on another
        self._advance()
        held = driver.live | driver.resting
        idle = [trial for trial in driver.history.running if trial.key not in held and not self._waiting(trial)]
        if not idle:
            return "finished" if self._agenda == "finished" and not driver.history.running else "wait"
        return driver.hand_out(min(idle, key=lambda trial: trial.turn).key)

    def receive(self, key: TrialKey | RangeKey, message: Message) -> bool:
        """Keep a worker's message for its turn; return True if its leg continues, or False if it is over."""
        driver = self._driver
        if isinstance(key, RangeKey):
            return driver.receive(key, message)
        driver.heard(key)
        trial = driver.history.trials[key]
        is_repeated = message.measurement is not None and message.measurement.report <= len(trial.measurements)
        if is_repeated or message.kind in ("unsaved", "stopped"):
            driver.take(key, message)  # at once: it was recorded before, or ends the session
        else:
            self._early.setdefault(key, deque()).append(message)
        self._advance()
        waits_for_a_decision = self._waiting(trial) and self._can_be_decided(trial)
        goes_on = message.kind == "measured" and trial.state == "running" and not waits_for_a_decision
        if not goes_on:
            driver.let_go(key)
        return goes_on

    def lost(self, key: TrialKey | RangeKey, reason: str, *, was_preempted: bool = False) -> None:
        """Note that a live trial's worker died; recorded reports stay, and those that waited are made again."""
        if isinstance(key, TrialKey):
            self._early.pop(key, None)
        self._driver.lost(key, reason, was_preempted=was_preempted)

    def _waiting(self, trial: Trial) -> deque[Message] | None:
        return self._early.get(trial.key) or None

    def _can_be_decided(self, trial: Trial) -> bool:
        """Return whether waiting reports of a trial may halt or end it, so its worker must not continue to train."""
        spec, waiting = self._driver.spec, self._waiting(trial) or ()
        reports = [message.measurement for message in waiting if message.measurement is not None]
        return any(is_full(spec, report) or is_undecided(spec, trial, report) for report in reports)

    def _advance(self) -> None:
        """Fill the imagined workers and take waiting messages, as long as the report that is due first is there."""
        driver = self._driver
        while True:
            while len(driver.history.running) < self._workers:
                self._agenda = driver.next_key({trial.key for trial in driver.history.running})
                if isinstance(self._agenda, str):
                    break
            first = driver.history.due_first
            if first is None or not self._waiting(first):
                return
            driver.take(first.key, self._early[first.key].popleft())
            if first.state != "running":
                self._early.pop(first.key)
