"""A sweep on a machine of any speed, simulated second by second without workers, files or a real clock."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.measurement import Measurement
from sweeps.execution.driver import Driver
from sweeps.execution.messages import Leg, Message
from sweeps.search.history import History, Noted, Row, Stamp, TrialKey
from sweeps.search.outcome import outcome
from sweeps.search.selection import candidates, select
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder

REPORTS = 9


@dataclass
class Machine:
    """The speed of a machine, with times in s.

    Attributes:
        busier: Factor by which runs on fresh seeds are slower.
        uneven: Largest factor by which a configuration is slower or faster than the mean.
    """

    report: float
    start: float = 0.0
    slots: int = 2
    busier: float = 1.0
    uneven: float = 1.0
    seed: int = 0

    def seconds(self, key: TrialKey, draw: random.Random) -> float:
        own = self.uneven ** random.Random(f"{self.seed} {key.number}").uniform(-1, 1)
        return self.report * own * (self.busier if key.replicate else 1.0) * draw.uniform(0.8, 1.2)


@dataclass
class MemoryLedger:
    """A ledger in memory, whose rows are stamped by a clock that tests move."""

    clock: Callable[[], float]
    rows: list[tuple[Stamp, Row]] = field(default_factory=list)

    def append(self, row: Row) -> Stamp:
        self.rows.append((Stamp(len(self.rows) + 1, self.clock()), row))
        return self.rows[-1][0]

    def outages(self) -> tuple[str, ...]:
        return ()


@dataclass
class Timed:
    """A simulated sweep, from its start to its outcome."""

    spec: SweepSpec
    machine: Machine
    now: float = 1e9

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(lambda: self.now)
        folder: Any = SweepFolder(Path("/nowhere"), self.spec.name)
        self.driver = Driver(self.spec, folder, self.ledger, history=History())  # type: ignore[arg-type]
        self.driver.drop_checkpoint = lambda key: None  # type: ignore[method-assign]
        self.draw = random.Random(self.machine.seed)
        self.due: dict[
            TrialKey, tuple[float, Leg, float]
        ] = {}  # time of the next report, its leg, and when that was handed out

    @property
    def history(self) -> History:
        return self.driver.history

    def run(self) -> dict[str, Any]:
        """Drive the sweep until nothing is left to do; record the outcome, and return it."""
        self.driver.start({"slots": self.machine.slots})
        for _ in range(100_000):
            self._fill()
            if not self.due and self.driver.next_leg() == "finished":
                break
            self.now += min(0.25, self.machine.report / 4)
            self._report()
            for key in self.driver.overdue():
                del self.due[key]  # type: ignore[arg-type]
                self.driver.lost(key, "killed")
        chosen = select(self.spec, self.history, candidates(self.spec, self.history))
        body = outcome(self.spec, self.history, chosen)
        self.driver.record(Noted("outcome", body))
        return body

    def _fill(self) -> None:
        while len(self.due) < self.machine.slots:
            leg = self.driver.next_leg()
            if not isinstance(leg, Leg):
                return
            self.due[leg.key] = (self.now + self.machine.start + self._seconds(leg.key), leg, self.now)

    def _seconds(self, key: TrialKey) -> float:
        return self.machine.seconds(key, self.draw)

    def _report(self) -> None:
        for key, (at, leg, handed) in sorted(self.due.items(), key=lambda item: item[1][0]):
            if at > self.now or key not in self.due:
                continue
            report = len(self.history.trials[key].measurements) + 1
            loss = random.Random(f"{key.number}").random() + 1 / report + 0.05 * random.Random(f"{key}").random()
            values = {"loss": loss}
            goes_on = self.driver.receive(
                key, Message("measured", Measurement(report, report, float(report), 1.0, values), {})
            )
            if goes_on and leg.limit and self.now >= handed + leg.limit.left:
                goes_on = self.driver.receive(key, Message("cut", reason=leg.limit.name))
            if goes_on:
                self.due[key] = (self.now + self._seconds(key), leg, handed)
            else:
                del self.due[key]
