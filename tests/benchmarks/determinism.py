"""Benchmark of the wall time of deterministic sweeps: the same simulated sweeps with and without, on 1 to 4 workers.

    uv run python tests/benchmarks/determinism.py

The sweeps run on the recorded learning curves, in simulated time. A deterministic sweep makes other decisions than one
that is not. The comparison is therefore of the time for which a worker is present (working or waiting) for each second
that it works.
"""

import argparse
import statistics
from pathlib import Path

from pruner_arms import Ours
from pruners import ordered, read_curves, seen, simulate

CONFIGURATIONS, IMAGINED = 100, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=Path("results/reference/curves/learning_curves.parquet"))
    parser.add_argument("--orders", type=int, default=10)
    given = parser.parse_args()
    curves, _ = read_curves(given.curves)
    specs = ({}, {"deterministic": True, "concurrency": IMAGINED})
    for workers in range(1, IMAGINED + 1):
        ratios = []
        for order in range(given.orders):
            table = [seen(curve, "early") for curve in ordered(curves, order)][:CONFIGURATIONS]
            runs = [simulate(Ours(len(table), order, spec), table, workers) for spec in specs]
            plain, deterministic = (ended * workers / busy for _, busy, ended in runs)
            ratios.append(deterministic / plain)
        spread = f"from {min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{workers} workers of {IMAGINED} imagined: {statistics.median(ratios):.2f} times as long ({spread})")


if __name__ == "__main__":
    main()
