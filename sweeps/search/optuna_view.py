"""Optuna's view of a sweep's history: a storage over the ledger's rows that writes nothing to them.

    here                          in Optuna
    complete                      COMPLETE with its last value
    paused, cut, pruned at a rung PRUNED with its intermediate values (a paused leader shown as RUNNING would repel TPE)
    pruned because it diverged    PRUNED without a value, which TPE ranks last
    failed                        FAIL
    running                       RUNNING (TPE's constant liar counts it as a bad point)

If a parameter's range depends on another parameter, Optuna sees its share (0..1) of that range. Good values for one
optimizer then say something about the others. `is_by_share` names the other parameters seen by their share. Only the
trial that is being suggested for can be written to, and it exists in this object alone.

Source: optuna.storages.BaseStorage, Optuna's public storage interface.
"""

import warnings
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from sys import float_info
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Choice, Constant, Float, FloatBy, Int, Parameter, RangeTest
from sweeps.search.earlier import earlier_trials
from sweeps.search.history import History, Trial
from sweeps.search.ranges import with_measured_space
from sweeps.search.thinning import Order, merit
from sweeps.spec import SweepSpec

_STUDY_ID = 0
FIDELITY_UNIT = 1000  # Optuna's steps are whole numbers: a fidelity of 1 epoch is step 1000
_MOST_POINTS = 1_000_000  # of a range, since Optuna's GP enumerates them


def is_by_share(parameter: Parameter) -> bool:
    """Return whether Optuna sees a parameter by its share (0..1) of a range instead of by its value.

    This applies to a range that depends on another parameter, and to one with too many points for Optuna to enumerate.
    It also applies to integers that a float can't distinguish.
    """
    match parameter:
        case FloatBy():
            return True
        case Int():
            return parameter.count > _MOST_POINTS or max(abs(parameter.low), abs(parameter.high)) > 2**53
        case Float():
            return (parameter.count or 0) > _MOST_POINTS
    return False


def shown_name(name: str, parameter: Parameter) -> str:
    """Return the name under which Optuna knows a parameter."""
    return f"{name} (share of its range)" if is_by_share(parameter) else name


def optuna_end(parameter: Float) -> float:
    """Return the upper bound to pass to Optuna, which cuts it back to the last point if there is a step.

    With a step, the bound is half a step above the last point. Optuna would lose that point if the bound were a rounded
    multiple of the step.
    """
    return parameter.high if parameter.step is None else min(parameter.high + parameter.step / 2, float_info.max)


@contextmanager
def without_the_cut() -> Iterator[None]:
    """Suppress Optuna's warning that it cuts a bound back."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The distribution is specified by")
        yield


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter.

    Raises:
        TypeError: The parameter does not vary.
    """
    if is_by_share(parameter):
        return FloatDistribution(0.0, 1.0)
    match parameter:
        case Float():
            with without_the_cut():
                return FloatDistribution(parameter.low, optuna_end(parameter), log=parameter.log, step=parameter.step)
        case Int():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
        case Choice():
            return CategoricalDistribution(parameter.values)
    raise TypeError(f"a parameter that doesn't vary has no distribution: {parameter!r}")


def _unknown(place: int) -> FrozenTrial:
    return FrozenTrial(place, TrialState.RUNNING, None, datetime.now(UTC), None, {}, {}, {}, {}, {}, place)


class OptunaView(BaseStorage):
    """One study named after the sweep: trials of earlier sweeps, then its own. A trial's id is its place."""

    def __init__(self, spec: SweepSpec, history: History) -> None:
        self._show(with_measured_space(spec, history), ())
        self._earlier = earlier_trials(spec, history)
        self.follow(history)

    def _show(self, spec: SweepSpec, known: Iterable[Trial]) -> None:
        """Show these trials, each numbered by its place."""
        self._spec = spec
        self._varying = {n: p for n, p in spec.space.parameters.items() if not isinstance(p, Constant | RangeTest)}
        self._distributions = {name: distribution(parameter) for name, parameter in self._varying.items()}
        self._trials: list[FrozenTrial] = []
        self._rows: list[int] = []  # number of rows about each trial when it was frozen
        self._order = Order()
        self._freeze(known)

    def follow(self, history: History) -> None:
        """Update the view to the current history, and drop the trial that `begin` added."""
        self._freeze([*self._earlier, *history.search])

    @property
    def _maximizes(self) -> bool:
        return self._spec.direction == "maximize"

    def _freeze(self, known: Iterable[Trial]) -> None:
        """Freeze the trials that have gained rows since they were last frozen."""
        del self._trials[len(self._rows) :]
        for place, trial in enumerate(known):
            if place == len(self._rows):
                self._rows.append(0)
                self._trials.append(_unknown(place))
            if self._rows[place] != trial.rows:
                self._trials[place], self._rows[place] = self._frozen(place, trial), trial.rows
                self._order.put(place, merit(self._trials[place], place, maximize=self._maximizes))

    def with_trials(self, trials: Sequence[FrozenTrial]) -> "OptunaView":
        """Return a view of other trials in the same space."""
        other = copy(self)
        other._trials = list(trials)
        return other

    def thinned(self) -> "OptunaView":
        """Return a view of the trials that a sampler sees, with their numbers; all trials if there are few."""
        return self.with_trials([self._trials[place] for place in self._order.shown()])

    def begin(self) -> int:
        """Add the trial that is being suggested for, and return its id."""
        self._trials.append(_unknown(len(self._rows)))
        return len(self._rows)

    def _frozen(self, place: int, trial: Trial) -> FrozenTrial:
        metric, state = self._spec.metric, self._state(trial)
        shown = {name: shown_name(name, self._varying[name]) for name in trial.params if name in self._varying}
        return FrozenTrial(
            number=place,
            trial_id=place,
            state=state,
            value=self._value(trial, state),
            datetime_start=datetime.fromtimestamp(trial.asked.time, UTC),
            datetime_complete=None if trial.ended is None else datetime.fromtimestamp(trial.ended, UTC),
            params={known: self._shown_value(name, trial.params) for name, known in shown.items()},
            distributions={known: self._distributions[name] for name, known in shown.items()},
            user_attrs={"state": trial.state, "reason": trial.reason},
            system_attrs={},
            intermediate_values={}
            if trial.diverged
            else {round(m.fidelity * FIDELITY_UNIT): m.values[metric] for m in trial.with_metric(metric)},
        )

    def _shown_value(self, name: str, params: Mapping[str, Any]) -> Any:
        parameter = self._varying[name]
        if not is_by_share(parameter):
            return params[name]
        ranged: Any = parameter.given(params) if isinstance(parameter, FloatBy) else parameter
        return min(max(ranged.share(params[name]), 0.0), 1.0)

    def _value(self, trial: Trial, state: TrialState) -> float | None:
        return trial.value(self._spec.metric) if state is TrialState.COMPLETE else None

    def _state(self, trial: Trial) -> TrialState:
        if trial.state == "running":
            return TrialState.RUNNING
        if trial.state == "complete":
            return TrialState.COMPLETE
        return TrialState.FAIL if trial.state == "failed" else TrialState.PRUNED

    # Methods with which Optuna reads.

    def get_study_id_from_name(self, study_name: str) -> int:
        if study_name != self._spec.name:
            raise KeyError(f"this view holds the study {self._spec.name!r} alone, not {study_name!r}")
        return _STUDY_ID

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._spec.name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [StudyDirection.MAXIMIZE if self._maximizes else StudyDirection.MINIMIZE]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_all_studies(self) -> list[FrozenStudy]:
        attributes = self.get_study_user_attrs(_STUDY_ID), self.get_study_system_attrs(_STUDY_ID)
        return [FrozenStudy(self._spec.name, self.get_study_directions(_STUDY_ID)[0], *attributes, _STUDY_ID)]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        # Search from the end, because Optuna asks by id for the trial that is being suggested for.
        found = next((trial for trial in reversed(self._trials) if trial.number == trial_id), None)
        if found is None:
            raise KeyError(f"this view of {self._spec.name!r} holds no trial {trial_id}")
        return found

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self._trials if states is None or trial.state in states]

    # Methods with which Optuna writes to the trial that is being suggested for.

    def _open(self, trial_id: int) -> FrozenTrial:
        trial = self.get_trial(trial_id)
        if trial is not self._trials[-1] or trial.state is not TrialState.RUNNING:
            self._refuse()
        return trial

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        trial = self._open(trial_id)
        trial.params = {**trial.params, param_name: distribution.to_external_repr(param_value_internal)}
        trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = self._open(trial_id)
        trial.system_attrs = {**trial.system_attrs, key: value}

    # Methods that refuse to write: the ledger has one writer, and that is not Optuna.

    def _refuse(self) -> NoReturn:
        raise RuntimeError(f"the sweep {self._spec.name!r} is read-only to Optuna: change it with `sweeps`")

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        self._refuse()

    def delete_study(self, study_id: int) -> None:
        self._refuse()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._refuse()

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._refuse()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        self._refuse()

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        self._refuse()

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._refuse()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._refuse()
