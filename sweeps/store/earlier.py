"""Earlier sweeps as a new one's sampler may learn from them, read from their Parquet tables."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces import Choice, Parameter
from sweeps.errors import SpecError
from sweeps.search.earlier import Earlier, warm_start_note
from sweeps.search.history import Noted
from sweeps.spec import SweepSpec, parse_spec
from sweeps.store.folders import SweepFolder

_NOTHING = object()


def read_warm_start(spec: SweepSpec, place: str, results: Path) -> Noted:
    """The row for one earlier sweep: its name in the results folder, or its own folder with a '/' in it.

    SweepNotFoundError where there is none of that name; SpecError where its tables can't be read, it had another
    metric, direction, target or data set, or none of its trials fits the space.
    """
    names = ("trials", "measurements")
    if "/" in place:
        files = [Path(place) / f"{name}.parquet" for name in names]
    else:
        folder = SweepFolder(results, place).require()
        files = [folder.fetched(folder.table(name)) for name in names]
    try:
        trials, measurements = (pq.read_table(file) for file in files)
    except (OSError, pa.ArrowException) as error:
        raise SpecError(f"warm_start: the tables of {place!r} can't be read ({error}): name one that ended") from error
    theirs = parse_spec(tomllib.loads(trials.schema.metadata[b"spec"].decode()), f"warm_start: {place}")
    for key in ("metric", "direction", "target", "dataset"):
        before, now = (s.training.get(key) if key == "dataset" else getattr(s, key) for s in (theirs, spec))
        if before != now:
            what = f"{before!r} and not {now!r}"
            raise SpecError(f"warm_start: the {key} of {place!r} is {what}: leave it out")
    note = warm_start_note(spec.space, place, theirs.name, _earlier(spec, theirs, trials, measurements))
    if not note.body["trials"]:
        raise SpecError(f"warm_start: no trial of {place!r} lies in the space ({note.body['why'] or 'it has none'})")
    return note


def _earlier(spec: SweepSpec, theirs: SweepSpec, trials: pa.Table, measurements: pa.Table) -> list[Earlier]:
    reports: dict[int, list[tuple[float, float]]] = {}
    renamed = f"metric_{spec.metric}"  # where a column of another meaning has its name
    metric = renamed if renamed in measurements.column_names else spec.metric
    columns = measurements.select(["trial", "replicate", "fidelity", metric]).to_pylist()
    for row in (row for row in columns if row["replicate"] == 0):
        reports.setdefault(row["trial"], []).append((row["fidelity"], row[metric]))
    return [
        Earlier(
            _params(spec, theirs, row),
            row["state"],
            row["state"] == "pruned" and row["reason"].startswith("diverged"),
            tuple(reports.get(row["trial"], ())),
        )
        for row in trials.to_pylist()
        if row["state"] not in ("running", "failed")
    ]


def _params(spec: SweepSpec, theirs: SweepSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's parameters as this sweep names them: what one of the two holds fixed may vary in the other."""
    varied = {name: value for name, p in theirs.space.parameters.items() if (value := _value(name, p, row)) is not None}
    given = {**theirs.training, **varied}
    ours = {name: value for name, value in given.items() if name in spec.space.parameters}
    # What this sweep holds fixed at another value is kept, so that the trial is left out with this for a reason.
    return ours | {n: v for n, v in varied.items() if n not in ours and spec.training.get(n, _NOTHING) != v}


def _value(name: str, parameter: Parameter, row: Mapping[str, Any]) -> Any:
    value = row[f"params_{name}"] if f"params_{name}" in row else row[name]
    if isinstance(parameter, Choice) and isinstance(value, str) and value not in parameter.values:
        return json.loads(value)  # choices of mixed kinds are kept as JSON, but for texts
    return value
