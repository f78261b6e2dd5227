"""Tests of regret over simulated time: the configuration it belongs to, its times and its ranks."""

import math

from regret import final_regrets, mean_ranks, rank_differences, regrets, traces

RUN = {
    "task": "bowl",
    "seed": 0,
    "arm": "first",
    "budget": 10.0,
    "best": 1.0,
    "cpu_seconds_per_evaluation": 0.0,
    "end": [2.0, 4.0, 6.0],
    "loss": [5.0, 3.0, 4.0],  # as observed
    "mean_loss": [5.0, 6.0, 2.0],  # over the table's seeds
}


def test_regret_is_the_mean_loss_of_what_looked_best() -> None:
    assert regrets(RUN, [1.0, 2.0, 3.9, 4.0, 10.0]) == [(0, math.inf), (1, 4.0), (1, 4.0), (2, 5.0), (3, 5.0)]


def test_equal_regrets_share_their_rank() -> None:
    better = {**RUN, "arm": "second", "mean_loss": [5.0, 1.5, 2.0]}
    frame = traces([RUN, better, {**RUN, "arm": "third"}]).set_index(["arm", "share"])

    assert (frame.loc[("second", 0.1), "rank"], frame.loc[("second", 1.0), "rank"]) == (2.0, 1.0)
    assert frame.loc[("first", 1.0), "rank"] == frame.loc[("third", 1.0), "rank"] == 2.5
    assert mean_ranks(frame.reset_index())["at the end"].tolist() == [2.5, 1.0, 2.5]
    assert rank_differences(frame.reset_index(), "second").loc["third", "mean"] > 0


def test_the_interval_of_a_median_lies_between_order_statistics() -> None:
    runs = [{**RUN, "seed": seed, "mean_loss": [5.0, 6.0 + seed, 2.0]} for seed in range(20)]
    found = final_regrets(traces(runs)).loc[("bowl", "first")]

    # Of 20 values the 6th and the 15th enclose the median with a probability of 95.9 %.
    assert (found["median"], found["low"], found["high"]) == (14.5, 10.0, 19.0)
