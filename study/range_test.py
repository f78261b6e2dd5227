"""The learning-rate range test: the loss while the rate rises exponentially, and the rates that it suggests.

Source: Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017. The stop at four times the best loss and
the valley rule follow fastai's learning-rate finder (Howard and Gugger, Information 11(2), 2020).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.config import TrialConfig

if TYPE_CHECKING:
    from study.data import Dataset

LOW, HIGH, STEPS = 1e-6, 10.0, 120
WINDOW = 5  # steps on each side over which a loss is averaged, with weights that fall off: centred, so without lag
MEMORY = 0.9  # of the running average that detects divergence during the ramp
DIVERGED_AT = 4.0  # times the best running average
FLOOR = 0.05  # share of the first loss; lower averages count as this much, as noise around zero is no divergence
FALLING_FROM = 0.1  # share of the whole fall after which the loss counts as falling
LEAST_FALL = 0.02  # share of the first loss or of chance, whichever is lower
FEWEST = 10  # steps before divergence that a suggestion needs


class RangeTestError(RuntimeError):
    """Raised for a ramp that gives no suggestion; one line says why and what to do."""


@dataclass(frozen=True)
class LrRange:
    """The outcome of a range test.

    Attributes:
        rates: The rate at each step of the ramp before it diverged.
        losses: The loss at each of these steps.
        smoothed: The smoothed loss at each of these steps.
        steepest: The rate where the smoothed loss falls fastest over the logarithm of the rate.
        valley: The rate in the middle of the longest fall.
        low: Lower bound for a search, where the loss begins to fall below chance. The suggestions lie between both
            bounds.
        high: Upper bound for a search, where the smoothed loss is lowest.
        diverged: The rate at which the ramp was stopped, or None if it reached its end. All other rates are below it.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float
    valley: float
    low: float
    high: float
    diverged: float | None


def ramp(low: float, high: float, steps: int) -> list[float]:
    """Return rates from low to high, both included, evenly spaced on a logarithmic scale.

    Raises:
        RangeTestError: Unless 0 < low < high < infinity and there are at least 2 steps.
    """
    if not 0 < low < high < math.inf or steps < 2:
        raise RangeTestError(
            f"a ramp needs 0 < low < high and at least 2 steps, but got low={low:g}, high={high:g}, steps={steps}"
        )
    return [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]


def lr_range(
    config: TrialConfig,
    data: "Dataset | None" = None,
    *,
    low: float = LOW,
    high: float = HIGH,
    steps: int = STEPS,
    watch: Callable[[Iterable[float]], Iterable[float]] = iter,
) -> LrRange:
    """Run the range test of a config's model, optimizer, batch size and augmentation.

    The config's learning rate is ignored. The same config and data give the same result on equal machines.

    Args:
        config: The training to test.
        data: The data set; the config's is loaded by default.
        low: The first rate of the ramp.
        high: The last rate of the ramp.
        steps: The number of rates.
        watch: Wraps the iterable of losses and passes each one on as it is computed, for example to show progress.

    Raises:
        RangeTestError: If the ramp is invalid, diverges too early, or never lets the loss fall.
        ConfigError: As in training.
        DataError: As in training.
    """
    from study.data import load
    from study.training import Plan, Training

    rates = ramp(low, high, steps)
    data = data if data is not None else load(config.dataset)
    # With a plan, a config with `seconds` times no steps to find a horizon, which the ramp doesn't have.
    training = Training(config, data, plan=Plan(steps))
    losses = watch(loss.item() for loss in training.probe(rates))
    return judge(rates, losses, chance=math.log(data.classes))


def judge(rates: Sequence[float], losses: Iterable[float], *, chance: float = math.inf) -> LrRange:
    """Follow the losses of a ramp until they diverge, and suggest rates.

    Args:
        rates: The rates of the ramp.
        losses: The loss at each rate, consumed no further than the divergence.
        chance: The loss of a model that knows nothing, ln(classes). Initial weights may start far above it. A fall down
            to it at the smallest rates only rescales the outputs and learns nothing, so no suggestion counts it.

    Raises:
        RangeTestError: If the ramp diverges too early or is too short, or if the loss never falls.
    """
    sound, diverged = _until_divergence(losses)
    stopped = rates[len(sound)] if diverged else None
    if len(sound) < FEWEST:
        what = (
            f"the loss diverged after {len(sound)} steps, at a rate of {stopped:.3g}"
            if stopped
            else f"a ramp of {len(rates)} steps is too short"
        )
        raise RangeTestError(
            f"{what}, and a suggestion needs {FEWEST} before that: start the ramp lower than {rates[0]:.3g}, "
            "or give it more steps"
        )
    smoothed = smooth(sound)
    lowest = min(range(len(smoothed)), key=smoothed.__getitem__)
    top = min(smoothed[0], chance)
    fall = top - smoothed[lowest]
    if fall < LEAST_FALL * abs(top):
        raise RangeTestError(
            f"the loss never fell between the rates {rates[0]:.3g} and {rates[len(sound) - 1]:.3g} "
            f"(it began at {smoothed[0]:.4g}, and chance is {chance:.4g}): widen the ramp, or look whether the model "
            "can learn"
        )
    above = [i for i in range(lowest) if smoothed[i] > top - FALLING_FROM * fall]
    begin = min(above[-1] + 1 if above else 0, lowest - 1)
    falling = smoothed[begin : lowest + 1]
    return LrRange(
        rates=tuple(rates[: len(sound)]),
        losses=tuple(sound),
        smoothed=tuple(smoothed),
        steepest=rates[begin + steepest_descent(falling)],
        valley=rates[begin + valley(falling)],
        low=rates[begin],
        high=rates[lowest],
        diverged=stopped,
    )


def _until_divergence(losses: Iterable[float]) -> tuple[list[float], bool]:
    """Return the losses before divergence, and whether they diverged."""
    sound: list[float] = []
    total, best = 0.0, math.inf
    for count, loss in enumerate(losses, start=1):
        total = MEMORY * total + (1 - MEMORY) * loss
        average = total / (1 - MEMORY**count)  # corrects for the start at zero
        if not math.isfinite(average) or average > DIVERGED_AT * best:
            return sound, True
        sound.append(loss)
        best = max(min(best, average), FLOOR * sound[0])
    return sound, False


def smooth(losses: Sequence[float]) -> list[float]:
    """Average each loss with its neighbours, with triangular weights; at the ends, over the neighbours that exist."""

    def average(at: int) -> float:
        near = range(max(0, at - WINDOW), min(len(losses), at + WINDOW + 1))
        weights = [WINDOW + 1 - abs(i - at) for i in near]
        return math.fsum(w * losses[i] for w, i in zip(weights, near, strict=True)) / sum(weights)

    return [average(at) for at in range(len(losses))]


def steepest_descent(losses: Sequence[float]) -> int:
    """Return the index of the fastest fall, by differences across both neighbours where both exist."""

    def slope(i: int) -> float:
        before, after = max(i - 1, 0), min(i + 1, len(losses) - 1)
        return (losses[after] - losses[before]) / (after - before)

    return min(range(len(losses)), key=slope)


def valley(losses: Sequence[float]) -> int:
    """Return the index in the middle of the longest falling subsequence."""
    chains: list[tuple[int, int]] = []  # the longest chain that ends at each index: its length and its negated start
    for i, loss in enumerate(losses):
        length, start = max((chains[j] for j in range(i) if losses[j] > loss), default=(0, -i))
        chains.append((length + 1, start))
    end = max(range(len(chains)), key=lambda i: chains[i][0])
    return (end - chains[end][1]) // 2
