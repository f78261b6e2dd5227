"""The next trial's parameters as a pure function of recorded history."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from search_spaces import Choice, Float, Int, Parameter, Scalar, SearchSpace
from search_spaces.parameters import Plain
from study.seeds import derive_seed
from sweeps.search.history import History
from sweeps.search.ranges import due, with_measured_space
from sweeps.search.samplers import grid_points, optuna_sampler, sobol_point
from sweeps.search.untried import untried
from sweeps.spec import SweepSpec

if TYPE_CHECKING:
    import optuna


def suggest(spec: SweepSpec, history: History, number: int) -> Mapping[str, Scalar]:
    """Return the parameters of trial `number`, given the recorded history.

    Trial 0 is the baseline, followed by the starting points. The sampler is seeded only by the sweep's seed and the
    trial's number, so the same history gives the same suggestion in any process. A configuration that another trial has
    is drawn again, see `untried`. A design needs no sampler.

    Raises:
        ValueError: A range test has not been made yet.
    """
    if spec.design:
        return spec.design.place(number)[0].params
    if due(spec, history):
        raise ValueError("nothing can be suggested before the range tests are made")
    space, start = _measured(spec, history)
    if number < len(start):
        return start[number]
    if spec.sampler.name == "grid":
        return history.kept(spec, "grid", lambda: grid_points(space, spec.seed, start))[number - len(start)]

    def draw(attempt: int) -> Mapping[str, Scalar]:
        again = (attempt,) if attempt else ()
        if spec.sampler.name == "qmc":  # a common seed for redraws would repeat a choice in the same half
            place = derive_seed(spec.seed, "qmc", number, *again) if again else spec.seed
            return sobol_point(space, place, number - len(start))
        seed = derive_seed(spec.seed, "suggestion", number, *again)
        return _learnt(spec, space, history, seed)

    return untried(spec, space, history, number, draw)


def _measured(spec: SweepSpec, history: History) -> tuple[SearchSpace, list[Mapping[str, Scalar]]]:
    """Return the space with measured bounds, and its starting points; both are fixed once suggestions are possible."""

    def measured() -> tuple[SearchSpace, list[Mapping[str, Scalar]]]:
        full = with_measured_space(spec, history)
        return full.space, full.starting_points

    return history.kept(spec, "space", measured)


def _learnt(spec: SweepSpec, space: SearchSpace, history: History, seed: int) -> Mapping[str, Scalar]:
    """Return the configuration that Optuna's sampler suggests with a seed, given the recorded trials."""
    import optuna

    from sweeps.search.optuna_view import OptunaView

    if spec.sampler.name == "random":
        view = OptunaView(spec, History())  # random draws depend on no trial
    else:
        view = history.kept(spec, OptunaView, lambda: OptunaView(spec, history))
        view.follow(history)
        view = view.thinned()
    sampler = optuna_sampler(spec.sampler.name, seed % 2**32)
    study = optuna.load_study(study_name=spec.name, storage=view, sampler=sampler)
    trial = optuna.trial.Trial(study, view.begin())
    return space.walk(lambda name, parameter: _ask(trial, name, parameter, space.parameters[name]))


def trial_seed(spec: SweepSpec, number: int) -> int:
    """Return the seed of trial `number`; in a design it is common to all cells, so that they compare in pairs."""
    if spec.design:
        return derive_seed(spec.seed, "design", spec.design.place(number)[1], bits=spec.seed_bits)
    return derive_seed(spec.seed, "trial", number, bits=spec.seed_bits)


def _ask(trial: "optuna.Trial", name: str, parameter: Plain, declared: Parameter) -> Scalar:
    from sweeps.search.optuna_view import is_by_share, optuna_end, shown_name, without_the_cut

    if is_by_share(declared):
        return parameter.at(trial.suggest_float(shown_name(name, declared), 0.0, 1.0))
    match parameter:
        case Float():
            end, step = optuna_end(parameter), parameter.step
            with without_the_cut():
                return parameter.nearest(trial.suggest_float(name, parameter.low, end, log=parameter.log, step=step))
        case Int():
            return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log, step=parameter.step)
        case Choice():
            chosen = trial.suggest_categorical(name, parameter.values)
            return next(value for value in parameter.values if value is chosen or value == chosen)
