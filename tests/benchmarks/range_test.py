"""Benchmark of range tests: the same sweeps with the preset's bounds, with seven decades, and with measured bounds.

    uv run python tests/benchmarks/range_test.py --trials 24 --out range_test.parquet

Arms are interleaved seed by seed and share their seeds. The result is the winner's mean on fresh seeds, which excludes
the luck of a search. Differences between arms are paired by seed. The benchmark measures results, not time.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from machine import provenance

import sweeps
from sweeps.execution.session import session
from sweeps.search.intervals import interval
from sweeps.sections import Resources
from sweeps.spec import load_spec

ARMS: dict[str, Any] = {
    "preset": {},
    "wide": {"learning_rate": {"float": [1e-6, 10.0], "log": True, "default": 0.05}},
    "measured": {"learning_rate": {"range_test": True}},
}
IMAGES = 8000  # in the training set of the embedded digits
GOOD = 0.98  # validation accuracy that a search should reach


def one(arm: str, seed: int, given: argparse.Namespace, results: Path) -> dict[str, Any]:
    """Run one sweep, and return its row."""
    table = {
        "name": f"{arm}-{seed}",
        "seed": seed,
        "trials": given.trials,
        "training": {"model": given.model, "epochs": given.epochs},
        "space": {"preset": given.model, **ARMS[arm]},
        "selection": {"candidates": 3, "seeds": 2, "published_seeds": 2},
    }
    result = sweeps.run(load_spec(table), results=results, progress="none")
    outcome, ramps = result.history.outcome or {}, list(result.history.noted("range_test"))
    images = (
        sum(len(note.body["losses"]) for note in ramps) * result.spec.trial_config(result.spec.baseline, 0).batch_size
    )
    ramped = images / IMAGES  # epochs that the range tests took before the search
    reports = result.measurements.query("replicate == 0").sort_values("seq")
    gained = reports.groupby("trial")["fidelity"].diff().fillna(reports["fidelity"]).cumsum() + ramped
    good = gained[reports["validation_accuracy"] >= GOOD]
    return {
        "arm": arm,
        "seed": seed,
        "model": given.model,
        "trials": given.trials,
        "epochs": given.epochs,
        "winner_mean": outcome["mean"],
        "searched": outcome["searched"],
        "test_accuracy": outcome["test_accuracy"],
        "ramp_epochs": ramped,
        "epochs_trained": gained.iloc[-1],
        "epochs_until_good": good.iloc[0] if len(good) else None,
        "diverged": sum(trial.diverged for trial in result.history.search),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="custom_cnn")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("range_test.parquet"))
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, session(Resources()):
        for seed in range(given.seeds):
            for arm in ARMS:
                rows.append(one(arm, seed, given, Path(folder)))
                print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    frame.attrs = provenance()
    frame.to_parquet(given.out)
    print(frame.groupby("arm", sort=False).mean(numeric_only=True).to_string())
    by_seed = frame.pivot_table(index="seed", columns="arm", values="winner_mean")
    for arm in ("preset", "wide"):
        found = interval((by_seed["measured"] - by_seed[arm]).tolist())
        assert found is not None
        bounds = "" if found.low is None else f" [{found.low:+.5f}, {found.high:+.5f}]"
        print(f"measured minus {arm}, winner's mean on fresh seeds, {found.n} pairs: {found.mean:+.5f}{bounds}")


if __name__ == "__main__":
    main()
