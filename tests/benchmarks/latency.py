"""Benchmark of waiting times: for a first measurement, for a long sweep to resume, and for an answer over many sweeps.

    uv run python tests/benchmarks/latency.py --out latency

Results are medians, and the arms take turns. A first measurement takes from the command to the commit of the first
report of the small CNN on the embedded digits. It is compared with a class trainable of Ray Tune (peers/ray_first.py),
up to the report of its first epoch. Resuming takes from `sweeps resume`, for a sweep that was killed at its 10,000th
trial, to the commit of the first report of a new trial. An answer is the best trial of each of 100 such sweeps, which
DuckDB finds in their Parquet files, in its own process.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from machine import in_turn, provenance

from sweeps.search.history import Measured, Row, TrialKey
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.places import place_of

MORE = 500  # trials that a long sweep still has to run when it is killed
COMMAND = str(Path(sys.executable).with_name("sweeps"))
FIRST = """
trials = 2
space.learning_rate = { float = [0.01, 0.1], default = 0.05 }
training.epochs = 1
selection = { candidates = 1, seeds = 1, published_seeds = 1 }
"""
LONG = """
trials = {trials}
metric = "loss"
direction = "minimize"
target = "instant:trial"
sampler = "random"
pruning = "none"
space.x = {{ float = [0.0, 1.0] }}
selection = {{ candidates = 1, seeds = 1, published_seeds = 1 }}
"""
QUERY = """
import duckdb
tables = "read_parquet('results/sweeps/*/trials.parquet', filename = true)"
print(duckdb.sql(f"SELECT filename, arg_min(number, value), min(value) FROM {tables} GROUP BY filename"))
"""


def ran(command: list[str], folder: Path) -> float:
    """Run a command to its end, and return when it was called, in seconds since the epoch."""
    start = time.time()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return start


def committed(folder: SweepFolder, wanted: Callable[[Row], bool]) -> float:
    """Return when the first wanted row was committed, in seconds since the epoch."""
    with closing(Ledger.open(place_of(folder, None), read_only=True)) as ledger:
        return next(stamp.time for stamp, row in ledger.rows() if wanted(row))


def first_measurement(scratch: Path) -> float:
    shutil.rmtree(scratch / "results", ignore_errors=True)
    (scratch / "first.toml").write_text(FIRST)
    start = ran([COMMAND, "run", "first.toml"], scratch)
    return committed(SweepFolder(scratch / "results", "first"), lambda row: isinstance(row, Measured)) - start


def first_of_ray_tune(scratch: Path) -> float:
    script = Path(__file__).with_name("peers") / "ray_first.py"
    start = time.time()
    done = subprocess.run([sys.executable, str(script)], cwd=scratch, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().splitlines()[-1]) - start


def make_long(scratch: Path, trials: int) -> None:
    """Write a sweep to made/ that is killed once `trials` instant trials have reported."""
    (scratch / "instant.py").write_text('def trial(params, seed):\n    yield {"loss": params["x"]}\n')
    (scratch / "long.toml").write_text(LONG.format(trials=trials + MORE))
    command = [COMMAND, "run", "long.toml", "--results", "made", "--json"]
    run = subprocess.Popen(
        command, cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert run.stdout is not None
    reported = 0
    for line in run.stdout:
        reported += json.loads(line).get("kind") == "measured"
        if reported == trials:
            break
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    if reported < trials:
        raise RuntimeError(f"the long sweep ended after {reported:,} of {trials:,} trials")


def make_many(scratch: Path, count: int) -> None:
    """Copy the table of a long sweep's trials under many names in results/."""
    made = scratch / "results" / "sweeps" / "long"
    for number in range(count):
        (copy := made.with_name(f"copy-{number}")).mkdir()
        shutil.copy(made / "trials.parquet", copy)
    shutil.rmtree(made)


def going_on(scratch: Path) -> float:
    shutil.rmtree(scratch / "results", ignore_errors=True)
    shutil.copytree(scratch / "made", scratch / "results")
    folder = SweepFolder(scratch / "results", "long")
    with closing(Ledger.open(place_of(folder, None), read_only=True)) as ledger:
        known = len(ledger.history().search)

    def is_new(key: TrialKey) -> bool:
        return key.stage == "search" and key.number >= known

    start = ran([COMMAND, "resume", "long"], scratch)
    return committed(folder, lambda row: isinstance(row, Measured) and is_new(row.key)) - start


def answer(scratch: Path) -> float:
    start = time.perf_counter()
    ran([sys.executable, "-c", QUERY], scratch)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=10_000)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        make_long(scratch, given.trials)
        arms: dict[str, Callable[[Path], float]] = {
            "first measurement": first_measurement,
            "first measurement of Ray Tune": first_of_ray_tune,
            f"a sweep of {given.trials:,} trials goes on": going_on,
        }
        rows = [
            {"round": turn, "what": name, "seconds": arms[name](scratch)}
            for turn in range(given.rounds)
            for name in in_turn(arms, turn)
        ]
        going_on(scratch)
        make_many(scratch, 100)
        rows += [
            {"round": turn, "what": "an answer over 100 sweeps", "seconds": answer(scratch)}
            for turn in range(given.rounds)
        ]
    for name in dict.fromkeys(row["what"] for row in rows):
        seconds = [row["seconds"] for row in rows if row["what"] == name]
        print(f"{name}: {statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(provenance()), given.out / "latency.parquet")


if __name__ == "__main__":
    main()
