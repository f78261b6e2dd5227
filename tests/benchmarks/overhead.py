"""Benchmark of a trial's overhead besides its training, and of its growth with the number of trials, by instant trials.

    uv run python tests/benchmarks/overhead.py --out overhead

Each sweep has 8,000 trials of a function that returns at once, in the whole space of the small CNN's preset, two at a
time. The arms take turns: random suggestions without pruning, random suggestions under ASHA (up to nine reports a
trial, also with checkpoints), and TPE without pruning. Ledger, Parquet and all other settings are the defaults.

A trial's overhead is the time from one ask to the next, averaged over the trials between two marks. For a whole sweep
it is the time from the first ask to the sweep's end, per trial. This includes choice, tables, figures and report, Ray's
shutdown, and reading the result. Each sweep has its own process, whose resident set is the driver's memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from concurrency import Memory, rows_of
from machine import in_turn, provenance

import sweeps
from search_spaces import preset, to_table

MARKS = (100, 400, 2000, 7500, 8000)  # trials
FULL = 9  # reports of a trial that ASHA never stops
ARMS: dict[str, dict[str, Any]] = {
    "random": {"sampler": "random", "pruning": "none"},
    "random, ASHA": {"sampler": "random", "pruning": {"name": "asha", "max_fidelity": FULL}},
    "TPE": {"sampler": "tpe", "pruning": "none"},
}


def instant(params: dict[str, Any], seed: int) -> Any:
    """Report once, without any work."""
    yield {"loss": params["learning_rate"]}


def instant_reports(params: dict[str, Any], seed: int, done: int | None) -> Any:
    """Report as often as the pruner allows, without any work, and with a checkpoint each time."""
    for report in range((done or 0) + 1, FULL + 1):
        yield {"loss": params["learning_rate"] / report, "checkpoint": report}


def overhead(arm: str, trials: int, folder: Path) -> list[dict[str, float]]:
    """Return milliseconds per trial from mark to mark and for the whole sweep, and the driver's memory in MiB."""
    memory = Memory()
    table = {
        "name": arm.replace(", ", "-"),
        "trials": trials + 1,  # one more, since the last mark is an ask too
        "metric": "loss",
        "direction": "minimize",
        "space": to_table(preset("custom_cnn")),
        "selection": {"candidates": 1, "seeds": 1, "published_seeds": 1},
        **ARMS[arm],
    }
    target = instant if table["pruning"] == "none" else instant_reports
    result = sweeps.run(table, target=target, results=folder, progress="none")
    ended, history = time.time(), result.history
    whole = 1000 * (ended - history.search[0].asked.time) / trials
    rows = rows_of(history, memory, (mark for mark in MARKS if mark < trials))
    return [{**row, "whole_milliseconds": whole} for row in rows]


def in_a_process(arm: str, trials: int, folder: Path) -> list[dict[str, float]]:
    """Return the rows of `overhead` from a new process, whose driver has run nothing before."""
    words = [sys.executable, __file__, "--out", str(folder), "--trials", str(trials), "--only", arm]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--trials", type=int, default=MARKS[-1])
    parser.add_argument("--only", choices=ARMS, help="one sweep in this process, whose rows are printed")
    given = parser.parse_args()
    if given.only:
        print(json.dumps(overhead(given.only, given.trials, given.out)))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for turn in range(given.rounds):
        for arm in in_turn(given.arms, turn):
            folder = given.out / "results" / str(turn)
            rows += [{"round": turn, "arm": arm} | row for row in in_a_process(arm, given.trials, folder)]
            pq.write_table(
                pa.Table.from_pylist(rows).replace_schema_metadata(provenance()), given.out / "overhead.parquet"
            )
    for arm in given.arms:
        own = [row for row in rows if row["arm"] == arm]
        for mark in sorted({row["trials"] for row in own}):
            found = [row["milliseconds"] for row in own if row["trials"] == mark]
            memory = max(row["memory"] for row in own if row["trials"] == mark)
            print(f"{arm}, to trial {mark:,}: {statistics.median(found):.1f} ms each, driver {memory:.0f} MiB")
        print(f"{arm}, with its end: {statistics.median(row['whole_milliseconds'] for row in own):.1f} ms each")


if __name__ == "__main__":
    main()
