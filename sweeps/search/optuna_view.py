"""A sweep's history as Optuna sees it: a storage that is read from the ledger's rows and writes nothing to them.

    here                          to Optuna
    complete                      COMPLETE with its last value
    paused, cut, pruned at a rung PRUNED with its intermediate values (a paused leader shown as RUNNING would repel TPE)
    pruned because it diverged    PRUNED without a value, which TPE ranks last
    failed                        FAIL
    running                       RUNNING (TPE's constant liar counts it as a bad point)

A parameter whose range hangs on another is seen by its share (0..1) of that range, so that what is good for one
optimizer tells something about the others; `is_by_share` says which others are. Only the trial that is being suggested
for can be written to; it lives in this object alone.
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
_MOST_POINTS = 1_000_000  # of a range; Optuna's GP lists them


def is_by_share(parameter: Parameter) -> bool:
    """Whether Optuna sees a parameter by its share (0..1) of a range, and not by its value.

    That is one whose range depends on another parameter, one with so many points that Optuna must not list them, and
    whole numbers that a float can't tell apart.
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
    """The name under which Optuna knows a parameter."""
    return f"{name} (share of its range)" if is_by_share(parameter) else name


def optuna_end(parameter: Float) -> float:
    """Return the upper bound that Optuna is given: with a step it cuts it back to the last point.

    That is half a step more than the last point, which Optuna loses where the bound is a rounded number of steps.
    """
    return parameter.high if parameter.step is None else min(parameter.high + parameter.step / 2, float_info.max)


@contextmanager
def without_the_cut() -> Iterator[None]:
    """Keep Optuna from warning that it cuts a bound back."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The distribution is specified by")
        yield


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's distribution of a parameter that varies."""
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
    """One study named like the sweep: what earlier sweeps found, then its own trials; a trial's id is its place."""

    def __init__(self, spec: SweepSpec, history: History) -> None:
        self._show(with_measured_space(spec, history), ())
        self._earlier = earlier_trials(spec, history)
        self.follow(history)

    def _show(self, spec: SweepSpec, known: Iterable[Trial]) -> None:
        """Hold these trials; each has its place for a number."""
        self._spec = spec
        self._varying = {n: p for n, p in spec.space.parameters.items() if not isinstance(p, Constant | RangeTest)}
        self._distributions = {name: distribution(parameter) for name, parameter in self._varying.items()}
        self._trials: list[FrozenTrial] = []
        self._rows: list[int] = []  # how many rows told of each when it was frozen
        self._order = Order()
        self._freeze(known)

    def follow(self, history: History) -> None:
        """Show what is known by now; a trial that was begun is gone."""
        self._freeze([*self._earlier, *history.search])

    @property
    def _maximizes(self) -> bool:
        return self._spec.direction == "maximize"

    def _freeze(self, known: Iterable[Trial]) -> None:
        """Freeze the trials of which more is known than when they were frozen."""
        del self._trials[len(self._rows) :]
        for place, trial in enumerate(known):
            if place == len(self._rows):
                self._rows.append(0)
                self._trials.append(_unknown(place))
            if self._rows[place] != trial.rows:
                self._trials[place], self._rows[place] = self._frozen(place, trial), trial.rows
                self._order.put(place, merit(self._trials[place], place, maximize=self._maximizes))

    def with_trials(self, trials: Sequence[FrozenTrial]) -> "OptunaView":
        """A view of other trials in the same space."""
        other = copy(self)
        other._trials = list(trials)
        return other

    def thinned(self) -> "OptunaView":
        """A view of those that a sampler is shown, with their numbers; all of them while these are few."""
        return self.with_trials([self._trials[place] for place in self._order.shown()])

    def begin(self) -> int:
        """Add the trial that is being suggested for; gives its id."""
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

    # What Optuna reads.

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
        # From the end, since it is the trial that is being suggested for that is asked for by its id.
        found = next((trial for trial in reversed(self._trials) if trial.number == trial_id), None)
        if found is None:
            raise KeyError(f"this view of {self._spec.name!r} holds no trial {trial_id}")
        return found

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self._trials if states is None or trial.state in states]

    # What Optuna writes about the trial that is being suggested for.

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

    # What Optuna may not write: the ledger has one writer, and that is not Optuna.

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
