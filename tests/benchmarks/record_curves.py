"""Record the learning curves of random configurations, for simulations of pruners and samplers without training.

    uv run python tests/benchmarks/record_curves.py --out curves --configs 320 --processes 2

The small CNN on the first 4,000 of the embedded digits (balanced), validated on all 2,000 held back, for 9 epochs with
three reports an epoch, on two seeds each. Configurations are drawn uniformly from the model's preset; number 0 is its
baseline. Each is kept in a file of its own as it is done, so that a run that was stopped goes on where it was; at the
end they are joined to `learning_curves.parquet`. An hour on two cores.

What a report cost is the processor's time since the one before, training and validation together: on one thread that is
the wall-clock of a machine with nothing else to do.
"""

import argparse
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from machine import provenance

from search_spaces import preset
from study.config import TrialConfig
from study.seeds import derive_seed

if TYPE_CHECKING:
    from study.data import Dataset

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
    """The parameters of a configuration by number."""
    space = preset(MODEL)
    return space.defaults() if config == 0 else space.sample(random.Random(derive_seed(SEED, "config", config)))


@cache
def part_of_the_digits() -> "Dataset":
    """The embedded digits with the first 4,000 images to train on: every class has 400."""
    from study.data import EMBEDDED, Split, load

    data = load(EMBEDDED)
    return replace(data, train=Split(data.train.images[:IMAGES], data.train.labels[:IMAGES]))


def curves_of(config: int) -> list[dict[str, Any]]:
    """The rows of one configuration: every report of both seeds. A run that diverges ends there."""
    from study.training import Training

    rows = []
    for replicate in range(1, SEEDS + 1):
        knobs = params_of(config)
        seed = derive_seed(SEED, "run", config, replicate)
        trial = TrialConfig(
            model=MODEL, epochs=EPOCHS, reports_per_epoch=REPORTS_PER_EPOCH, precision="auto", seed=seed, **knobs
        )
        data = part_of_the_digits()
        start = time.process_time()
        for measurement in Training(trial, data).run():
            values = {name: measurement.values[name] for name in MEANINGS if name in measurement.values}
            place = {"report": measurement.report, "fidelity": measurement.fidelity}
            spent = {"cpu_seconds": time.process_time() - start}
            rows.append({"config": config, "replicate": replicate, **place, **spent, **values})
    return [{**row, "params": json.dumps(params_of(config), sort_keys=True)} for row in rows]


def join(pieces: list[Path], out: Path) -> None:
    """All pieces as one table whose columns say what they mean."""
    frame = pd.concat([pd.read_json(piece) for piece in pieces]).sort_values(["config", "replicate", "report"])
    # JSON turns a column of JSON texts into what they say only where asked: `params` stays text.
    table = pa.Table.from_pandas(frame[list(MEANINGS)], preserve_index=False)
    fields = [table.schema.field(name).with_metadata({"meaning": meaning}) for name, meaning in MEANINGS.items()]
    about = provenance() | {"model": MODEL, "images": str(IMAGES), "epochs": str(EPOCHS), "seed": str(SEED)}
    pq.write_table(table.cast(pa.schema(fields, metadata=about)), out, compression="zstd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=int, default=320)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("curves"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    pieces = {config: given.out / f"{config:04}.json" for config in range(given.configs)}
    todo = [config for config, piece in pieces.items() if not piece.exists()]
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(curves_of, config): config for config in todo}
        for done, future in enumerate(as_completed(running), start=1):
            piece = pieces[running[future]]
            temporary = piece.with_suffix(".part")
            temporary.write_text(json.dumps(future.result()))
            temporary.replace(piece)
            print(f"{done} of {len(todo)}: configuration {running[future]}", flush=True)
    join(list(pieces.values()), given.out / "learning_curves.parquet")


if __name__ == "__main__":
    main()
