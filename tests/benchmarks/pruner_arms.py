"""The pruners that are compared, driven as objects: ours through its Driver, the others through their own doors."""

import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from memory_ledger import InMemoryLedger

from study.measurement import Measurement
from sweeps.execution.driver import Driver
from sweeps.execution.messages import Leg, Message
from sweeps.search.history import TrialKey
from sweeps.spec import load_spec
from sweeps.store.folders import SweepFolder

EPOCHS = 9


class Ours:
    """This project's pruning by name; the sampler is asked and its answer not looked at."""

    def __init__(self, trials: int, order: int, **pruning: Any) -> None:
        table = {
            "name": "pruning",
            "seed": order,
            "trials": trials,
            "target": "table:look_up",
            "metric": "value",
            "space": {"x": {"float": [0.0, 1.0]}},
            "sampler": {"name": "random"},
            "pruning": {"max_fidelity": EPOCHS, **pruning},
        }
        self._ledger = InMemoryLedger()
        folder = SweepFolder(Path(tempfile.gettempdir()), "pruning")
        self._driver = Driver(load_spec(table), folder, self._ledger, clock=lambda: self._ledger.now)  # type: ignore[arg-type]

    def next(self, now: float) -> int | None:
        self._ledger.now = now
        leg = self._driver.next_leg()
        # What follows the search, on fresh seeds, is no part of the comparison.
        return leg.key.number if isinstance(leg, Leg) and not leg.key.replicate else None

    def report(self, now: float, number: int, fidelity: float, value: float) -> bool:
        self._ledger.now = now
        key = TrialKey(number)
        report = len(self._driver.history.trials[key].measurements) + 1
        return self._driver.receive(
            key, Message("measured", Measurement(report, report, fidelity, 0.0, {"value": value}))
        )

    def end(self, now: float, number: int) -> None:
        self._ledger.now = now
        self._driver.receive(TrialKey(number), Message("ended"))


class _InTurn:
    """New trials one after another: what a pruner that only stops does with a free worker."""

    def __init__(self, trials: int) -> None:
        self._trials = iter(range(trials))

    def next(self, now: float) -> int | None:
        return next(self._trials, None)


class RayAsha(_InTurn):
    """Ray Tune's ASHAScheduler, called as Tune's controller calls it."""

    def __init__(self, trials: int, order: int, **settings: Any) -> None:
        super().__init__(trials)
        from ray.tune.schedulers import ASHAScheduler

        self._scheduler = ASHAScheduler(time_attr="epochs", metric="value", mode="max", max_t=EPOCHS, **settings)
        self._known: dict[int, Any] = {}

    def _result(self, number: int, fidelity: float, value: float) -> tuple[Any, dict[str, float]]:
        if number not in self._known:
            self._known[number] = SimpleNamespace(trial_id=str(number), status="RUNNING", local_experiment_path="")
            self._scheduler.on_trial_add(None, self._known[number])
        return self._known[number], {"epochs": fidelity, "value": value}

    def report(self, now: float, number: int, fidelity: float, value: float) -> bool:
        return bool(self._scheduler.on_trial_result(None, *self._result(number, fidelity, value)) == "CONTINUE")

    def end(self, now: float, number: int) -> None:
        self._scheduler.on_trial_complete(None, self._known[number], {"epochs": EPOCHS, "value": 0.0})


class OptunaPruner(_InTurn):
    """A pruner of Optuna's by ask, report and tell; steps are its whole numbers of reports."""

    def __init__(self, trials: int, order: int, *, pruner: str, steps_per_epoch: int = 1, **settings: Any) -> None:
        super().__init__(trials)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made = getattr(optuna.pruners, pruner)(**settings)
        sampler = optuna.samplers.RandomSampler(seed=order)
        self._study = optuna.create_study(direction="maximize", pruner=made, sampler=sampler)
        self._steps_per_epoch = steps_per_epoch
        self._known: dict[int, Any] = {}
        self._last: dict[int, float] = {}

    def report(self, now: float, number: int, fidelity: float, value: float) -> bool:
        if number not in self._known:
            self._known[number] = self._study.ask()
        trial = self._known[number]
        trial.report(value, round(fidelity * self._steps_per_epoch))
        self._last[number] = value
        if trial.should_prune():
            from optuna.trial import TrialState

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


REFERENCE = "ours: asha promote, factor 4, as it comes"
ARMS: dict[str, Callable[..., Any]] = {
    REFERENCE: Ours,
    "ours: asha promote, factor 2": partial(Ours, reduction_factor=2),
    "ours: asha promote, factor 3": partial(Ours, reduction_factor=3),
    "ours: asha stop": partial(Ours, variant="stop"),
    "ours: hyperband promote": partial(Ours, name="hyperband"),
    "ours: median stop": partial(Ours, name="median", variant="stop"),
    "no pruning": partial(Ours, name="none"),
    "Ray ASHAScheduler, factor 4, as it comes": RayAsha,
    "Ray ASHAScheduler, factor 3": partial(RayAsha, reduction_factor=3),
    "Optuna MedianPruner, as it comes": partial(OptunaPruner, pruner="MedianPruner"),
    "Optuna SuccessiveHalvingPruner, factor 4, as it comes": partial(OptunaPruner, pruner="SuccessiveHalvingPruner"),
    "Optuna HyperbandPruner, as it comes": partial(OptunaPruner, pruner="HyperbandPruner"),
}
