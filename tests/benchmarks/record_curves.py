"""Recording of learning curves of random configurations, for simulations of pruners and samplers without training.

    uv run python tests/benchmarks/record_curves.py --out curves --configs 320 --processes 2

The small CNN is trained on the first 4,000 of the embedded digits (balanced), and validated on all 2,000 held back.
Each configuration runs for 9 epochs, with three reports an epoch, on two seeds. Configurations are drawn uniformly from
the model's preset, and number 0 is its baseline. Each is kept in its own file once it is done, so a stopped run resumes
where it was. At the end they are joined to `learning_curves.parquet`. It takes an hour on two cores.

The cost of a report is the processor time since the previous one, training and validation together. On one thread that
is the wall-clock time of a machine with no other load.
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

from recording import Rows, first_digits, join, record

from search_spaces import preset
from study.config import TrialConfig
from study.seeds import derive_seed

MODEL, IMAGES, EPOCHS, REPORTS_PER_EPOCH, SEEDS = "custom_cnn", 4000, 9, 3, 2
SEED = 20261125  # of the draw of configurations, and of every run
MEANINGS = {
    "config": "number of the configuration; 0 is the preset's baseline",
    "replicate": "1 or 2: which of its two seeds",
    "report": "number of the report, from 1; there are three an epoch",
    "fidelity": "epochs of the 4,000 images seen",
    "cpu_seconds": "processor time of this trial up to this report, training and validation, s",
    "train_loss": "mean loss of the batches since the report before",
    "validation_loss": "mean loss on the 2,000 images held back",
    "validation_accuracy": "share of the 2,000 images held back that are classified rightly, 0..1",
    "params": "the configuration as JSON",
}


def params_of(config: int) -> dict[str, Any]:
    """Return the parameters of a configuration by number."""
    space = preset(MODEL)
    return space.defaults() if config == 0 else space.sample(random.Random(derive_seed(SEED, "config", config)))


def curves_of(config: int) -> Rows:
    """Return the rows of one configuration: every report of both seeds, up to the divergence of a run."""
    from study.training import Training

    rows = []
    for replicate in range(1, SEEDS + 1):
        knobs = params_of(config)
        seed = derive_seed(SEED, "run", config, replicate)
        trial = TrialConfig(
            model=MODEL, epochs=EPOCHS, reports_per_epoch=REPORTS_PER_EPOCH, precision="auto", seed=seed, **knobs
        )
        data = first_digits(IMAGES)
        start = time.process_time()
        for measurement in Training(trial, data).run():
            values = {name: measurement.values[name] for name in MEANINGS if name in measurement.values}
            place = {"report": measurement.report, "fidelity": measurement.fidelity}
            spent = {"cpu_seconds": time.process_time() - start}
            rows.append({"config": config, "replicate": replicate, **place, **spent, **values})
    return [{**row, "params": json.dumps(params_of(config), sort_keys=True)} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=int, default=320)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("curves"))
    given = parser.parse_args()
    pieces = record(curves_of, range(given.configs), given.out, given.processes)
    about = {"model": MODEL, "images": str(IMAGES), "epochs": str(EPOCHS), "seed": str(SEED)}
    join(pieces, given.out / "learning_curves.parquet", ["config", "replicate", "report"], MEANINGS, **about)


if __name__ == "__main__":
    main()
