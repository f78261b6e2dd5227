"""Results of a race: regret of the incumbent over simulated time, ranks among the arms, and their means over seeds.

The incumbent at a time is the configuration with the smallest loss observed until then, on the one seed that was looked
up. Its regret is its mean loss over the table's seeds minus the smallest such mean of the table. This is the result
that a user would get, not the promise of a lucky seed. It may therefore rise when an incumbent is replaced.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import pandas as pd
from scipy.stats import binom

from sweeps.search.intervals import CONFIDENCE, Interval, interval

POINTS = 50  # in simulated time, evenly spaced, the last one at the end of the budget
MEANINGS = {
    "task": "table of HPOLib",
    "seed": "of the benchmark: seeds the searcher and picks the table's seed of each evaluation",
    "arm": "who searched",
    "share": "of the budget that is used up, 0..1",
    "time": "simulated time, s",
    "evaluations": "ended until then",
    "regret": "mean loss of the incumbent over the table's seeds minus the table's best, mean squared error",
    "rank": "of the regret among the arms on this task, seed and time, 1 is best; ties share their mean",
    "cpu_seconds_per_evaluation": "what the searcher itself computed in this run, s of processor time",
}


def regrets(run: Mapping[str, Any], times: Sequence[float]) -> list[tuple[int, float]]:
    """Return the evaluations ended and the regret of the incumbent at each time; infinite before the first end."""
    incumbents, found = [(math.inf, math.inf)], []
    for loss, mean in zip(run["loss"], run["mean_loss"], strict=True):
        incumbents.append((loss, mean) if loss < incumbents[-1][0] else incumbents[-1])
    for moment in times:
        ended = bisect_right(run["end"], moment)
        found.append((ended, incumbents[ended][1] - run["best"]))
    return found


def traces(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return all runs at the same points in time, ranked within task, seed and time."""
    rows = []
    for run in runs:
        shares = [point / POINTS for point in range(1, POINTS + 1)]
        times = [share * run["budget"] for share in shares]
        kept = {name: run[name] for name in ("task", "seed", "arm", "cpu_seconds_per_evaluation")}
        for share, moment, (ended, regret) in zip(shares, times, regrets(run, times), strict=True):
            rows.append({**kept, "share": share, "time": moment, "evaluations": ended, "regret": regret})
    frame = pd.DataFrame(rows)
    frame["rank"] = frame.groupby(["task", "seed", "share"])["regret"].rank()
    return frame


def mean_ranks(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean rank of each arm with a 95 % t interval over tasks × seeds: over all times, and at the end."""
    over_time = frame.groupby(["arm", "task", "seed"], sort=False)["rank"].mean()
    at_the_end = frame[frame["share"] == 1].set_index(["arm", "task", "seed"])["rank"]
    rows = {}
    for arm in frame["arm"].unique():
        over, end = _interval(over_time[arm]), _interval(at_the_end[arm])
        rows[arm] = {"over time": over.mean, "low": over.low, "high": over.high}
        rows[arm] |= {"at the end": end.mean, "end low": end.low, "end high": end.high}
    return pd.DataFrame(rows).T


def final_regrets(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the median regret over seeds at the end of the budget, with a 95 % interval, for each task and arm.

    Regrets differ by powers of ten, so a mean would reflect only the worst seed. The interval is between order
    statistics and assumes nothing about the distribution. Below six seeds there is none. Source: Hahn and Meeker,
    Statistical Intervals, Wiley 1991, section 5.2.
    """
    rows = []
    for (task, arm), regret in frame[frame["share"] == 1].groupby(["task", "arm"], sort=False)["regret"]:
        ordered = sorted(regret)
        left_out = int(binom.ppf((1 - CONFIDENCE) / 2, len(ordered), 0.5))  # the count on each side, plus one
        low, high = (ordered[left_out - 1], ordered[-left_out]) if left_out else (math.nan, math.nan)
        rows.append({"task": task, "arm": arm, "median": median(ordered), "low": low, "high": high})
    return pd.DataFrame(rows).set_index(["task", "arm"])


def rank_differences(frame: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return each arm's rank over time minus the reference's, paired by task and seed: mean and 95 % t interval."""
    over_time = frame.groupby(["task", "seed", "arm"], sort=False)["rank"].mean().unstack()
    others = [arm for arm in frame["arm"].unique() if arm != reference]
    found = {arm: _interval(over_time[arm] - over_time[reference]) for arm in others}
    return pd.DataFrame({arm: {"mean": f.mean, "low": f.low, "high": f.high} for arm, f in found.items()}).T


def _interval(values: "pd.Series[float]") -> Interval:
    found = interval(values.tolist())
    if found is None:
        raise ValueError("there are no runs to take a mean of")
    return found
