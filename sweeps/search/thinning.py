"""Subsampling of the trials that a sampler sees, so that an ask does not slow down as a sweep grows.

TPE separates the best 25 from the others. It sees the best in its own order, the latest, to which it gives the greatest
weight, and evenly spaced ones for the density of the rest. In total it never sees more than MOST.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

MOST = 700
_BEST, _LATEST, _SPACED = 200, 200, 300

Merit = tuple[int, float, float, int]  # smaller is better; the last is the trial's place


def merit(trial: FrozenTrial, place: int, *, maximize: bool) -> Merit:
    """Return a trial's merit in TPE's order: complete ones by value, then pruned ones by how far they came."""
    sign = -1.0 if maximize else 1.0
    if trial.state is TrialState.COMPLETE and trial.value is not None:
        return 0, sign * trial.value, 0.0, place
    if trial.state is TrialState.PRUNED and trial.intermediate_values:
        step, value = max(trial.intermediate_values.items())
        return 1, -step, math.inf if math.isnan(value) else sign * value, place
    return 2 if trial.state is TrialState.PRUNED else 3, 0.0, 0.0, place


class Order:
    """Trials by merit, updated as more becomes known of them."""

    def __init__(self) -> None:
        self._merits: list[Merit | None] = []  # by place
        self._sorted: list[Merit] = []

    def put(self, place: int, found: Merit) -> None:
        """Set or update the merit of a trial; trials are added in the order of their places."""
        if place == len(self._merits):
            self._merits.append(None)
        if (before := self._merits[place]) is not None:
            del self._sorted[bisect_left(self._sorted, before)]
        self._merits[place] = found
        insort(self._sorted, found)

    def shown(self) -> Sequence[int]:
        """Return the places of the trials that a sampler sees, ascending; all of them if there are at most MOST."""
        count = len(self._merits)
        if count <= MOST:
            return range(count)
        step = 2 ** math.ceil(math.log2(count / _SPACED))  # a power of 2, so that most of those shown are shown again
        best = (place for *_, place in self._sorted[:_BEST])
        return sorted({*best, *range(count - _LATEST, count), *range(0, count, step)})
