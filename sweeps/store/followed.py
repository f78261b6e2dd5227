"""A live view of a sweep through Optuna: its own trials, reread from the ledger as it grows."""

import math
import time
from collections.abc import Container
from threading import Lock
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search_spaces import Float, FloatBy, Parameter
from sweeps.search.extension import as_extended
from sweeps.search.history import History, Trial
from sweeps.search.optuna_view import OptunaView
from sweeps.search.ranges import with_measured_space
from sweeps.spec import SweepSpec
from sweeps.store.ledger import Ledger

_METRIC_NAMES = "study:metric_names"  # the attribute that keeps Optuna's `Study.metric_names`
PATIENCE = 1.0  # s between two reads of the ledger


class Followed(OptunaView):
    """A read-only Optuna storage, safe for threads, that is at most PATIENCE seconds behind its ledger.

    It differs from a sampler's view, since users compare it with the ledger:

    - A trial has its own number, since no trials of earlier sweeps precede it.
    - A rate whose range depends on the optimizer has its own value.
    - A pruned trial has its last value, as in Optuna's own storages.
    - A trial that waits at a rung, or was cut, is running as long as the sweep is. A page ignores any news of a trial
      that has ended.

    Attributes:
        history: The rows that have been read.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._given, self.history = ledger, ledger.spec(), History()
        self._lock, self._looked = Lock(), -math.inf
        self._look()

    def get_trial(self, trial_id: int) -> FrozenTrial:
        self._look()
        return super().get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        self._look()
        return super().get_all_trials(study_id, deepcopy, states)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {_METRIC_NAMES: [self._spec.metric]}

    def _look(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._looked < PATIENCE:
                return
            is_first = self._looked == -math.inf
            if self._ledger.follow(self.history) or is_first:
                spec = with_measured_space(as_extended(self._given, self.history), self.history)
                self._show(with_plain_ranges(spec), self.history.search)
            self._looked = now

    def _value(self, trial: Trial, state: TrialState) -> float | None:
        return trial.value(self._spec.metric) if state in (TrialState.COMPLETE, TrialState.PRUNED) else None

    def _state(self, trial: Trial) -> TrialState:
        waits = trial.state in ("paused", "cut")
        return TrialState.RUNNING if waits and not self._is_over else super()._state(trial)

    @property
    def _is_over(self) -> bool:
        """Return whether no session has begun since the last outcome."""
        kinds = [row.kind for _, row in self.history.notes if row.kind in ("session", "outcome")]
        return kinds[-1:] == ["outcome"]


def with_plain_ranges(spec: SweepSpec) -> SweepSpec:
    """Return the spec with each range that depends on a choice replaced by one spanning those of all choices."""
    space = spec.space
    for name, parameter in space.parameters.items():
        if isinstance(parameter, FloatBy):
            space = space.replaced(name, _span(parameter))
    return spec.model_copy(update={"space": space})


def _span(parameter: FloatBy) -> Parameter:
    ranges = parameter.ranges.values()
    low, high = min(one.low for one in ranges), max(one.high for one in ranges)
    return Float(low, high, log=all(one.log for one in ranges), when=parameter.when)
