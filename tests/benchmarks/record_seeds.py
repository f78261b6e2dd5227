"""Recording of 40 configurations on 40 common seeds, from which selections can be resampled without training.

    uv run python tests/benchmarks/record_seeds.py --task uniform --out seeds

Each run trains the small CNN for 9 epochs on a few of the embedded digits, and validates on all 2,000 held back after
each epoch. Init and data order vary with the seed. Seed r is the same for all configurations, so they compare in pairs.
Tasks:

    uniform    configurations drawn uniformly from the model's preset, 1,000 digits; number 0 is the preset's baseline
    leaders    the baseline and the 39 best of the 400 in results/reference/curves, 1,000 digits: the typical result
               of a search
    few        as `uniform`, other draws, 600 digits: more noise

Each configuration is kept in its own file once it is done, so a stopped run resumes where it was. At the end they are
joined to `<task>.parquet`. Each task takes a quarter of an hour on two cores.
"""

import argparse
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from recording import Rows, first_digits, join, record

from search_spaces import preset
from study.config import TrialConfig
from study.seeds import derive_seed

MODEL, EPOCHS, CONFIGS, SEEDS = "custom_cnn", 9, 40, 40
SEED = 20261125  # of the draws and of every run
IMAGES = {"uniform": 1000, "leaders": 1000, "few": 600}
CURVES = Path(__file__).parents[2] / "results/reference/curves/learning_curves.parquet"
MEANINGS = {
    "config": "number of the configuration; 0 is the preset's baseline",
    "replicate": "1 … 40: which of the common seeds",
    "epoch": "epochs of the training images seen",
    "validation_loss": "mean loss on the 2,000 images held back",
    "validation_accuracy": "share of the 2,000 images held back that are classified rightly, 0..1",
    "params": "the configuration as JSON",
}


def params_of(task: str, config: int) -> dict[str, Any]:
    """Return the parameters of a task's configuration by number."""
    space = preset(MODEL)
    if config == 0:
        return space.defaults()
    if task == "leaders":
        return leaders()[config - 1]
    return space.sample(random.Random(derive_seed(SEED, task, config)))


def leaders() -> list[dict[str, Any]]:
    """Return the recorded configurations except the baseline, best mean of the last validation accuracies first."""
    curves = pd.read_parquet(CURVES)
    ends = curves[(curves["fidelity"] == EPOCHS) & (curves["config"] != 0)]
    means = ends.groupby("config")["validation_accuracy"].mean().sort_values(ascending=False, kind="stable")
    params = ends.groupby("config")["params"].first()
    return [json.loads(params[config]) for config in means.index]


def runs_of(task: str, config: int) -> Rows:
    """Return the rows of one configuration: each epoch on each seed, up to the divergence of a run."""
    from study.training import Training

    knobs, data = params_of(task, config), first_digits(IMAGES[task])
    rows = []
    for replicate in range(1, SEEDS + 1):
        seed = derive_seed(SEED, "run", replicate)
        trial = TrialConfig(model=MODEL, epochs=EPOCHS, precision="auto", seed=seed, **knobs)
        for measurement in Training(trial, data).run():
            values = {name: measurement.values[name] for name in MEANINGS if name in measurement.values}
            place = {"config": config, "replicate": replicate, "epoch": measurement.report}
            rows.append({**place, **values, "params": json.dumps(knobs, sort_keys=True)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(IMAGES), default="uniform")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("seeds"))
    given = parser.parse_args()
    pieces = record(partial(runs_of, given.task), range(CONFIGS), given.out / given.task, given.processes)
    about = {"model": MODEL, "images": str(IMAGES[given.task]), "epochs": str(EPOCHS), "seed": str(SEED)}
    out = given.out / f"{given.task}.parquet"
    join(pieces, out, ["config", "replicate", "epoch"], MEANINGS, task=given.task, **about)


if __name__ == "__main__":
    main()
