"""A permutation test of which parameters explain more of the order of trials than chance does, the most telling first.

Null hypothesis: a trial's rank does not depend on the parameter, given its number and the parameters found before. The
statistic is the share of the spread of ranks that a regression explains. It is a regression on a number's rank and its
square, or on the values of a choice (Kruskal and Wallis' H over n - 1). It shows the same as a scatter plot: a slope,
an optimum within the range, or a choice that is worse than the others. It does not show effects that only two
parameters have together.

A learning sampler suggests better trials over time, so all parameters drift with the ranks. Ranks are therefore
compared and shuffled only within blocks of consecutive trials. A learning sampler also repeats irrelevant values
together with good ones. The most telling parameter is therefore found first. Its effect is removed from the ranks
before the others are tested (Freedman and Lane's residuals), so that weaker ones show as well.

The level is Holm's for all parameters together: if nothing matters, one search in twenty has a parameter that seems to.

Sources: Kruskal and Wallis, Use of Ranks in One-Criterion Variance Analysis, 1952; Freedman and Lane, A Nonstochastic
Interpretation of Reported Significance Levels, 1983; Holm, A Simple Sequentially Rejective Multiple Test Procedure,
1979; Phipson and Smyth, Permutation P-values Should Never Be Zero, 2010.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces import Scalar

_LEVEL = 0.05  # chance that anything is found if nothing matters
_SHUFFLES, _SHUFFLES_EACH = 1000, 100  # in all at least, and for each parameter: more parameters need a finer level
_BLOCK = 20  # consecutive trials, over which a sampler hardly drifts
_ROUNDING = 1e-9  # of a share
_ALIKE = 1e-6  # of a column: below this, the others explain it

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """A parameter's value in each trial, in the order they were asked; None if it is not active."""

    values: Sequence[Scalar | None]
    is_choice: bool


class _Found(NamedTuple):
    """A parameter's p-value, its weakness (minus the ratio of the share it explains to chance's), and its name."""

    chance: float
    weakness: float
    name: str


def telling(columns: Mapping[str, Column], ranks: Sequence[float], seed: int) -> list[str]:
    """Find the parameters that explain more of the ranks than chance does.

    Args:
        columns: The parameters to test, by name.
        ranks: Each trial's rank, in the order they were asked; equal trials have the same rank.
        seed: The seed of the shuffles. The same seed gives the same answer.

    Returns:
        The names of the parameters, the most telling first.
    """
    draw = np.random.default_rng(seed)
    shuffles = max(_SHUFFLES, _SHUFFLES_EACH * len(columns))
    left = {name: _features(column) for name, column in columns.items()}
    peers = dict[bytes, _Peers]()
    names = dict[bytes, list[str]]()
    for name, column in columns.items():
        active = np.array([value is not None for value in column.values])
        key = active.tobytes()
        if key not in peers:
            peers[key] = _Peers(active, np.asarray(ranks, dtype=float), shuffles, draw)
        names.setdefault(key, []).append(name)
    found = dict[str, Array]()
    while left:
        looked_at = [
            one
            for key, group in peers.items()
            for one in group.look({name: left[name] for name in names[key] if name in left}, list(found.values()))
        ]
        best = min(looked_at, default=None)
        if best is None or best.chance > _LEVEL / len(left):
            break
        found[best.name] = left.pop(best.name)
    return list(found)


def _features(column: Column) -> Array:
    """Return what the ranks may depend on, one row per trial, with 0 where the parameter is not active."""
    from scipy.stats import rankdata

    active = [place for place, value in enumerate(column.values) if value is not None]
    values = [column.values[place] for place in active]
    if column.is_choice:
        kinds = {repr(value): place for place, value in enumerate(dict.fromkeys(values))}
        own = np.eye(len(kinds))[[kinds[repr(value)] for value in values]]
    else:
        ranks = rankdata(values)
        ranks = (ranks - ranks.mean()) / max(len(values), 1)
        own = np.stack([ranks, ranks**2], axis=1)
    features = np.zeros((len(column.values), own.shape[1]))
    features[active] = own - own.mean(axis=0)
    return features


class _Peers:
    """The trials in which some parameters are active, compared within blocks of consecutive ones."""

    def __init__(self, active: NDArray[np.bool_], ranks: Array, shuffles: int, draw: np.random.Generator) -> None:
        from scipy.stats import rankdata

        self._active = active
        count = int(active.sum())
        self._blocks = np.arange(count) * max(1, round(count / _BLOCK)) // max(count, 1)
        self._ranks = self._within(rankdata(ranks[active])[:, np.newaxis])[:, 0]
        keys = self._blocks + draw.random((shuffles, count))
        self._dealt = np.argsort(keys, axis=1)

    def _within(self, columns: Array) -> Array:
        """Return the columns minus their mean in each block."""
        starts, sizes = np.unique(self._blocks, return_index=True, return_counts=True)[1:]
        return columns - (np.add.reduceat(columns, starts) / sizes[:, np.newaxis])[self._blocks]

    def look(self, asked: Mapping[str, Array], known: Sequence[Array]) -> Iterator[_Found]:
        """Yield how much each parameter explains beyond the known ones, and how often chance explains as much."""
        taken = _directions(self._within(np.hstack(known)[self._active])) if known else np.empty((len(self._ranks), 0))
        rest = self._ranks - taken @ (taken.T @ self._ranks)
        if not asked or rest @ rest <= _ROUNDING * (self._ranks @ self._ranks):
            return
        orders = np.vstack([rest, rest[self._dealt]])
        spread = rest @ rest - ((orders @ taken) ** 2).sum(axis=1)
        for name, features in asked.items():
            own = _directions(self._within(features[self._active]), beside=taken)
            explained = ((orders @ own) ** 2).sum(axis=1) / spread
            as_much = int((explained[1:] >= explained[0] * (1 - _ROUNDING)).sum())
            if explained[0] > _ROUNDING:
                yield _Found((1 + as_much) / len(explained), -explained[0] / explained[1:].mean(), name)


def _directions(columns: Array, beside: Array | None = None) -> Array:
    """Return an orthonormal basis of what the columns span outside the span of another basis."""
    lengths = np.linalg.norm(columns, axis=0)
    columns = columns[:, lengths > 0] / lengths[lengths > 0]
    if beside is not None:
        columns = columns - beside @ (beside.T @ columns)
    directions, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return directions[:, sizes > _ALIKE]
