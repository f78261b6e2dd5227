"""Means over seeds, and accuracies over images, with their confidence intervals.

Means have Student's t intervals at 95 %, which end at the bounds of the metric (see sweeps.search.bounds). Differences
are paired by common seeds. The accuracy of a single model has Wilson's interval, over images that it might have been
tested on.

Sources: Student, The Probable Error of a Mean, Biometrika 6(1), 1908; Wilson, Probable Inference, JASA 22, 1927.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

Bounds = tuple[float, float]  # the lowest and the highest possible value
UNBOUNDED: Bounds = (-math.inf, math.inf)
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over n values with its interval; low and high are None for a single value, or if no float holds them."""

    n: int
    mean: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Return whether zero is outside; False for one value or equal ones, which say nothing about the spread."""
        if self.low is None or self.high is None or math.isclose(self.low, self.high, rel_tol=1e-9, abs_tol=1e-15):
            return False
        return not self.low <= 0 <= self.high


@cache
def quantile(degrees: int, share: float) -> float:
    """Return the value below which Student's t stays with this probability."""
    from scipy.stats import t

    return float(t.ppf(share, degrees))


def mean_of(values: Sequence[float]) -> float:
    """Return the mean, computed exactly for values so large that a float can't hold their sum."""
    try:
        return math.fsum(values) / len(values)
    except (OverflowError, ValueError):  # the sum overflows, or differences did
        return float(statistics.mean(values))


def variance_of(values: Sequence[float]) -> float:
    """Return the variance of two or more values, or infinity if no float holds it."""
    mean = mean_of(values)
    try:
        found = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    except OverflowError:
        return math.inf
    return math.inf if math.isnan(found) else found


def interval(values: Sequence[float], bounds: Bounds = UNBOUNDED) -> Interval | None:
    """Return the mean and its interval within the bounds of a value, or None for no values."""
    n = len(values)
    if not n:
        return None
    mean = mean_of(values)
    if n == 1:
        return Interval(n, mean, None, None)
    deviation = math.sqrt(variance_of(values))
    half = quantile(n - 1, (1 + CONFIDENCE) / 2) * deviation / math.sqrt(n)
    if not math.isfinite(abs(mean) + half):
        return Interval(n, mean, None, None)
    return Interval(n, mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]))


def paired(values: Mapping[int, float], reference: Mapping[int, float], bounds: Bounds = UNBOUNDED) -> Interval | None:
    """Return the mean difference from a reference over the common seeds; `bounds` are those of a single value."""
    span = bounds[1] - bounds[0]
    return interval([values[seed] - reference[seed] for seed in values if seed in reference], (-span, span))


def of_accuracy(accuracy: float, images: int) -> Interval:
    """Return the interval of a model's accuracy (0..1) that was measured on this many images."""
    from scipy.stats import norm

    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    weight = 1 + z**2 / images
    center = (accuracy + z**2 / (2 * images)) / weight
    half = z / weight * math.sqrt(accuracy * (1 - accuracy) / images + z**2 / (4 * images**2))
    return Interval(images, accuracy, center - half, center + half)
