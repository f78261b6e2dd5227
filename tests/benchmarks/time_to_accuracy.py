"""Benchmark of the time until a sweep has a model of 98.5 % validation accuracy: this project, Ray Tune and Optuna.

    uv run python tests/benchmarks/time_to_accuracy.py --out time_to_accuracy --seeds 0 1 2 3 4

All arms search the preset space of the small CNN on the same 8,000 digits, for at most nine epochs. The peers use what
their tutorials use (peers/*_search.py). Time runs from the command to the first report that is good enough. The run is
then stopped, and at the latest after 200 s, which counts as longer than any other time. This project begins with the
preset's default, as every sweep does. The peers run with their own defaults, and also with that first configuration;
this project runs with its defaults, and also in float32. Each seed is a block of all arms in turn. Runs that are
already in the table are skipped, so blocks may be spread over days.
"""

import argparse
import json
import math
import os
import queue
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from machine import in_turn, provenance

GOOD, LIMIT = 0.985, 200.0  # validation accuracy; s
ARMS = {  # script, and its arguments besides the seed
    "ours": ("ours_search.py",),
    "ours, float32": ("ours_search.py", "float32"),
    "Ray Tune": ("ray_search.py",),
    "Ray Tune, from the default": ("ray_search.py", "default"),
    "Optuna, two processes": ("optuna_search.py",),
    "Optuna, from the default": ("optuna_search.py", "default"),
}


def accuracy(line: str) -> float:
    """Return the accuracy that a line of a run reports, or 0 if it reports none."""
    try:
        told = json.loads(line)
    except ValueError:
        return 0.0
    if not isinstance(told, dict):
        return 0.0
    return float(told.get("accuracy") or (told.get("values") or {}).get("validation_accuracy") or 0.0)


def reached(output: IO[str], start: float) -> float:
    """Return the seconds until a line was good enough, or infinity if none was in time.

    Args:
        output: The lines of the run.
        start: When the run started, on the clock of `time.perf_counter`.

    Raises:
        RuntimeError: If the run ends before it is good enough.
    """
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in output:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while (line := lines.get(timeout=max(0.0, start + LIMIT - time.perf_counter()))) is not None:
            if accuracy(line) >= GOOD:
                return time.perf_counter() - start
    except queue.Empty:
        return math.inf
    raise RuntimeError("the run ended before it was good enough")


def timed(seed: int, script: str, *told: str) -> float:
    command = [sys.executable, "-u", str(Path(__file__).with_name("peers") / script), str(seed), *told]
    start = time.perf_counter()
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert run.stdout is not None
    try:
        return reached(run.stdout, start)
    finally:
        os.killpg(run.pid, signal.SIGINT)  # the whole group, so Ray's processes end too
        try:
            run.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "time_to_accuracy.parquet"
    rows = pq.read_table(path).to_pylist() if path.exists() else []
    for seed in given.seeds:
        for name in in_turn(ARMS, seed):
            if any((row["seed"], row["arm"]) == (seed, name) for row in rows):
                continue
            rows.append({"seed": seed, "arm": name, "seconds": timed(seed, *ARMS[name])})
            print(f"seed {seed}, {name}: {rows[-1]['seconds']:.0f} s", flush=True)
            pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(provenance()), path)
    for name in ARMS:
        seconds = [row["seconds"] for row in rows if row["arm"] == name]
        late = sum(map(math.isinf, seconds))
        print(f"{name}: median {statistics.median(seconds):.0f} s of {len(seconds)} seeds, {late} not in {LIMIT:.0f} s")


if __name__ == "__main__":
    main()
