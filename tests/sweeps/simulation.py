"""A small sweep, and its workers simulated without Ray."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps.execution.conclusion import conclude
from sweeps.execution.driver import Driver
from sweeps.execution.functions import Function, resolve
from sweeps.execution.legs import run_leg
from sweeps.execution.messages import Leg, LegSource
from sweeps.execution.targets import FunctionRun
from sweeps.search.history import LOST, Asked, Decided, Measured, Moved, Row, Stamp
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger

TABLE = {
    "name": "bowl",
    "trials": 12,
    "metric": "loss",
    "direction": "minimize",
    "target": "functions:bowl_with_checkpoint",
    "space": {
        "x": {"float": [0.0, 1.0]},
        "kind": {"choice": ["a", "b"]},
        "y": {"int": [1, 4], "when": {"kind": ["b"]}},
    },
    "pruning": {"max_fidelity": 9},
}

# The file of a sweep with real processes, whose trials take about a second each.
SLOW_SWEEP = """
trials = 8
metric = "loss"
direction = "minimize"
target = "functions:slow"

[space]
x = { float = [0.0, 1.0] }

[pruning]
max_fidelity = 9

[selection]
candidates = 1
seeds = 1
published_seeds = 1
"""


def small_spec(**changes: Any) -> SweepSpec:
    """Return the spec of a sweep over a function that ends in milliseconds."""
    return load_spec({**TABLE, **changes})


class Simulation:
    """Workers without Ray: legs run in this process, and a seeded generator decides which worker reports next.

    At most `losses` times, a worker dies instead of reporting.
    """

    def __init__(
        self, driver: LegSource, slots: int = 3, seed: int = 0, losses: int = 0, function: Function | None = None
    ) -> None:
        self.driver = driver
        self.slots = slots
        self.rng = random.Random(seed)
        self.losses = losses
        self.function = function or resolve(driver.spec.target or "")
        self.is_stopping: Callable[[], bool] = lambda: False  # whether the workers see a request to stop

    def _begin(self, leg: Leg, checkpoint: Path | None) -> FunctionRun:
        return FunctionRun(self.function, leg.params, leg.seed, checkpoint)

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Run the workers until the sweep is over, or until `stop` returns true between two messages."""
        workers = {}
        while not stop():
            while len(workers) < self.slots:
                leg = self.driver.next_leg()
                if not isinstance(leg, Leg):
                    break
                workers[leg.key] = run_leg(leg, self._begin, self.is_stopping)
            if not workers:
                return
            key = self.rng.choice(sorted(workers))
            if self.losses and self.rng.random() < 0.05:
                self.losses -= 1
                del workers[key]
                self.driver.lost(key, "died")
            elif not self.driver.receive(key, next(workers[key])):
                del workers[key]


def open_driver(
    folder: SweepFolder, spec: SweepSpec, clock: Callable[[], float] | None = None, **options: Any
) -> Driver:
    """Return a driver on the folder's ledger, or on a new one if there is none; `clock` is the session's clock."""
    folder.create()
    ledger = Ledger.open(folder.ledger) if folder.ledger.exists() else Ledger.create(folder.ledger, spec)
    ledger.clock = clock or ledger.clock
    return Driver(spec, folder, ledger, **options)


def swept(
    results: Path, name: str, *, trials_begun: int | None = None, spec: SweepSpec | None = None, **changes: Any
) -> SweepFolder:
    """Return the folder of a sweep that ended, with tables, or that stopped once `trials_begun` trials had begun."""
    folder = SweepFolder(results, name)
    driver = open_driver(folder, spec or small_spec(name=name, **changes))
    driver.start({})
    if trials_begun is None:
        Simulation(driver).run()
        conclude(driver, None, None)
    else:
        Simulation(driver).run(stop=lambda: len(driver.history.search) == trials_begun)
    return folder


def rows_of(folder: SweepFolder) -> list[tuple[Stamp, Row]]:
    ledger = Ledger.open(folder.ledger, read_only=True)
    try:
        return ledger.rows()
    finally:
        ledger.close()


def told(folder: SweepFolder) -> list[Row]:
    """Return what happened to trials, in order, without times, places in the ledger, and lost workers."""

    def timeless(row: Row) -> Row:
        match row:
            case Asked() | Decided():
                return replace(row, seen=0)
            case Measured():
                return replace(row, measurement=replace(row.measurement, seconds=0.0))
        return row

    rows = [row for _, row in rows_of(folder) if not (isinstance(row, Moved) and row.reason == LOST)]
    return [timeless(row) for row in rows if isinstance(row, Asked | Decided | Measured | Moved)]
