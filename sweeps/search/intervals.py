"""Means over seeds, and accuracies over images, with their confidence intervals.

Student's t intervals at 95 %; of differences, pairs by common seeds. Of one model's accuracy the interval is Wilson's,
over images that it might have been tested on.
Sources: Student, The Probable Error of a Mean, Biometrika 6(1), 1908; Wilson, Probable Inference, JASA 22, 1927.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over n values with its confidence interval; low and high are None for a single value."""

    n: int
    mean: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; never for one value or equal ones, which tell nothing of the spread."""
        if self.low is None or self.high is None or math.isclose(self.low, self.high, rel_tol=1e-9, abs_tol=1e-15):
            return False
        return not self.low <= 0 <= self.high


@cache
def quantile(degrees: int, share: float) -> float:
    """The value below which Student's t stays with this probability."""
    from scipy.stats import t

    return float(t.ppf(share, degrees))


def interval(values: Sequence[float]) -> Interval | None:
    """The mean and its interval; None for no values."""
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(n, mean, None, None)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = quantile(n - 1, (1 + CONFIDENCE) / 2) * deviation / math.sqrt(n)
    return Interval(n, mean, mean - half, mean + half)


def paired(values: Mapping[int, float], reference: Mapping[int, float]) -> Interval | None:
    """The mean difference from a reference over the seeds that both have."""
    return interval([values[seed] - reference[seed] for seed in values if seed in reference])


def of_accuracy(accuracy: float, images: int) -> Interval:
    """The interval of a model's accuracy (0..1) that was found on so many images."""
    from scipy.stats import norm

    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    weight = 1 + z**2 / images
    center = (accuracy + z**2 / (2 * images)) / weight
    half = z / weight * math.sqrt(accuracy * (1 - accuracy) / images + z**2 / (4 * images**2))
    return Interval(images, accuracy, center - half, center + half)
