"""No configuration twice: what another trial has is drawn again, as a pure function of recorded history.

A sampler draws again a few times, each by a seed derived from the trial's number and the attempt. In a finite space the
rest is then looked through, at random by a derived seed and at last in order, so that no configuration is tried twice
while another is left. Elsewhere the last draw stands. Once a finite space is used up, what the sampler draws first is
tried again on another seed: that tells more of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from search_spaces import Scalar, SearchSpace
from search_spaces.space import Configuration, configuration
from study.seeds import derive_seed
from sweeps.search.history import History
from sweeps.spec import LARGEST_GRID, SweepSpec

_DRAWS = 4  # of the sampler, the first included
_LOOKS = 100  # at random into a finite space


@dataclass
class _Tried:
    """The configurations of a search's trials, kept while trials are added."""

    known: set[Configuration] = field(default_factory=set)
    trials: int = 0

    def follow(self, history: History) -> None:
        """Add the configurations of the trials that were added."""
        self.known |= {configuration(trial.params) for trial in history.search[self.trials :]}
        self.trials = len(history.search)


def untried(
    spec: SweepSpec,
    space: SearchSpace,
    history: History,
    number: int,
    draw: Callable[[int], Mapping[str, Scalar]],
) -> Mapping[str, Scalar]:
    """Return what `draw` gives on its first attempt (0, 1, …) that no trial has; see above for where none is."""
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
    """Return a configuration that is drawn uniformly, each parameter by a seed of its own."""
    return space.walk(lambda name, parameter: parameter.at(derive_seed(seed, name) / 2**63))


def _is_used_up(spec: SweepSpec, space: SearchSpace, history: History, tried: int) -> bool:
    """Return whether a space is finite and has no configuration left; a large one is looked through to tell."""
    if not space.is_finite:
        return False
    count = history.kept(spec, "configurations", lambda: space.count(LARGEST_GRID))
    return tried >= count and count <= LARGEST_GRID
