"""Tests of schedules: they equal torch's schedulers at every step, with no state to keep."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from study.config import TrialConfig
from study.schedules import learning_rate

PEAK, PER_EPOCH, EPOCHS = 0.2, 10, 6
HORIZON = PER_EPOCH * EPOCHS


def ours(config: TrialConfig) -> list[float]:
    return [learning_rate(config, step, HORIZON, PER_EPOCH) for step in range(HORIZON)]


def theirs(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    scheduler = make(optimizer)
    rates = []
    for _ in range(HORIZON):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("config", "make"),
    [
        (
            TrialConfig(schedule="step", step_epochs=2, step_gamma=0.3, learning_rate=PEAK),
            lambda o: lr_scheduler.StepLR(o, 2 * PER_EPOCH, 0.3),
        ),
        (
            TrialConfig(schedule="cosine", learning_rate=PEAK),
            lambda o: lr_scheduler.CosineAnnealingLR(o, HORIZON),
        ),
        (
            TrialConfig(schedule="one_cycle", learning_rate=PEAK),
            lambda o: lr_scheduler.OneCycleLR(o, PEAK, HORIZON, cycle_momentum=False),
        ),
        (
            TrialConfig(schedule="constant_warmup", warmup_epochs=1.5, learning_rate=PEAK),
            lambda o: lr_scheduler.LinearLR(o, 1 / 15, total_iters=14),
        ),
    ],
    ids=lambda value: value.schedule if isinstance(value, TrialConfig) else "",
)
def test_each_schedule_is_that_of_torch(
    config: TrialConfig, make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]
) -> None:
    assert ours(config) == pytest.approx(theirs(make), rel=1e-9, abs=1e-12)


def test_warmup_of_no_epochs_starts_at_the_peak() -> None:
    assert set(ours(TrialConfig(schedule="constant_warmup", warmup_epochs=0.0, learning_rate=PEAK))) == {PEAK}


@given(
    schedule=st.sampled_from(["constant_warmup", "step", "cosine", "one_cycle"]),
    step=st.integers(0, 400),
    horizon=st.integers(1, 300),
)
def test_a_rate_is_above_zero_and_never_above_the_peak(schedule: str, step: int, horizon: int) -> None:
    config = TrialConfig(schedule=schedule, learning_rate=PEAK)  # type: ignore[arg-type]
    assert 0 < learning_rate(config, step, horizon, PER_EPOCH) <= PEAK * (1 + 1e-12)


@given(schedule=st.sampled_from(["constant_warmup", "step", "cosine", "one_cycle"]), horizon=st.integers(1, 12))
def test_the_shortest_run_learns_at_a_rate_near_the_one_asked_for(schedule: str, horizon: int) -> None:
    config = TrialConfig(schedule=schedule, warmup_epochs=0.0 if schedule == "constant_warmup" else None)

    rates = [learning_rate(config, step, horizon, PER_EPOCH) for step in range(horizon)]

    assert max(rates) > 0.7 * config.learning_rate
