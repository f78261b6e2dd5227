"""Benchmark of the memory that one more concurrent trial of the small CNN needs, and whether it copies the data set.

    uv run python tests/benchmarks/memory.py --out memory --data-dir ../shared/data

The same sweep runs with two and with four trials at a time. Half the difference is the cost of one more trial. The
benchmark measures the peak of the proportional set size of all its workers (shared memory is divided among those that
share it). Two further functions show the share of torch itself: one only imports it, and one also makes a step of its
SGD, for which torch imports its compiler. With --data-dir the same trials also run on a data set of 47 MiB (full MNIST)
instead of the 8 MiB of the embedded digits, which would reveal a copy.
"""

import argparse
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from machine import in_turn, provenance

import sweeps

FEW, MANY = 2, 4  # trials at a time


def imported(params: dict[str, Any], seed: int) -> Any:
    """Import torch, multiply a matrix and report, then wait and report again."""
    import torch

    matrix = torch.ones(512, 512)
    yield {"loss": float((matrix @ matrix).mean())}
    time.sleep(10)
    yield {"loss": params["x"]}


def stepped(params: dict[str, Any], seed: int) -> Any:
    """Train one layer by one step, then do the same as `imported`."""
    import torch

    layer = torch.nn.Linear(512, 512)
    optimizer = torch.optim.SGD(layer.parameters(), lr=params["x"])
    layer(torch.ones(512, 512)).mean().backward()
    optimizer.step()
    yield from imported(params, seed)


def workers_memory() -> float:
    """Return the proportional set size of all busy workers, in MiB."""
    sizes = []
    for process in psutil.Process().children(recursive=True):
        try:
            words = " ".join(process.cmdline())
            if words.startswith("ray::") and "IDLE" not in words:
                sizes.append(process.memory_full_info().pss)
        except psutil.Error:  # it ended in the meantime
            continue
    return sum(sizes) / 2**20


class Most(threading.Thread):
    """A thread that samples the workers' memory twice a second, and keeps the maximum."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen = 0.0
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(0.5):
            self.seen = max(self.seen, workers_memory())

    def __enter__(self) -> "Most":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()


def most(table: dict[str, Any], slots: int, results: Path, **given: Any) -> float:
    """Return the peak memory of all workers in MiB, while `slots` trials of a sweep run at a time."""
    cpus = {"resources": {"cpus_per_trial": (psutil.cpu_count() or 1) / slots}}
    with Most() as memory:
        sweeps.run({**table, **cpus, "trials": slots}, results=results, progress="none", **given)
    return memory.seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    common = {
        "name": "memory",
        "pruning": "none",
        "sampler": "random",
        "selection": {"candidates": 1, "seeds": 1, "published_seeds": 1},
    }
    space = {"learning_rate": {"float": [0.01, 0.02]}}
    models = {**common, "space": space, "training": {"epochs": 1, "batch_size": 128}}
    function = {**common, "metric": "loss", "direction": "minimize", "space": {"x": {"float": [0.0, 1.0]}}}
    arms: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "torch imported": (function, {"target": imported}),
        "torch with a step of SGD": (function, {"target": stepped}),
        "10,000 digits": (models, {}),
    }
    if given.data_dir:
        full = {**models, "training": {**models["training"], "dataset": "mnist"}}
        arms["70,000 digits"] = (full, {"data_dir": given.data_dir})
    rows = []
    for turn in range(given.rounds):
        for arm in in_turn(arms, turn):
            table, more = arms[arm]
            few, many = (most(table, slots, given.out / "results", **more) for slots in (FEW, MANY))
            further = (many - few) / (MANY - FEW)
            rows.append({"round": turn, "arm": arm, "few_mib": few, "many_mib": many, "further_mib": further})
            print(f"{arm}: {few:.0f} MiB with {FEW}, {many:.0f} with {MANY}: {further:.0f} more each", flush=True)
            written = pa.Table.from_pylist(rows).replace_schema_metadata(provenance())
            pq.write_table(written, given.out / "memory.parquet")
    for arm in arms:
        found = [row["further_mib"] for row in rows if row["arm"] == arm]
        print(f"{arm}: a further one {statistics.median(found):.0f} MiB ({min(found):.0f} to {max(found):.0f})")


if __name__ == "__main__":
    main()
