"""Learning-rate schedules: pure functions of the step, so a resumed run needs no scheduler state.

Each schedule gives the share of config.learning_rate at optimizer step `step` (0, 1, …). `cosine` and `one_cycle` keep
their last value past `horizon_steps`. Sources: linear warm-up, Goyal et al. 2017; cosine, Loshchilov and Hutter 2017,
without restarts; one cycle, Smith and Topin 2019, in the shape of torch's OneCycleLR (two cosine phases).
"""

import math

from study.config import TrialConfig

ONE_CYCLE_RISE = 0.3  # share of the horizon
ONE_CYCLE_START = 1 / 25  # share of the peak
ONE_CYCLE_END = ONE_CYCLE_START / 1e4


def constant_warmup(step: int, warmup_steps: float) -> float:
    """Rise linearly to 1 over the first `warmup_steps`, then stay there."""
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0


def step_decay(step: int, decay_steps: int, gamma: float) -> float:
    """Multiply by gamma after every `decay_steps`."""
    return float(gamma ** (step // decay_steps))


def cosine(step: int, horizon_steps: int) -> float:
    """Fall from 1 along half a cosine that would reach 0 at the horizon itself."""
    return _half_cosine(1.0, 0.0, min(step, horizon_steps - 1) / horizon_steps)


def one_cycle(step: int, horizon_steps: int) -> float:
    """Rise to 1 over the first 30 % of the horizon, then fall to nearly 0 at its last step; a single step gets 1."""
    if horizon_steps == 1:
        return 1.0
    peak = ONE_CYCLE_RISE * horizon_steps - 1
    last = horizon_steps - 1
    step = min(step, last)
    if step <= peak:
        return _half_cosine(ONE_CYCLE_START, 1.0, step / peak if peak > 0 else 1.0)
    return _half_cosine(1.0, ONE_CYCLE_END, (step - peak) / (last - peak))


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) / 2.0 * (1 + math.cos(math.pi * progress))


def learning_rate(config: TrialConfig, step: int, horizon_steps: int, steps_per_epoch: int) -> float:
    """Return the learning rate at an optimizer step.

    Args:
        config: Its schedule and peak learning rate are used.
        step: The optimizer step (0, 1, …).
        horizon_steps: The number of steps at which the schedule ends.
        steps_per_epoch: Steps in an epoch, the unit of the schedule's own knobs.
    """
    match config.schedule:
        case "constant_warmup":
            share = constant_warmup(step, (config.warmup_epochs or 0.0) * steps_per_epoch)
        case "step":
            share = step_decay(step, (config.step_epochs or 1) * steps_per_epoch, config.step_gamma or 1.0)
        case "cosine":
            share = cosine(step, horizon_steps)
        case "one_cycle":
            share = one_cycle(step, horizon_steps)
    return config.learning_rate * share
