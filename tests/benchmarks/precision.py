"""Benchmark of the accuracy of bfloat16: the same trainings in float32 and in bfloat16, on the same seeds.

    uv run python tests/benchmarks/precision.py --out precision

The small CNN is trained with its default settings on the embedded digits for 9 epochs. Differences are paired by seed.
The benchmark measures results, not time. If the processor does not multiply bfloat16, that half is slow, but the result
is the same.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from machine import provenance

from study import TrialConfig
from sweeps.search.intervals import paired

PRECISIONS = ("float32", "bfloat16")


def one(run: tuple[int, str]) -> dict[str, Any]:
    """Train one run, and return its last measurement."""
    from study.data import load
    from study.reproducibility import prepare_process
    from study.training import train

    seed, precision = run
    prepare_process(1)
    *_, last = train(TrialConfig(seed=seed, precision=precision, epochs=9), load("mnist_sample"))
    return {"seed": seed, "precision": precision, "seconds": last.seconds, **last.values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        rows = list(pool.map(one, product(range(given.seeds), PRECISIONS)))
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(provenance()), given.out / "precision.parquet")
    for metric in ("validation_accuracy", "validation_loss"):
        by = {name: {row["seed"]: row[metric] for row in rows if row["precision"] == name} for name in PRECISIONS}
        means = ", ".join(f"{name} {sum(values.values()) / len(values):.5f}" for name, values in by.items())
        print(f"{metric}: {means}; bfloat16 minus float32 {paired(by['bfloat16'], by['float32'])}")


if __name__ == "__main__":
    main()
