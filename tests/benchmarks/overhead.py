"""What does a trial cost beside its training, and does it cost more the more there were? Trials that take no time.

    uv run python tests/benchmarks/overhead.py --out overhead

Sweeps of 8,000 trials of a function that returns at once, in the whole space of the small CNN's preset, with the random
sampler and with TPE in turns; ledger, Parquet and all else as they come, two at a time. A trial's overhead is the time
from one ask to the next, over the trials between two marks.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from concurrency import Memory, rows_of
from machine import provenance

import sweeps
from search_spaces import preset, to_table

MARKS = (100, 400, 2000, 8000)  # trials
SAMPLERS = ("random", "tpe")


def instant(params: dict[str, Any], seed: int) -> Any:
    """No work, and one report."""
    yield {"loss": params["learning_rate"]}


def overhead(sampler: str, trials: int, folder: Path) -> list[dict[str, float]]:
    """Milliseconds for each trial from mark to mark, and the driver's memory there, MiB."""
    memory = Memory()
    table = {
        "name": sampler,
        "trials": trials + 1,  # the last mark is an ask too
        "metric": "loss",
        "direction": "minimize",
        "sampler": sampler,
        "pruning": "none",
        "space": to_table(preset("custom_cnn")),
        "selection": {"candidates": 1, "seeds": 1, "published_seeds": 1},
    }
    result = sweeps.run(table, target=instant, results=folder, progress="none")
    return rows_of(result.history, memory, (mark for mark in MARKS if mark < trials))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=MARKS[-1])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for turn in range(given.rounds):
        for sampler in SAMPLERS:
            folder = given.out / "results" / str(turn)
            rows += [{"round": turn, "sampler": sampler} | row for row in overhead(sampler, given.trials, folder)]
            pq.write_table(
                pa.Table.from_pylist(rows).replace_schema_metadata(provenance()), given.out / "overhead.parquet"
            )
    for sampler in SAMPLERS:
        for mark in sorted({row["trials"] for row in rows}):
            found = [row["milliseconds"] for row in rows if (row["sampler"], row["trials"]) == (sampler, mark)]
            memory = max(row["memory"] for row in rows if (row["sampler"], row["trials"]) == (sampler, mark))
            print(f"{sampler}, to trial {mark:,}: {statistics.median(found):.1f} ms each, driver {memory:.0f} MiB")


if __name__ == "__main__":
    main()
