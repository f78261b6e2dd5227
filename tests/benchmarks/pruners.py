"""Benchmark of pruners: ours, Ray Tune's and Optuna's race to a good configuration on recorded learning curves.

    uv run python tests/benchmarks/pruners.py --curves results/reference/curves/learning_curves.parquet \
        --out pruners.parquet

All pruners see the same configurations in the same order, each on one of its two recorded seeds. There are four workers
on one event clock, and a report takes the processor time that was recorded. An order is a permutation and a choice of
seeds. For every pruner, the recommendation at a time is the configuration whose last reported value is best. The result
is the time from which the recommendation stays within 0.3 point of the best mean over both seeds at the end of
training. A pruner that never gets there counts as if it had needed the time of training everything, without pruning.

Pruners get one report per epoch, as in tutorials. The exception is ours with its defaults, which has its first rung,
and so a report, at a third of an epoch. Further arms show the other pruners with three reports per epoch.

`--by schedule` and `--by optimizer` make a separate task of the configurations with each value of that parameter. These
have other curves and another best: a result for one table need not hold for another.
"""

import argparse
import heapq
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from machine import provenance
from pruner_arms import ARMS, REFERENCE, Arm, Reports
from pruner_figure import pruner_figure

from study.seeds import derive_seed
from sweeps.search.intervals import Interval, interval

WORKERS = 4
CLOSE = 0.003  # 0.3 points of accuracy
MEANINGS = {
    "task": "all configurations, or those with one value of a parameter",
    "order": "number of the permutation of configurations",
    "arm": "which pruner",
    "seconds": "simulated time until the recommendation stays within 0.3 point of the best seed-mean, s",
    "reached": "whether it ever did; if not, seconds is the time of training everything",
    "regret": "best seed-mean minus that of the last recommendation",
    "busy": "processor time that trials took in all, s",
    "ended": "simulated time at which the pruner had nothing left to do, s",
}


@dataclass(frozen=True)
class Curve:
    """The record of a configuration on one seed.

    Attributes:
        config: The number of the configuration.
        ends: The time of each report since the start, in s.
        fidelities: The epochs trained until each report.
        values: The value of each report.
    """

    config: int
    ends: tuple[float, ...]
    fidelities: tuple[float, ...]
    values: tuple[float, ...]


class Pruner(Protocol):
    """A pruner, which knows a trial by the place of its configuration in the order."""

    def next(self, now: float) -> int | None:
        """Return the trial for a free worker, a new or a paused one, or None if there is none now."""

    def report(self, now: float, number: int, fidelity: float, value: float) -> bool:
        """Return whether the trial continues after a report."""

    def end(self, now: float, number: int) -> None:
        """Take note that the trial reached its full fidelity, or that its curve ends because it diverged."""


@dataclass(frozen=True)
class Told:
    """One report on the event clock."""

    time: float
    number: int
    value: float


def simulate(pruner: Pruner, curves: list[Curve], workers: int = WORKERS) -> tuple[list[Told], float, float]:
    """Run a pruner on recorded curves.

    Args:
        pruner: The pruner.
        curves: The curve of each trial.
        workers: The number of simulated workers.

    Returns:
        Every report in the order of time, the processor time spent, and the time when nothing was left to do, in s.
    """
    place = dict.fromkeys(range(len(curves)), 0)  # the next report of each trial
    running: list[tuple[float, int]] = []
    told: list[Told] = []
    now = busy = 0.0

    def take_up(number: int) -> None:
        curve, at = curves[number], place[number]
        seconds = curve.ends[at] - (curve.ends[at - 1] if at else 0.0)
        heapq.heappush(running, (now + seconds, number))

    while True:
        while len(running) < workers and (number := pruner.next(now)) is not None:
            take_up(number)
        if not running:
            return told, busy, now
        now, number = heapq.heappop(running)
        curve, at = curves[number], place[number]
        busy += curve.ends[at] - (curve.ends[at - 1] if at else 0.0)
        told.append(Told(now, number, curve.values[at]))
        place[number] += 1
        if not pruner.report(now, number, curve.fidelities[at], curve.values[at]):
            continue
        if place[number] == len(curve.values):
            pruner.end(now, number)
        else:
            take_up(number)


def time_until_close(told: list[Told], curves: list[Curve], means: Mapping[int, float]) -> tuple[float | None, float]:
    """Judge the recommendations of a run.

    Args:
        told: The reports in the order of time.
        curves: The curve of each trial.
        means: The seed-mean of each configuration at the end of training.

    Returns:
        The time from which the recommendation stayed close to the best seed-mean, or None if it did not, and the
        regret of the last recommendation.
    """
    best, since, last = max(means.values()), None, {}
    regret = math.inf
    for report in told:
        last[report.number] = report.value if math.isfinite(report.value) else -math.inf
        recommended = max(last, key=lambda number: (last[number], -number))
        regret = best - means[curves[recommended].config]
        if regret > CLOSE + 1e-9:
            since = None
        elif since is None:
            since = report.time
    return since, regret


def read_curves(path: Path) -> tuple[dict[int, list[Curve]], dict[int, float]]:
    """Read the recorded learning curves.

    Returns:
        The curves of each configuration, one for each seed, and its mean value at the end of training, which is -inf
        if a run diverged.
    """
    frame = pd.read_parquet(path)
    whole = frame["fidelity"].max()
    curves: dict[int, list[Curve]] = {}
    ends: dict[int, list[float]] = {}
    for (config, _), rows in frame.groupby(["config", "replicate"]):
        is_sound = rows["train_loss"].map(math.isfinite) & rows["validation_loss"].map(math.isfinite)
        values = rows["validation_accuracy"].where(is_sound, math.nan)
        curve = Curve(int(config), tuple(rows["cpu_seconds"]), tuple(rows["fidelity"]), tuple(values))
        curves.setdefault(curve.config, []).append(curve)
        is_whole = rows["fidelity"].max() == whole and is_sound.all()
        ends.setdefault(curve.config, []).append(float(values.iloc[-1]) if is_whole else -math.inf)
    return curves, {config: sum(found) / len(found) for config, found in ends.items()}


def seen(curve: Curve, reports: Reports) -> Curve:
    """Return the curve with only the reports that an arm receives; its times still include the others."""
    wanted = {"epoch": lambda place: place % 3 == 2, "early": lambda place: place in (0, *range(2, 99, 3))}
    kept = [place for place in range(len(curve.ends)) if reports == "thirds" or wanted[reports](place)]
    ends, fidelities, values = (
        tuple(found[place] for place in kept) for found in (curve.ends, curve.fidelities, curve.values)
    )
    return Curve(curve.config, ends, fidelities, values)


def ordered(curves: Mapping[int, list[Curve]], order: int) -> list[Curve]:
    """Return the table in one order, with each configuration on one of its seeds."""
    rng = random.Random(derive_seed("order", order))
    configs = sorted(curves)
    rng.shuffle(configs)
    return [rng.choice(curves[config]) for config in configs]


def tasks(path: Path, by: list[str]) -> dict[str, set[int]]:
    """Return the configurations of each task, by its name."""
    params = pd.read_parquet(path, columns=["config", "params"]).groupby("config")["params"].first().map(json.loads)
    if not by:
        return {"all": set(params.index)}
    found: dict[str, set[int]] = {}
    for config, values in params.items():
        for name in by:
            found.setdefault(f"{name} {values[name]}", set()).add(int(str(config)))
    return dict(sorted(found.items()))


def run(
    curves: Mapping[int, list[Curve]],
    means: Mapping[int, float],
    orders: int,
    arms: Mapping[str, Arm],
) -> pd.DataFrame:
    """Return a row for each arm and order of one task."""
    rows: list[dict[str, Any]] = []
    for order in range(orders):
        table = ordered(curves, order)
        everything = sum(curve.ends[-1] for curve in table) / WORKERS
        for arm, its in arms.items():
            told, busy, ended = simulate(its.make(len(table), order), [seen(curve, its.reports) for curve in table])
            found, regret = time_until_close(told, table, means)
            seconds = {"seconds": everything if found is None else found, "reached": found is not None}
            rows.append({"order": order, "arm": arm, **seconds, "regret": regret, "busy": busy, "ended": ended})
        print(f"order {order + 1} of {orders}", flush=True)
    return pd.DataFrame(rows)


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the time of each arm relative to the reference: geometric mean over tasks and orders, 95 % t interval."""
    frame = frame.assign(log=frame["seconds"].map(math.log))
    logs = frame.pivot_table(index=["task", "order"], columns="arm", values="log")
    rows = {}
    for arm in frame["arm"].unique():
        mine = frame[frame["arm"] == arm]
        found = interval((logs[arm] - logs[REFERENCE]).tolist())
        assert found is not None
        rows[arm] = {
            **_exponentials(found),
            "seconds": mine["seconds"].median(),
            "reached": f"{mine['reached'].sum()}/{len(mine)}",
            "regret": mine["regret"].mean(),
            "busy": mine["busy"].mean(),
        }
    return pd.DataFrame(rows).T


def _exponentials(found: Interval) -> dict[str, float]:
    bounds = (
        found.mean,
        found.mean if found.low is None else found.low,
        found.mean if found.high is None else found.high,
    )
    return dict(zip(("ratio", "low", "high"), map(math.exp, bounds), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=Path("results/reference/curves/learning_curves.parquet"))
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--by", action="append", default=[], choices=["schedule", "optimizer", "init"])
    parser.add_argument("--out", type=Path, default=Path("pruners.parquet"))
    given = parser.parse_args()
    curves, means = read_curves(given.curves)
    parts = []
    for task, configs in tasks(given.curves, given.by).items():
        print(f"{task}: {len(configs)} configurations", flush=True)
        mine = {config: curves[config] for config in configs}
        parts.append(run(mine, {config: means[config] for config in configs}, given.orders, ARMS).assign(task=task))
    frame = pd.concat(parts)
    found = ratios(frame)
    print(found.to_string())
    pruner_figure(found).savefig(given.out.with_suffix(".png"))
    table = pa.Table.from_pandas(frame[list(MEANINGS)], preserve_index=False)
    fields = [table.schema.field(name).with_metadata({"meaning": meaning}) for name, meaning in MEANINGS.items()]
    about = provenance() | {"configurations": str(len(curves)), "workers": str(WORKERS)}
    pq.write_table(table.cast(pa.schema(fields, metadata=about)), given.out, compression="zstd")


if __name__ == "__main__":
    main()
