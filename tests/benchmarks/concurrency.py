"""Benchmark of many slots: how much of them a sweep uses, and how its driver grows, with simulated and instant trials.

    uv run python tests/benchmarks/concurrency.py --out concurrency  # 2,048 trials of 4 s on 64 slots
    uv run python tests/benchmarks/concurrency.py --out concurrency --trials 10000 --work 0 --slots 2

Work is simulated by sleep, so 64 slots fit on a few CPUs. The share used is the time that trials worked, divided by the
time of all slots. It is taken from the end of the first trial of each slot, when all actors have started, until the
last trial is asked for. Memory is the driver's resident set at each thousandth trial. 64 actors need about 16 GiB.
"""

import argparse
import os
import threading
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from machine import provenance

import sweeps
from sweeps.search.history import History

EVERY = 1000  # trials between two rows


def working(seconds: float) -> Any:
    """Return a function that works for `seconds`, and then reports once."""

    def nap(params: dict[str, Any], seed: int) -> Any:
        time.sleep(seconds)
        yield {"loss": params["x"]}

    return nap


class Memory(threading.Thread):
    """A thread that samples this process's resident set, in MiB, four times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, float]] = []
        self.start()

    def run(self) -> None:
        process = psutil.Process()
        while True:
            self.seen.append((time.time(), process.memory_info().rss / 2**20))
            time.sleep(0.25)

    def at(self, moment: float) -> float:
        """Return the resident set at a moment, given in seconds since the epoch."""
        return next((size for seen, size in self.seen if seen >= moment), self.seen[-1][1])


def used(history: History, slots: int, work: float) -> tuple[float, float]:
    """Return how much of all slots' time trials worked while all slots were active.

    Returns:
        The share of that time, and its length in seconds.
    """
    ends = [trial.ended or 0.0 for trial in history.search]
    begin, end = max(ends[:slots]), history.search[-1].asked.time
    worked = sum(max(0.0, min(ended, end) - max(ended - work, begin)) for ended in ends)
    return worked / (slots * (end - begin)), end - begin


def rows_of(history: History, memory: Memory, marks: Iterable[int]) -> list[dict[str, float]]:
    """Return the time per trial and the driver's memory, between each marked trial and the next."""
    asked = [trial.asked.time for trial in history.search]
    marks = sorted({0, *marks, len(asked) - 1})
    return [
        {
            "trials": after,
            "milliseconds": 1000 * (asked[after] - asked[before]) / (after - before),
            "memory": memory.at(asked[after]),
        }
        for before, after in pairwise(marks)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=2048)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--work", type=float, default=4.0, help="seconds")
    parser.add_argument("--sampler", default="random")
    given = parser.parse_args()
    memory = Memory()
    table = {
        "name": f"slots-{given.slots}",
        "trials": given.trials,
        "metric": "loss",
        "direction": "minimize",
        "sampler": given.sampler,
        "pruning": "none",
        "concurrency": given.slots,
        "space": {"x": {"float": [0.0, 1.0]}},
        "resources": {"cpus_per_trial": (os.cpu_count() or 1) / given.slots},
        "selection": {"candidates": 1, "seeds": 1, "published_seeds": 1},
    }
    before = psutil.Process().memory_info().rss / 2**20
    result = sweeps.run(table, target=working(given.work), results=given.out / "results", progress="none")
    rows = rows_of(result.history, memory, range(0, given.trials, EVERY))
    print(f"{given.trials:,} trials of {given.work:g} s on {given.slots} slots")
    print(f"driver: {before:.0f} MiB before, {max(size for _, size in memory.seen):.0f} MiB at most")
    for row in rows:
        print(f"  to trial {row['trials']:6,}: {row['milliseconds']:7.1f} ms each, {row['memory']:5.0f} MiB")
    if given.work:
        share, seconds = used(result.history, given.slots, given.work)
        print(f"used: {share:.1%} of {given.slots} slots over {seconds:.0f} s")
        rows = [{**row, "used": share} for row in rows]
    given.out.mkdir(parents=True, exist_ok=True)
    about = {name: str(value) for name, value in vars(given).items() if name != "out"}
    written = pa.Table.from_pylist(rows).replace_schema_metadata(provenance() | about)
    pq.write_table(written, given.out / "concurrency.parquet")


if __name__ == "__main__":
    main()
