"""Resampling of final selections from recorded seeds: coverage of the interval, and regret against the best single run.

    uv run python tests/benchmarks/selections.py --out coverage.parquet

It covers each task in results/reference/selection (recorded by record_seeds.py) and each metric. A search is one run of
each of the 40 configurations, each on its own seed. Then the choice, the race and the publication run as in a sweep, by
the package's own functions, on values of the table. Seeds are drawn with replacement, so the table's 40 seeds are the
whole population. The truth of a configuration is its mean over them. Regret is the truth of the best configuration
minus that of the pick. It is compared with the regret of taking the best single run.
"""

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from machine import provenance

from study.measurement import Measurement
from study.seeds import derive_seed
from sweeps.search.history import Asked, History, Measured, Moved, Stamp, TrialKey
from sweeps.search.intervals import interval, of_accuracy
from sweeps.search.race import next_runs, race
from sweeps.search.selection import candidates, publication, select
from sweeps.spec import SweepSpec, load_spec

TABLES = Path(__file__).parents[2] / "results/reference/selection"
TASKS = ("uniform", "leaders", "few")
METRICS = {"validation_accuracy": "maximize", "validation_loss": "minimize"}
ARMS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "no racing": {"racing": False},
    "quickstart": {"candidates": 3, "seeds": 2, "published_seeds": 3},
    "3 candidates, 3 seeds": {"candidates": 3, "seeds": 3},
}
SEED = 20261125


@dataclass(frozen=True)
class Outcome:
    """One selection.

    Attributes:
        best: The truth of the best configuration.
        pick: The truth of the picked configuration.
        single: The truth of the best single run's configuration.
        searched: The observed value of the best single run.
        low: Lower bound of the published interval.
        high: Upper bound of the published interval.
        runs: The number of runs that the selection took.
    """

    best: float
    pick: float
    single: float
    searched: float
    low: float
    high: float
    runs: int

    def regret(self, of: float, sign: int) -> float:
        return sign * (self.best - of)


def spec_of(metric: str, arm: str) -> SweepSpec:
    """Return the spec of a sweep whose search is replaced, and of which only the selection matters."""
    table = {"name": "resampled", "target": "table:value", "metric": metric, "direction": METRICS[metric]}
    space = {"x": {"float": [0.0, 1.0], "default": 0.0}}
    return load_spec({**table, "trials": 40, "space": space, "pruning": "none", "selection": ARMS[arm]})


def read(task: str, metric: str) -> dict[int, list[float]]:
    """Return each configuration's last values in the order of the seeds; a value is NaN if the run diverged."""
    frame = pd.read_parquet(TABLES / f"{task}.parquet")
    last = frame.sort_values("epoch").groupby(["config", "replicate"]).tail(1).sort_values(["config", "replicate"])
    whole = last["epoch"] == frame["epoch"].max()
    return {config: group.tolist() for config, group in last[metric].where(whole, math.nan).groupby(last["config"])}


def add(history: History, key: TrialKey, metric: str, value: float) -> None:
    ended = "complete" if math.isfinite(value) else "failed"
    rows = (Asked(key, {"x": key.number / 100}, 0, 0), Measured(key, Measurement(1, 1, 1.0, 0.0, {metric: value})))
    for row in (*rows, Moved(key, ended, "")):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)


def selection(spec: SweepSpec, table: dict[int, list[float]], draw: random.Random) -> Outcome | None:
    """Run one search and one selection, and return None if no candidate succeeded."""
    history, metric = History(), spec.metric
    sign = 1 if spec.direction == "maximize" else -1
    drawn: dict[int, int] = {}
    for config, values in table.items():
        add(history, TrialKey(config), metric, draw.choice(values))

    def run(keys: list[TrialKey]) -> None:
        for key in keys:
            if key not in history.trials:
                seed = drawn.setdefault(key.replicate, draw.randrange(len(table[0])))
                add(history, key, metric, table[key.number][seed])

    numbers = candidates(spec, history)
    while keys := next_runs(spec, race(spec, history, numbers)):
        run(keys)
    winner = select(spec, history, numbers).winner
    if winner is None:
        return None
    run(publication(spec, history, [winner, 0]))
    published = select(spec, history, numbers).published[0].interval
    truths = {config: math.fsum(values) / len(values) for config, values in table.items()}
    assert published is not None
    assert published.low is not None
    assert published.high is not None
    return Outcome(
        best=sign * max(sign * truth for truth in truths.values() if math.isfinite(truth)),
        pick=truths[winner],
        single=truths[numbers[0]],
        searched=history.trials[TrialKey(numbers[0])].value(metric) or 0.0,
        low=published.low,
        high=published.high,
        runs=len(history.selection),
    )


def rows(count: int) -> Iterator[dict[str, Any]]:
    for task in TASKS:
        for metric, direction in METRICS.items():
            table, sign = read(task, metric), 1 if direction == "maximize" else -1
            for arm in ARMS:
                spec = spec_of(metric, arm)
                # Every arm gets the same draws of the search.
                draws = (random.Random(derive_seed(SEED, task, metric, number)) for number in range(count))
                found = [outcome for draw in draws if (outcome := selection(spec, table, draw)) is not None]
                yield {"task": task, "metric": metric, "arm": arm, **summary(found, sign)}


def summary(found: list[Outcome], sign: int) -> dict[str, Any]:
    """Return the coverage with its interval, mean regrets and their ratio, and the cost."""
    covered = of_accuracy(sum(o.low <= o.pick <= o.high for o in found) / len(found), len(found))
    regrets = [o.regret(o.pick, sign) for o in found]
    single = [o.regret(o.single, sign) for o in found]
    own, luck = interval(regrets), interval(single)
    assert own is not None
    assert luck is not None
    return {
        "selections": len(found),
        "coverage": covered.mean,
        "coverage_low": covered.low,
        "coverage_high": covered.high,
        "regret": own.mean,
        "regret_single": luck.mean,
        "ratio": own.mean / luck.mean,
        **_bootstrapped(regrets, single),
        "optimism_single": math.fsum(sign * (o.searched - o.single) for o in found) / len(found),
        "changed": sum(o.pick != o.single for o in found) / len(found),
        "width": math.fsum(o.high - o.low for o in found) / len(found),
        "runs": math.fsum(o.runs for o in found) / len(found),
    }


def _bootstrapped(regrets: list[float], single: list[float]) -> dict[str, float]:
    """Return the 95 % interval of the ratio of mean regrets over resampled selections (Efron's percentiles)."""
    draw, ratios = random.Random(SEED), []
    for _ in range(1000):
        places = draw.choices(range(len(regrets)), k=len(regrets))
        below = math.fsum(single[i] for i in places)
        ratios.append(math.fsum(regrets[i] for i in places) / below if below else math.inf)
    ratios.sort()
    return {"ratio_low": ratios[25], "ratio_high": ratios[974]}


MEANINGS = {
    "task": "which recorded table: uniform, leaders or few",
    "metric": "what is searched for",
    "arm": "how the selection is set",
    "selections": "resampled, of which each is a search and its selection",
    "coverage": "share in which the published 95 % interval covers the winner's true mean",
    "coverage_low": "lower bound of its 95 % interval (Wilson)",
    "coverage_high": "upper bound",
    "regret": "mean of: truth of the best configuration minus that of the pick",
    "regret_single": "the same of the best single run",
    "ratio": "regret / regret_single",
    "ratio_low": "lower bound of its 95 % interval (bootstrap over selections)",
    "ratio_high": "upper bound",
    "optimism_single": "mean of: value of the best single run minus its truth, positive where it looks too good",
    "changed": "share in which another configuration than the best single run is picked",
    "width": "mean width of the published interval",
    "runs": "mean number of trainings on fresh seeds, choice and publication",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--selections", type=int, default=2000, help="for each task, metric and arm")
    parser.add_argument("--out", type=Path, default=Path("coverage.parquet"))
    given = parser.parse_args()
    frame = pd.DataFrame(rows(given.selections))
    table = pa.Table.from_pandas(frame[list(MEANINGS)], preserve_index=False)
    fields = [table.schema.field(name).with_metadata({"meaning": meaning}) for name, meaning in MEANINGS.items()]
    pq.write_table(table.cast(pa.schema(fields, metadata=provenance() | {"seed": str(SEED)})), given.out)
    print(frame.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
