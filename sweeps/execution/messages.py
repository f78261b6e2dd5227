"""What passes between driver and workers: legs one way, messages the other, and the protocol of the driver's side."""

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
    """Ignore a row, as an observer that does nothing."""


@dataclass(frozen=True)
class Leg:
    """One uninterrupted stretch of a trial in a worker, from its start or from its checkpoint to its next halt."""

    sweep: str
    key: TrialKey
    params: Mapping[str, Any]
    seed: int
    known: int  # reports that the ledger has; the worker continues after them or repeats them
    checkpoint: Path  # no other worker writes this file
    log: Path
    plan: Mapping[str, Any] | None = None  # the recorded horizon of a wall-clock trial that continues
    handed_out: float = 0.0  # when the leg was handed out, s of the monotonic clock of `machine`
    machine: str = ""  # the driver's machine
    limit: Limit | None = None  # a budget: once nothing is left of it, the worker saves and reports `cut`
    store: ObjectStore | None = None  # where checkpoint and log are sent; the paths are then those of a local copy
    earlier: tuple[Path, ...] = ()  # checkpoints of workers that were given up, the last one first

    def clock(self) -> Callable[[], bool]:
        """Start the leg's time in this process, and return a function that checks whether its budget is used up.

        If driver and worker share a clock, the time since the leg was handed out counts too, such as a worker's start.
        It does not count toward a trial's own time.
        """
        if self.limit is None:
            return lambda: False
        counts = self.limit.name != TRIAL_TIME and self.machine == machine()
        waited = time.monotonic() - self.handed_out if counts else 0.0
        end = time.monotonic() + self.limit.left - waited
        return lambda: time.monotonic() >= end

    @property
    def title(self) -> str:
        """Return the sweep, the trial and its first three parameters, as the Ray dashboard shows them."""
        main = [f"{name}={as_text(value)}" for name, value in self.params.items()]
        return f"{self.sweep} #{self.key.label} {' '.join(main[:3])}".strip()

    def __repr__(self) -> str:
        return self.title


@dataclass(frozen=True)
class RangeLeg:
    """A range test in a worker: one stretch of some seconds."""

    sweep: str
    key: RangeKey
    log: Path
    store: ObjectStore | None = None
    known: ClassVar[int] = 0  # a range test never continues from anything

    @property
    def title(self) -> str:
        """Return the sweep and the test, as the Ray dashboard shows them."""
        return f"{self.sweep} {self.key.label}"

    def __repr__(self) -> str:
        return self.title


@dataclass(frozen=True)
class Message:
    """A worker's message about its leg.

    The kinds are:

    - measured: One measurement, with the environment that made it.
    - ended: The trial has reached its end.
    - cut: The budget is used up and the state is saved.
    - stopped: The sweep is stopping and the state is saved.
    - failed: The trial or range test raised.
    - ranged: The findings of a range test.
    - unsaved: A file of the sweep could not be written or fetched, so no trial can continue on this node.
    """

    kind: Literal["measured", "ended", "cut", "stopped", "failed", "ranged", "unsaved"]
    measurement: Measurement | None = None
    environment: Mapping[str, str] | None = None
    plan: Mapping[str, Any] | None = None
    reason: str = ""
    detail: str = ""  # the traceback of a failure
    range: Mapping[str, Any] | None = None  # the fields of an LrRange
    costs: Mapping[str, float] | None = None  # costs of the model, after a run on a fresh seed
    notes: tuple[str, ...] = ()  # warnings for the user, such as of a checkpoint that could not be used
    node: str = ""  # Ray's id of the worker's node
    ends_worker: bool = False  # the worker's process can't train another trial, such as after a device error
    spent: Mapping[str, float] = field(default_factory=dict)  # s by part, of the worker since its last message


_Leg = TypeVar("_Leg", bound=Leg | RangeLeg)


def in_copy(leg: _Leg, store: ObjectStore, copy: Path) -> _Leg:
    """Return a leg of a sweep in an object store with its files in another copy of the store.

    Args:
        leg: The leg, whose files are in the driver's copy.
        store: The object store of the sweep.
        copy: The folder of the worker's copy.
    """
    there = replace(leg, store=replace(store, copy=copy, patience=PATIENCE), log=copy / leg.log.relative_to(store.copy))
    if isinstance(there, RangeLeg):
        return there
    checkpoint, *earlier = (copy / path.relative_to(store.copy) for path in (there.checkpoint, *there.earlier))
    return replace(there, checkpoint=checkpoint, earlier=tuple(earlier))


class LegSource(Protocol):
    """A source of legs for workers, which takes their messages: a Driver, or one that keeps an order."""

    @property
    def spec(self) -> SweepSpec:
        """Return the spec of the sweep whose legs these are."""

    @property
    def live(self) -> set[TrialKey | RangeKey]:
        """Return the trials and range tests that workers hold."""

    def next_leg(self) -> Leg | RangeLeg | Literal["wait", "finished"]:
        """Return what a free slot does now."""
        ...

    def stop(self) -> None:
        """Hand out no further leg."""

    def can_save(self) -> bool:
        """Return whether the driver's own machine can write to the sweep's folder."""
        ...

    def receive(self, key: TrialKey | RangeKey, message: Message) -> bool:
        """Take a worker's message; return True if its leg continues, or False if it is over."""
        ...

    def began(self, key: TrialKey | RangeKey) -> None:
        """Note that the worker of a live trial or range test has started."""

    def lost(self, key: TrialKey | RangeKey, reason: str, *, was_preempted: bool = False) -> None:
        """Note that a live trial's or test's worker died; `was_preempted` if its node was taken away for others."""

    def overdue(self) -> dict[TrialKey | RangeKey, str]:
        """Return the live trials and range tests whose workers must be killed now, and why."""
        ...
