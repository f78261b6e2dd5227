"""Tests of the range test: known curves give known rates, divergence stops the ramp, and a run in progress stays."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import small_digits as small

from study.config import TrialConfig
from study.range_test import RangeTestError, judge, lr_range, ramp, smooth, steepest_descent, valley
from study.training import Training, train

RATES = ramp(1e-6, 10.0, 121)


def falls_and_diverges(rate: float) -> float:
    """Return a loss that falls from 2.3 around 1e-2, is lowest near 0.1, and grows without bounds beyond 1."""
    return 0.3 + 2.0 / (1 + (rate / 1e-2) ** 1.5) + (rate / 0.5) ** 3


def test_a_known_curve_gives_its_rates() -> None:
    result = judge(RATES, [falls_and_diverges(rate) for rate in RATES])
    lowest = min(RATES, key=falls_and_diverges)

    assert result.steepest == pytest.approx(1e-2, rel=0.35)
    assert result.high == pytest.approx(lowest, rel=0.35)
    assert result.low < result.valley < result.high
    assert result.low < 1e-2
    assert result.diverged is not None
    assert result.diverged > max(result.rates)


def test_a_fall_to_chance_counts_for_nothing() -> None:
    # Outputs that start far too large shrink first, which teaches nothing; then the known curve follows.
    losses = [falls_and_diverges(rate) + 8.0 / (1 + (rate / 1e-5) ** 2) for rate in RATES]
    plain, shrinking = judge(RATES, [falls_and_diverges(rate) for rate in RATES]), judge(RATES, losses, chance=2.3)

    assert shrinking.low == pytest.approx(plain.low, rel=0.5)
    assert shrinking.high == plain.high
    assert judge(RATES, losses).low < shrinking.low / 100
    with pytest.raises(RangeTestError, match=r"never fell .*it began at .*, and chance is 0\.1"):
        judge(RATES, losses, chance=0.1)


def test_a_ramp_that_is_too_short_does_not_claim_to_have_diverged() -> None:
    with pytest.raises(RangeTestError, match="a ramp of 5 steps is too short, and a suggestion needs 10"):
        judge(RATES[:5], [2.0, 1.9, 1.8, 1.7, 1.6])


def test_a_configuration_by_the_clock_times_no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "_horizon_from_clock", lambda *_: pytest.fail("steps were timed"))
    by_epochs = lr_range(TrialConfig(batch_size=16), small(), steps=40)

    assert lr_range(TrialConfig(batch_size=16, seconds=3.0), small(), steps=40) == by_epochs


@pytest.mark.slow
@pytest.mark.parametrize("model", ["custom_cnn", "alexnet", "vgg"])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_the_valley_trains_each_model(model: str, optimizer: str) -> None:
    config = TrialConfig(model=model, optimizer=optimizer, dropout=model != "custom_cnn")
    valley = lr_range(config).valley
    trained = list(train(config.model_copy(update={"learning_rate": valley, "epochs": 2})))

    assert trained[-1].values["validation_accuracy"] > 0.88


def test_no_loss_is_asked_for_beyond_divergence() -> None:
    asked: list[float] = []

    def losses() -> Iterator[float]:
        for rate in RATES:
            asked.append(rate)
            yield math.nan if rate > 1e-2 else 2.0 - rate * 100

    result = judge(RATES, losses())

    assert asked[-1] == result.diverged
    assert sum(rate > 1e-2 for rate in asked) == 1
    assert all(math.isfinite(loss) for loss in result.losses)
    assert result.high < result.diverged


def test_a_ramp_that_diverges_at_once_is_an_error_that_says_so() -> None:
    with pytest.raises(RangeTestError, match=r"diverged after 2 steps, .* start the ramp lower than 1e-06"):
        judge(RATES, [2.0, 2.0, math.inf, 1.0])


@pytest.mark.parametrize("losses", [[2.3] * 121, [2.3 + 0.001 * i for i in range(121)]])
def test_a_loss_that_never_falls_is_an_error(losses: list[float]) -> None:
    with pytest.raises(RangeTestError, match="never fell between the rates"):
        judge(RATES, losses)


@pytest.mark.parametrize(("low", "high", "steps"), [(0.0, 1.0, 10), (1.0, 0.1, 10), (1.0, math.inf, 10), (0.1, 1.0, 1)])
def test_what_is_no_ramp_is_refused(low: float, high: float, steps: int) -> None:
    with pytest.raises(RangeTestError, match="a ramp needs 0 < low < high"):
        ramp(low, high, steps)


def test_a_ramp_is_even_on_a_logarithmic_scale() -> None:
    assert ramp(1e-4, 1.0, 5) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=40))
def test_smoothing_stays_within_what_it_averages(losses: list[float]) -> None:
    smoothed = smooth(losses)

    assert len(smoothed) == len(losses)
    assert min(losses) - 1e-9 <= min(smoothed)
    assert max(smoothed) <= max(losses) + 1e-9


def test_smoothing_has_no_lag() -> None:
    line = [float(i) for i in range(30)]

    assert smooth(line)[5:25] == pytest.approx(line[5:25])


def test_the_valley_is_the_middle_of_the_longest_fall() -> None:
    assert valley([5.0, 4.0, 3.0, 2.0, 1.0]) == 2
    assert valley([1.0, 9.0, 8.0, 7.0, 6.0, 5.0, 9.0]) == 3
    assert steepest_descent([5.0, 4.9, 4.8, 3.0, 1.0, 0.9]) == 3


def test_the_bounds_lie_below_divergence_on_real_training() -> None:
    result = lr_range(TrialConfig(batch_size=16), small(), steps=60)

    assert result.rates[0] <= result.low < result.high <= result.rates[-1]
    assert result.diverged is None or result.rates[-1] < result.diverged
    assert result.low <= result.steepest <= result.high
    assert result.low <= result.valley <= result.high


def test_the_same_config_gives_the_same_result() -> None:
    config = TrialConfig(batch_size=16, dropout=True, rotation=True)

    assert lr_range(config, small(), steps=40) == lr_range(config, small(), steps=40)


def test_a_probe_leaves_a_run_under_way_as_it_is() -> None:
    config = TrialConfig(batch_size=16, epochs=2, dropout=True, rotation=True)
    beside, alone = Training(config, small()), Training(config, small())
    first = beside.run()
    next(first)
    losses = [loss.item() for loss in beside.probe(ramp(1e-4, 1.0, 7))]

    assert len(losses) == 7
    found = [beside.last, *first]
    expected = list(alone.run())
    assert [(m.values, m.digest) for m in found if m] == [(m.values, m.digest) for m in expected]
