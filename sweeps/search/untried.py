"""Suggestions without duplicates: a configuration that another trial has is drawn again. A pure function of history.

A sampler draws again a few times, each time with a seed derived from the trial's number and the attempt. A finite space
is then searched, first at random with derived seeds and finally in order. No configuration is therefore tried twice
while another is left. In any other space the last draw is used. Once a finite space is used up, the sampler's first
draw is tried again on another seed, which says more about it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from search_spaces import Scalar, SearchSpace
from search_spaces.space import Configuration, configuration
from study.seeds import derive_seed
from sweeps.search.history import History
from sweeps.spec import LARGEST_GRID, SweepSpec

_DRAWS = 4  # of the sampler, including the first
_LOOKS = 100  # random draws from a finite space


@dataclass
class _Tried:
    """The configurations of a search's trials, updated as trials are added."""

    known: set[Configuration] = field(default_factory=set)
    trials: int = 0

    def follow(self, history: History) -> None:
        """Add the configurations of new trials."""
        self.known |= {configuration(trial.params) for trial in history.search[self.trials :]}
        self.trials = len(history.search)


def untried(
    spec: SweepSpec,
    space: SearchSpace,
    history: History,
    number: int,
    draw: Callable[[int], Mapping[str, Scalar]],
) -> Mapping[str, Scalar]:
    """Return the first result of `draw` (attempts 0, 1, …) that no trial has, or as described above without one."""
    tried = history.kept(spec, _Tried, _Tried)
    tried.follow(history)
    params = draw(0)
    if configuration(params) not in tried.known or _is_used_up(spec, space, history, len(tried.known)):
        return params
    for attempt in range(1, _DRAWS):
        params = draw(attempt)
        if configuration(params) not in tried.known:
            return params
    if not space.is_finite:
        return params
    at_random = (_drawn(space, derive_seed(spec.seed, "untried", number, look)) for look in range(_LOOKS))
    looks = chain(at_random, space.grid())
    return next((look for look in looks if configuration(look) not in tried.known), params)


def _drawn(space: SearchSpace, seed: int) -> Mapping[str, Scalar]:
    """Return a configuration drawn uniformly, each parameter with its own derived seed."""
    return space.walk(lambda name, parameter: parameter.at(derive_seed(seed, name) / 2**63))


def _is_used_up(spec: SweepSpec, space: SearchSpace, history: History, tried: int) -> bool:
    """Return whether a finite space has no configuration left; False for one of more than LARGEST_GRID."""
    if not space.is_finite:
        return False
    count = history.kept(spec, "configurations", lambda: space.count(LARGEST_GRID))
    return tried >= count and count <= LARGEST_GRID
