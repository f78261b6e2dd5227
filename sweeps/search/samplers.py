"""Samplers by name with every setting pinned: Optuna's, Sobol's sequence, and a grid in an order drawn once.

    tpe      learns from all trials, including pruned and diverged ones (from a part of them if there are very many, see
             `thinning`); multivariate, and in groups where parameters are conditional
    gp       a Gaussian process; learns only from trials that reached full fidelity, and draws conditional parameters
             at random
    random   uniform on each parameter's scale
    qmc      a scrambled Sobol sequence: as random, but evenly spread
    grid     every configuration once

The first three are seeded by the trial's number. For the last two, the sweep's seed fixes the whole sequence, and the
trial's number is the place in it. A configuration that a trial has is not suggested to another one while others are
left: see `untried`.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces import Constant, RangeTest, Scalar, SearchSpace
from search_spaces.space import configuration
from study.seeds import derive_seed

if TYPE_CHECKING:
    import optuna


def optuna_sampler(name: str, seed: int) -> "optuna.samplers.BaseSampler":
    """Return one of Optuna's samplers: tpe, gp or random."""
    import optuna

    with warnings.catch_warnings():
        # `group` makes TPE see conditional parameters together; Optuna calls it, and gp, experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "tpe":
                return optuna.samplers.TPESampler(
                    seed=seed,
                    multivariate=True,
                    group=True,
                    constant_liar=True,
                    n_startup_trials=10,
                    n_ei_candidates=24,
                )
            case "gp":
                return optuna.samplers.GPSampler(
                    seed=seed,
                    n_startup_trials=10,
                    deterministic_objective=False,
                    warn_independent_sampling=False,  # the sweep warns about it once
                )
    return optuna.samplers.RandomSampler(seed=seed)


def sobol_point(space: SearchSpace, seed: int, index: int) -> Mapping[str, Scalar]:
    """Return the configuration at a place (0, 1, …) of a scrambled Sobol sequence over all parameters that vary.

    Source: Owen, Scrambling Sobol' and Niederreiter-Xing points, Journal of Complexity 1998; computed by SciPy.
    """
    from scipy.stats import qmc

    varying = sorted(name for name, p in space.parameters.items() if not isinstance(p, Constant | RangeTest))
    engine = qmc.Sobol(max(len(varying), 1), scramble=True, rng=derive_seed(seed, "qmc"))
    if index:
        engine.fast_forward(index)
    shares = dict(zip(varying, engine.random(1)[0].tolist(), strict=False))
    return space.walk(lambda name, parameter: parameter.at(shares[name]))


def grid_points(space: SearchSpace, seed: int, known: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Scalar]]:
    """Return the unknown configurations of a space in an order drawn once, so that the first ones are spread out."""
    left_out = {configuration(params) for params in known}
    rest: list[Mapping[str, Scalar]] = [point for point in space.grid() if configuration(point) not in left_out]
    places = sorted(range(len(rest)), key=lambda place: derive_seed(seed, "grid", place))
    return [rest[place] for place in places]
