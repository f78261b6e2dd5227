"""Benchmark of the time that 27 trainings take as a sweep of this project, of Ray Tune, of Optuna and of Syne Tune.

    uv run --group benchmarks python tests/benchmarks/throughput.py --out throughput

All train the same configurations of the small CNN (drawn at random from its preset) on the same 8,000 digits for the
same epochs. As in halving, these are 18 for one epoch, 6 for three and 3 for nine, which excludes the luck of a search.
Each command is timed as a whole, including start-up, and the arms take turns. The peers' scripts are in peers/, and
train in float32. One arm of ours also trains in float32, and another chooses the precision itself. Syne Tune starts one
more trial than requested, whose epochs are counted too.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from machine import in_turn, provenance

from search_spaces import preset

EPOCHS = [9] * 3 + [3] * 6 + [1] * 18
ARMS = {  # script and its further arguments
    "ours": ("ours.py",),
    "ours, float32": ("ours.py", "float32"),
    "Ray Tune": ("ray_tune.py",),
    "Optuna, two processes": ("optuna_alone.py",),
    "Syne Tune": ("syne_tune_sweep.py",),
}


def configurations(seed: int) -> list[dict[str, Any]]:
    """Return the configurations as tables of knobs."""
    draw, space = random.Random(seed), preset("custom_cnn")
    return [{**space.sample(draw), "epochs": epochs, "seed": place} for place, epochs in enumerate(EPOCHS)]


def timed(file: Path, script: str, *told: str) -> tuple[float, float]:
    """Run a script on a file of configurations.

    Returns:
        Its wall-clock time in seconds, and the number of epochs that it trained.

    Raises:
        RuntimeError: If the script fails or trains too few epochs.
    """
    command = [sys.executable, str(Path(__file__).with_name("peers") / script), str(file), *told]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    lines = done.stdout.strip().splitlines()
    if done.returncode or (epochs := json.loads(lines[-1])["epochs"]) < sum(EPOCHS):
        raise RuntimeError(f"{script} did not make {sum(EPOCHS)} epochs:\n{done.stdout[-500:]}\n{done.stderr[-2000:]}")
    return seconds, epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out.absolute() / "configurations.json"
    file.write_text(json.dumps(configurations(given.seed), indent=1))
    rows = []
    for turn in range(given.rounds):
        for name in in_turn(ARMS, turn):
            seconds, epochs = timed(file, *ARMS[name])
            rows.append({"round": turn, "arm": name, "seconds": seconds, "epochs": epochs})
            print(f"round {turn + 1}, {name}: {seconds:.0f} s, {epochs / seconds:.2f} epochs/s", flush=True)
            table = pa.Table.from_pylist(rows).replace_schema_metadata(provenance("syne-tune"))
            pq.write_table(table, given.out / "throughput.parquet")
    speeds = {(row["round"], row["arm"]): row["epochs"] / row["seconds"] for row in rows}
    for name in ARMS:
        times = [speeds[turn, "ours"] / speeds[turn, name] for turn in range(given.rounds)]
        middle = statistics.median(speeds[turn, name] for turn in range(given.rounds))
        print(
            f"{name}: {middle:.2f} epochs/s; ours is {statistics.median(times):.2f} times as fast "
            f"({min(times):.2f} to {max(times):.2f})"
        )


if __name__ == "__main__":
    main()
