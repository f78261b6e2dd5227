"""Earlier sweeps, read from their Parquet tables for the sampler of a new sweep to learn from."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces import Choice, Constant, Parameter
from sweeps.errors import SpecError
from sweeps.names import as_path
from sweeps.search.earlier import Earlier, warm_start_note
from sweeps.search.history import Noted
from sweeps.spec import SweepSpec, parse_spec
from sweeps.store.columns import SOURCE
from sweeps.store.export import is_json
from sweeps.store.folders import SweepFolder

_NOTHING = object()


def read_warm_start(spec: SweepSpec, place: str, results: Path) -> Noted:
    """Return the ledger row that records an earlier sweep for a new one.

    Args:
        spec: The spec of the new sweep.
        place: The earlier sweep's name in the results folder, or the path of its own folder if there is a "/" in it.
        results: The results folder of the new sweep.

    Raises:
        SweepNotFoundError: There is no sweep of that name.
        SpecError: The earlier sweep's tables can't be read. Or it had another metric, direction, target or data set, or
            none of its trials fits the space.
    """
    names = ("trials", "measurements")
    if "/" in place:
        files = [as_path(place) / f"{name}.parquet" for name in names]
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
    metric = _column(measurements.schema, spec.metric)
    columns = measurements.select(["trial", "replicate", "fidelity", metric]).to_pylist()
    for row in (row for row in columns if row["replicate"] == 0 and row[metric] is not None):
        reports.setdefault(row["trial"], []).append((row["fidelity"], row[metric]))
    columns_of = {name: _column(trials.schema, name) for name in theirs.space.parameters}
    return [
        Earlier(
            _params(spec, theirs, {name: row[column] for name, column in columns_of.items()}),
            row["state"],
            row["state"] == "pruned" and row["reason"].startswith("diverged"),
            tuple(reports.get(row["trial"], ())),
        )
        for row in trials.to_pylist()
        if row["state"] not in ("running", "failed")
    ]


def _column(schema: pa.Schema, name: str) -> str:
    """Return the name of the column for a parameter or metric, given the name that its user gave it."""
    wanted = name.encode()
    found = (field.name for field in schema if (field.metadata or {}).get(SOURCE.encode()) == wanted)
    if (column := next(found, None)) is None:
        raise SpecError(f"warm_start: a table has no column of {name!r}: `sweeps export` writes the tables again")
    return str(column)


def _params(spec: SweepSpec, theirs: SweepSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's parameters under this sweep's names; either sweep may vary what the other holds fixed."""
    parameters = theirs.space.parameters
    varied = {name: value for name, p in parameters.items() if (value := _value(p, row[name])) is not None}
    given = {**theirs.training, **varied}
    ours = {name: value for name, value in given.items() if name in spec.space.parameters}
    # Keep parameters that this sweep fixes at another value: the trial is then left out, with that as the reason.
    return ours | {n: v for n, v in varied.items() if n not in ours and spec.training.get(n, _NOTHING) != v}


def _value(parameter: Parameter, value: Any) -> Any:
    """Return a parameter's value as its trial had it, given the value in the table."""
    if value is None or not isinstance(parameter, Choice | Constant):
        return value
    read = json.loads(value) if is_json(parameter) else value
    values = parameter.values if isinstance(parameter, Choice) else (parameter.value,)
    # Integers among floats are read back as floats.
    return next((known for known in values if known == read), read)
