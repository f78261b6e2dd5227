"""What the driver tells a worker (a leg) and what the worker answers (messages), and who gives and takes them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from search_spaces.texts import as_text
from study.measurement import Measurement
from sweeps.clock import machine
from sweeps.search.budgets import TRIAL_TIME, Limit
from sweeps.search.history import Row, Stamp, TrialKey
from sweeps.search.ranges import RangeKey
from sweeps.spec import SweepSpec
from sweeps.store.objects import PATIENCE, ObjectStore

Observer = Callable[[Stamp, Row], None]


def ignore(_stamp: Stamp, _row: Row) -> None:
    """An observer that looks away."""


@dataclass(frozen=True)
class Leg:
    """One uninterrupted stretch of a trial in a worker: from its start, or from its checkpoint, to its next halt."""

    sweep: str
    key: TrialKey
    params: Mapping[str, Any]
    seed: int
    known: int  # reports that the ledger has; the worker goes on behind them or repeats them
    checkpoint: Path  # which no other worker writes
    log: Path
    plan: Mapping[str, Any] | None = None  # the recorded horizon of a wall-clock trial that goes on
    handed_out: float = 0.0  # when, s of the monotonic clock of
    machine: str = ""  # the driver's
    limit: Limit | None = None  # a budget: when nothing is left of it the worker saves and reports `cut`
    store: ObjectStore | None = None  # where checkpoint and log are sent; then the paths are those of a copy
    earlier: tuple[Path, ...] = ()  # checkpoints of workers that were given up, the last first

    def clock(self) -> Callable[[], bool]:
        """Starts the leg's time in this process; gives what says whether its budget is used up.

        What has passed since it was handed out counts, such as a worker's start, where driver and worker share a clock;
        but not to a trial's own time.
        """
        if self.limit is None:
            return lambda: False
        counts = self.limit.name != TRIAL_TIME and self.machine == machine()
        waited = time.monotonic() - self.handed_out if counts else 0.0
        end = time.monotonic() + self.limit.left - waited
        return lambda: time.monotonic() >= end

    @property
    def title(self) -> str:
        """Sweep, trial and main parameters, as people see them in the Ray dashboard."""
        main = [f"{name}={as_text(value)}" for name, value in self.params.items()]
        return f"{self.sweep} #{self.key.label} {' '.join(main[:3])}".strip()

    def __repr__(self) -> str:
        return self.title


@dataclass(frozen=True)
class RangeLeg:
    """A range test in a worker: seconds, in one stretch."""

    sweep: str
    key: RangeKey
    log: Path
    store: ObjectStore | None = None
    known: ClassVar[int] = 0  # it never goes on from anything

    @property
    def title(self) -> str:
        """Sweep and test, as people see them in the Ray dashboard."""
        return f"{self.sweep} {self.key.label}"

    def __repr__(self) -> str:
        return self.title


@dataclass(frozen=True)
class Message:
    """A worker's word on its leg.

    measured: one measurement (with the environment that made it); ended: the trial is at its end; cut: the budget is
    used up and the state is saved; stopped: the sweep is stopping and the state is saved; failed: the trial raised;
    ranged: what a range test found; unsaved: a file of the sweep could not be written, so that no trial can go on on
    this node.
    """

    kind: Literal["measured", "ended", "cut", "stopped", "failed", "ranged", "unsaved"]
    measurement: Measurement | None = None
    environment: Mapping[str, str] | None = None
    plan: Mapping[str, Any] | None = None
    reason: str = ""
    detail: str = ""  # the traceback of a failure
    range: Mapping[str, Any] | None = None  # the fields of an LrRange
    costs: Mapping[str, float] | None = None  # of the model of an ended run on a fresh seed
    notes: tuple[str, ...] = ()  # what a person should know, such as a checkpoint that could not be used
    node: str = ""  # Ray's name of the worker's
    ends_worker: bool = False  # its process can't train another trial, such as after an error of its device
    spent: Mapping[str, float] = field(default_factory=dict)  # by its worker since the last word, on what, s


_Leg = TypeVar("_Leg", bound=Leg | RangeLeg)


def in_copy(leg: _Leg, store: ObjectStore, copy: Path) -> _Leg:
    """A leg of a sweep in an object store with its files in another copy of that."""
    there = replace(leg, store=replace(store, copy=copy, patience=PATIENCE), log=copy / leg.log.relative_to(store.copy))
    if isinstance(there, RangeLeg):
        return there
    checkpoint, *earlier = (copy / path.relative_to(store.copy) for path in (there.checkpoint, *there.earlier))
    return replace(there, checkpoint=checkpoint, earlier=tuple(earlier))


class LegSource(Protocol):
    """What gives legs to workers and takes their messages: a Driver, or one that keeps an order."""

    @property
    def spec(self) -> SweepSpec:
        """Whose legs they are."""

    @property
    def live(self) -> set[TrialKey | RangeKey]:
        """What workers hold."""

    def next_leg(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """What a free slot does now."""
        ...

    def stop(self) -> None:
        """Hand out no leg any more."""

    def can_save(self) -> bool:
        """Whether the driver's own machine can write to the sweep's folder."""
        ...

    def receive(self, key: TrialKey | RangeKey, message: Message) -> bool:
        """Take a worker's message; True if its leg goes on, False if it is over."""
        ...

    def began(self, key: TrialKey | RangeKey) -> None:
        """The worker of something live has started."""

    def lost(self, key: TrialKey | RangeKey, reason: str, *, was_preempted: bool = False) -> None:
        """The worker of something live died; with its node, where that was taken away for others."""

    def overdue(self) -> dict[TrialKey | RangeKey, str]:
        """What is live and whose workers are to be killed now, and why."""
        ...
