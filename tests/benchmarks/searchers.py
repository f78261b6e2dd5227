"""The searchers in the races, driven as objects: ours through its Driver, the others through their own interfaces.

All get the same space (ordered values as whole numbers, the others as choices). All also get the same first
configuration: the space's defaults, with which our sweeps begin.
"""

import itertools
import random
import tempfile
import warnings
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from event_clock import Params, Searcher
from memory_ledger import InMemoryLedger

from search_spaces import Choice, SearchSpace
from study.measurement import Measurement
from sweeps.execution.driver import Driver
from sweeps.execution.messages import Leg, Message
from sweeps.search import thinning
from sweeps.search.optuna_view import distribution
from sweeps.spec import load_spec
from sweeps.store.folders import SweepFolder

LOSS = "loss"
ENDLESS = 10**9  # trials, since the clock ends a race
STOP = "STOP"  # the answer of the schedulers of Ray Tune and of Syne Tune if a trial is to end


class Ours:
    """This project's search with default sampler and pruning, where one report is full fidelity."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        table = {"metric": LOSS, "direction": "minimize", "target": "table:look_up", "pruning": {"max_fidelity": 1}}
        spec = load_spec({"name": "search", "seed": seed, "trials": ENDLESS, "space": space, **table})
        self._ledger = InMemoryLedger()
        self._driver = Driver(spec, SweepFolder(Path(tempfile.gettempdir()), "search"), self._ledger)  # type: ignore[arg-type]

    def ask(self, now: float) -> tuple[Hashable, Params] | None:
        self._ledger.now = now
        leg = self._driver.next_leg()
        return (leg.key, leg.params) if isinstance(leg, Leg) else None

    def tell(self, now: float, identity: Any, loss: float, seconds: float) -> None:
        self._ledger.now = now
        measurement = Measurement(report=1, step=1, fidelity=1.0, seconds=seconds, values={LOSS: loss})
        self._driver.receive(identity, Message("measured", measurement))


class OursShown(Ours):
    """This project's search, whose sampler sees at most `shown` trials, or all if it is None.

    The trials that it sees are in the same proportions as those of the default limit.
    """

    def __init__(self, space: SearchSpace, seed: int, *, shown: int | None) -> None:
        super().__init__(space, seed)
        self._most = shown or ENDLESS
        self._share = self._most / thinning.MOST

    def ask(self, now: float) -> tuple[Hashable, Params] | None:
        parts = {name: int(getattr(thinning, name) * self._share) for name in ("_BEST", "_LATEST", "_SPACED")}
        with patch.multiple(thinning, MOST=self._most, **parts):
            return super().ask(now)


class Random:
    """Uniform random search."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        rng = random.Random(seed)
        self._questions = enumerate(itertools.chain([space.defaults()], iter(lambda: space.sample(rng), None)))

    def ask(self, now: float) -> tuple[Hashable, Params]:
        return next(self._questions)

    def tell(self, now: float, identity: Hashable, loss: float, seconds: float) -> None:
        """Ignore the result, since random search does not learn."""


class Optuna:
    """An Optuna sampler driven by ask and tell: TPE with its defaults, or with other settings."""

    def __init__(
        self, space: SearchSpace, seed: int, *, sampler: str = "TPESampler", start: bool = True, **settings: Any
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made = getattr(optuna.samplers, sampler)(seed=seed, **settings)
        self._study = optuna.create_study(sampler=made)
        self._distributions = {name: distribution(parameter) for name, parameter in space.parameters.items()}
        if start:
            self._study.enqueue_trial(space.defaults())

    def ask(self, now: float) -> tuple[Hashable, Params]:
        trial = self._study.ask(self._distributions)
        return trial.number, trial.params

    def tell(self, now: float, identity: Any, loss: float, seconds: float) -> None:
        self._study.tell(identity, loss)


class RayTune:
    """Ray Tune's OptunaSearch and ASHAScheduler, called as Tune's controller calls them."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        import optuna
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        distributions = {name: distribution(parameter) for name, parameter in space.parameters.items()}
        start = [space.defaults()]
        self._search = OptunaSearch(distributions, metric=LOSS, mode="min", points_to_evaluate=start, seed=seed)
        self._scheduler = ASHAScheduler(metric=LOSS, mode="min", max_t=1)
        self._identities = map(str, itertools.count())

    def ask(self, now: float) -> tuple[Hashable, Params]:
        identity = next(self._identities)
        params = self._search.suggest(identity)
        self._scheduler.on_trial_add(None, SimpleNamespace(trial_id=identity))
        return identity, params

    def tell(self, now: float, identity: Any, loss: float, seconds: float) -> None:
        trial = SimpleNamespace(trial_id=identity)
        result = {LOSS: loss, "training_iteration": 1, "time_total_s": seconds}
        if self._scheduler.on_trial_result(None, trial, result) != STOP:
            self._search.on_trial_result(identity, result)
        # A trial that returns after its report and one that is stopped at it end in the same way.
        self._scheduler.on_trial_complete(None, trial, result)
        self._search.on_trial_complete(identity, result)


class SyneTune:
    """A scheduler of Syne Tune, called as its Tuner calls it."""

    def __init__(self, space: SearchSpace, seed: int, *, scheduler: str, **settings: Any) -> None:
        import numpy as np
        from syne_tune import config_space
        from syne_tune.optimizer import baselines

        np.random.seed(seed)  # some of Syne Tune's searchers draw from the global generator
        domains = {
            name: config_space.choice(list(parameter.values))
            if isinstance(parameter, Choice)
            else config_space.randint(parameter.low, parameter.high)  # type: ignore[union-attr]
            for name, parameter in space.parameters.items()
        }
        self._scheduler = getattr(baselines, scheduler)(
            domains, metric=LOSS, random_seed=seed, points_to_evaluate=[space.defaults()], **settings
        )
        self._trials: list[Any] = []

    def ask(self, now: float) -> tuple[Hashable, Params] | None:
        from syne_tune.backend.trial_status import Trial

        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        trial = Trial(len(self._trials), suggestion.config, datetime.fromtimestamp(now, UTC))
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return trial.trial_id, trial.config

    def tell(self, now: float, identity: Any, loss: float, seconds: float) -> None:
        trial, result = self._trials[identity], {LOSS: loss, "epoch": 1}
        if self._scheduler.on_trial_result(trial, result) == STOP:
            self._scheduler.on_trial_remove(trial)
        else:
            self._scheduler.on_trial_complete(trial, result)


Make = Callable[[SearchSpace, int], Searcher]

PEERS: dict[str, Make] = {
    "ours": Ours,
    "Optuna TPE": Optuna,
    "random": Random,
    "Ray OptunaSearch + ASHA": RayTune,
    "Syne Tune ASHA": partial(SyneTune, scheduler="ASHA", time_attr="epoch", max_t=1),
    "Syne Tune CQR": partial(SyneTune, scheduler="CQR"),
}

# Optuna's TPE with one setting changed at a time. Its defaults are the settings that ours pins: multivariate, constant
# liar, 10 random trials first, 24 candidates. `group` changes nothing if no parameter is conditional.
SETTINGS: dict[str, Make] = {
    "ours": Ours,
    "the same settings": partial(Optuna, multivariate=True, group=True),
    "no first configuration": partial(Optuna, start=False),
    "each parameter alone": partial(Optuna, multivariate=False),
    "no constant liar": partial(Optuna, constant_liar=False),
    "5 random first": partial(Optuna, n_startup_trials=5),
    "20 random first": partial(Optuna, n_startup_trials=20),
    "96 candidates": partial(Optuna, n_ei_candidates=96),
}

# No thinning, and thinning with four and with eleven times as many trials as the sampler sees. 1,000 evaluations here
# correspond to 2,800 and to 8,000 trials in a sweep.
THINNING: dict[str, Make] = {
    "ours": partial(OursShown, shown=None),
    "250 shown": partial(OursShown, shown=250),
    "88 shown": partial(OursShown, shown=88),
}
