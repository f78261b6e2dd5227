"""The pruners that are compared, driven as objects: ours through its Driver, the others through their own APIs."""

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, Literal

from memory_ledger import InMemoryLedger

from study.measurement import Measurement
from sweeps.execution.driver import Driver
from sweeps.execution.messages import Leg, Message
from sweeps.execution.ordering import InOrder
from sweeps.search.history import TrialKey
from sweeps.spec import FIRST_RUNG, load_spec
from sweeps.store.folders import SweepFolder

EPOCHS = 9
# One per epoch; the same, and one after a third of the first epoch; three per epoch.
Reports = Literal["epoch", "early", "thirds"]


class Ours:
    """This project's pruning by name; the sampler is asked, but its answer is not used."""

    def __init__(self, trials: int, order: int, spec: Mapping[str, Any] = MappingProxyType({}), **pruning: Any) -> None:
        table = {
            "name": "pruning",
            "seed": order,
            "trials": trials,
            "target": "table:look_up",
            "metric": "value",
            "direction": "maximize",
            "space": {"x": {"float": [0.0, 1.0]}},
            "sampler": {"name": "random"},
            "pruning": {"min_fidelity": FIRST_RUNG, "max_fidelity": EPOCHS, **pruning},
        }
        self._ledger = InMemoryLedger()
        folder = SweepFolder(Path(tempfile.gettempdir()), "pruning")
        driver = Driver(load_spec(table | spec), folder, self._ledger)  # type: ignore[arg-type]
        self._driver = InOrder(driver) if driver.spec.deterministic else driver
        self._made: Counter[int] = Counter()

    def next(self, now: float) -> int | None:
        self._ledger.now = now
        leg = self._driver.next_leg()
        # Runs on fresh seeds, which follow the search, are not part of the comparison.
        return leg.key.number if isinstance(leg, Leg) and not leg.key.replicate else None

    def report(self, now: float, number: int, fidelity: float, value: float) -> bool:
        self._ledger.now = now
        self._made[number] += 1
        report = self._made[number]
        measurement = Measurement(report, report, fidelity, 0.0, {"value": value})
        return self._driver.receive(TrialKey(number), Message("measured", measurement))

    def end(self, now: float, number: int) -> None:
        self._ledger.now = now
        self._driver.receive(TrialKey(number), Message("ended"))


class _InTurn:
    """New trials one after another, as a pruner that only stops trials fills a free worker."""

    def __init__(self, trials: int) -> None:
        self._trials = iter(range(trials))

    def next(self, now: float) -> int | None:
        return next(self._trials, None)


class RayAsha(_InTurn):
    """Ray Tune's ASHAScheduler, called as Tune's controller calls it; it counts reports."""

    def __init__(self, trials: int, order: int, *, reports: int = EPOCHS, **settings: Any) -> None:
        super().__init__(trials)
        from ray.tune.schedulers import ASHAScheduler

        self._scheduler = ASHAScheduler(metric="value", mode="max", max_t=reports, **settings)
        self._known: dict[int, Any] = {}
        self._made: Counter[int] = Counter()

    def report(self, now: float, number: int, fidelity: float, value: float) -> bool:
        if number not in self._known:
            self._known[number] = SimpleNamespace(trial_id=str(number), status="RUNNING", local_experiment_path="")
            self._scheduler.on_trial_add(None, self._known[number])
        self._made[number] += 1
        result = {"training_iteration": self._made[number], "value": value}
        return bool(self._scheduler.on_trial_result(None, self._known[number], result) == "CONTINUE")

    def end(self, now: float, number: int) -> None:
        result = {"training_iteration": self._made[number], "value": 0.0}
        self._scheduler.on_trial_complete(None, self._known[number], result)


class OptunaPruner(_InTurn):
    """A pruner of Optuna, driven by ask, report and tell; its steps are reports."""

    def __init__(self, trials: int, order: int, *, pruner: str, **settings: Any) -> None:
        super().__init__(trials)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made = getattr(optuna.pruners, pruner)(**settings)
        sampler = optuna.samplers.RandomSampler(seed=order)
        self._study = optuna.create_study(direction="maximize", pruner=made, sampler=sampler)
        self._known: dict[int, Any] = {}
        self._made: Counter[int] = Counter()
        self._last: dict[int, float] = {}

    def report(self, now: float, number: int, fidelity: float, value: float) -> bool:
        from optuna.trial import TrialState

        if number not in self._known:
            self._known[number] = self._study.ask()
        trial = self._known[number]
        self._made[number] += 1
        trial.report(value, self._made[number])
        self._last[number] = value
        if trial.should_prune():
            self._study.tell(trial, state=TrialState.PRUNED)
            return False
        return True

    def end(self, now: float, number: int) -> None:
        from optuna.trial import TrialState

        value = self._last[number]
        if math.isnan(value):
            self._study.tell(self._known[number], state=TrialState.FAIL)
        else:
            self._study.tell(self._known[number], value)


@dataclass(frozen=True)
class Arm:
    """A pruner, and the subset of the recorded reports that it receives."""

    make: Callable[..., Any]
    reports: Reports = "epoch"


REFERENCE = "ours, as it comes"
_THIRDS = partial(RayAsha, reports=3 * EPOCHS)
ARMS = {
    REFERENCE: Arm(Ours, "early"),
    "ours: stop": Arm(partial(Ours, variant="stop"), "early"),
    "ours: factor 3": Arm(partial(Ours, reduction_factor=3), "early"),
    "ours: three reports an epoch": Arm(Ours, "thirds"),
    "ours: first rung at one epoch": Arm(partial(Ours, min_fidelity=1.0)),
    "ours: hyperband": Arm(partial(Ours, name="hyperband"), "early"),
    "ours: median, stop": Arm(partial(Ours, name="median", variant="stop"), "early"),
    "no pruning": Arm(partial(Ours, name="none")),
    "Ray ASHAScheduler": Arm(RayAsha),
    "Ray ASHAScheduler, three reports an epoch": Arm(_THIRDS, "thirds"),
    "Optuna MedianPruner": Arm(partial(OptunaPruner, pruner="MedianPruner")),
    "Optuna MedianPruner, three reports an epoch": Arm(partial(OptunaPruner, pruner="MedianPruner"), "thirds"),
    "Optuna SuccessiveHalvingPruner": Arm(partial(OptunaPruner, pruner="SuccessiveHalvingPruner")),
    "Optuna HyperbandPruner": Arm(partial(OptunaPruner, pruner="HyperbandPruner")),
}
