"""Tests of the pruner simulation: reports come in order of time, and a recommendation counts only if it stays good."""

import math

import pytest
from pruner_arms import Ours
from pruners import Curve, Told, seen, simulate, time_until_close


def curve(config: int, *values: float, seconds: float = 1.0) -> Curve:
    epochs = range(1, len(values) + 1)
    return Curve(config, tuple(seconds * epoch for epoch in epochs), tuple(map(float, epochs)), values)


NINE = [curve(number, *(0.1 * number + 0.01 * epoch for epoch in range(9)), seconds=1 + number) for number in range(6)]


def test_without_pruning_every_curve_is_told_whole_and_takes_its_time() -> None:
    told, busy, ended = simulate(Ours(len(NINE), 0, name="none"), NINE, workers=2)

    assert [report.time for report in told] == sorted(report.time for report in told)
    for number, whole in enumerate(NINE):
        assert [report.value for report in told if report.number == number] == list(whole.values)
    assert busy == pytest.approx(sum(whole.ends[-1] for whole in NINE))
    assert busy / 2 <= ended < busy


def test_a_paused_trial_goes_on_where_it_was() -> None:
    told, busy, _ = simulate(Ours(len(NINE), 0, min_fidelity=1.0, reduction_factor=3), NINE, workers=1)
    counts = [sum(report.number == number for report in told) for number in range(6)]

    # Later trials are better: the third is the first to be promoted, and the fifth the first to reach the end.
    assert counts == [1, 1, 3, 3, 9, 9]
    assert busy == pytest.approx(sum(whole.ends[count - 1] for whole, count in zip(NINE, counts, strict=True)))


def test_a_recommendation_counts_from_when_it_stays_close() -> None:
    curves, means = [curve(0, 0.5), curve(1, 0.9), curve(2, 0.8)], {0: 0.9, 1: 0.5, 2: 0.899}
    told = [Told(1.0, 0, 0.5), Told(2.0, 1, 0.9), Told(3.0, 1, 0.1), Told(4.0, 2, 0.8)]

    assert time_until_close(told, curves, means) == (3.0, pytest.approx(0.001))
    assert time_until_close(told[:2], curves, means) == (None, pytest.approx(0.4))


def test_a_diverged_trial_is_never_recommended() -> None:
    curves, means = [curve(0, 0.5), curve(1, math.nan)], {0: 0.9, 1: -math.inf}

    assert time_until_close([Told(1.0, 1, math.nan), Told(2.0, 0, 0.5)], curves, means) == (2.0, 0.0)


def test_an_arm_is_given_its_reports_and_pays_for_the_time_between() -> None:
    thirds = Curve(0, tuple(map(float, range(1, 10))), tuple(place / 3 for place in range(1, 10)), (0.5,) * 9)

    assert seen(thirds, "epoch").ends == (3.0, 6.0, 9.0)
    assert seen(thirds, "early").ends == (1.0, 3.0, 6.0, 9.0)
    assert seen(thirds, "thirds") == thirds
