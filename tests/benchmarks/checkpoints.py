"""Benchmark of a checkpoint: its cost compared with an epoch of training, and its size.

    uv run python tests/benchmarks/checkpoints.py --out checkpoints

It covers the three models, each with SGD and with Adam, whose state is twice as large as the weights. It measures the
time to write a checkpoint, without a flush to disk, and the time of the digest of the weights. A report computes the
digest, and its checkpoint reuses it, so a trial does both at each report. Both times are medians of five. They are
compared with the time of an epoch of 8,000 digits on one thread, in float32.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from machine import provenance
from training_speed import EPOCH, MODELS, first

from study import TrialConfig
from study.data import Dataset, load
from study.reproducibility import prepare_process
from study.training import Training


def measured(model: str, optimizer: str, data: Dataset, file: Path, rounds: int) -> dict[str, Any]:
    """Return one row; `data` holds as many training images as the clock needs."""
    training = Training(TrialConfig(model=model, optimizer=optimizer, epochs=1, precision="float32"), data)
    (report,) = training.run()
    save, digest = (timed(act, rounds) for act in (lambda: training.save(file), training.digest))
    epoch, size = report.seconds * EPOCH / len(data.train), file.stat().st_size / 2**20
    costs = {"mib": size, "save": save, "digest": digest, "epoch": epoch, "share": (save + digest) / epoch}
    return {"model": model, "optimizer": optimizer, **costs}


def timed(act: Callable[[], object], rounds: int) -> float:
    """Return the median duration of several calls, in s."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    prepare_process(1)
    full, rows, file = load("mnist_sample"), [], given.out / "checkpoint"
    for model in MODELS:
        images = EPOCH if model == "custom_cnn" else 1024
        for optimizer in ("sgd", "adam"):
            rows.append(measured(model, optimizer, first(full, images), file, given.rounds))
            print(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{v}" for k, v in rows[-1].items()))
    file.unlink()
    table = pa.Table.from_pylist(rows).replace_schema_metadata(provenance() | {"rounds": str(given.rounds)})
    pq.write_table(table, given.out / "checkpoints.parquet")


if __name__ == "__main__":
    main()
