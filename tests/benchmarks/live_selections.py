"""Three live sweeps as a check on `selections.py`: their published results against the means of many more seeds.

    uv run python tests/benchmarks/live_selections.py --out live

Each sweep is the quickstart from another seed, with the default selection. Afterwards the winner, the best single run
of the search and the baseline are trained on 20 seeds that no sweep has seen. This takes a quarter of an hour on two
cores. Results that exist already are not computed again.
"""

import argparse
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from machine import provenance
from recording import Rows, record

import sweeps
from study.seeds import derive_seed
from sweeps.search.selection import BASELINE, candidates

SWEEPS, SEEDS = (1, 2, 3), 20
SELECTION = {"candidates": 5, "seeds": 5, "published_seeds": 7}


def swept(folder: Path, seed: int) -> sweeps.Result:
    """Return the sweep from this seed: run it if it does not exist yet, or resume it where it was stopped."""
    name = f"live-{seed}"
    try:
        found = sweeps.load(name, results=folder)
    except sweeps.SweepNotFoundError:
        table = {**sweeps.load_spec("quickstart").to_table(), "name": name, "selection": SELECTION}
        return sweeps.run(table, seed=seed, results=folder)
    return found if found.history.outcome else sweeps.resume(name, results=folder)


def runs_of(folder: Path, place: int) -> Rows:
    """Return the values of one configuration on its own seeds; `place` is 1000 × the sweep's seed + its trial."""
    from study.data import EMBEDDED, load
    from study.training import Training

    seed, number = divmod(place, 1000)
    result, data = swept(folder, seed), load(EMBEDDED)
    rows = []
    for replicate in range(SEEDS):
        config = result.spec.trial_config(result.trial(number).params, derive_seed(seed, "live", replicate))
        *_, last = Training(config, data).run()
        rows.append({"place": place, "replicate": replicate, "value": last.values[result.spec.metric]})
    return rows


def row_of(folder: Path, seed: int, means: dict[int, float]) -> dict[str, Any]:
    result = swept(folder, seed)
    outcome = result.history.outcome or {}
    winner, single = outcome["winner"], candidates(result.spec, result.history)[0]
    published = {name: outcome[name] for name in ("mean", "low", "high", "searched", "optimism", "test_accuracy")}
    truth = means[1000 * seed + winner]
    return {
        "sweep": seed,
        "winner": winner,
        **published,
        "winner_on_20": truth,
        "covered": outcome["low"] <= truth <= outcome["high"],
        "single": single,
        "single_searched": result.trial(single).value(result.spec.metric),
        "single_on_20": means[1000 * seed + single],
        "baseline_mean": outcome["baseline_mean"],
        "baseline_on_20": means[1000 * seed + BASELINE],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("live"))
    given = parser.parse_args()
    places = set()
    for seed in SWEEPS:
        result = swept(given.out, seed)
        numbers = {(result.history.outcome or {})["winner"], candidates(result.spec, result.history)[0], BASELINE}
        places |= {1000 * seed + number for number in numbers}
    pieces = record(partial(runs_of, given.out), sorted(places), given.out / "pieces", given.processes)
    values = {int(piece.stem): [row["value"] for row in json.loads(piece.read_text())] for piece in pieces}
    means = {place: math.fsum(found) / len(found) for place, found in values.items()}
    frame = pd.DataFrame([row_of(given.out, seed, means) for seed in SWEEPS])
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(provenance()), given.out / "live.parquet")
    print(frame.round(4).T.to_string())


if __name__ == "__main__":
    main()
