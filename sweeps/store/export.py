"""The Parquet tables of a sweep: typed columns with units and meanings, and provenance in the schema's metadata."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces import Choice, Constant, Float, FloatBy, Int, Parameter, RangeTest
from study.files import replacing
from sweeps.search.effects import Effect, effects
from sweeps.search.history import History, Trial
from sweeps.search.intervals import CONFIDENCE
from sweeps.search.selection import selection_of
from sweeps.spec import SweepSpec
from sweeps.store.columns import SWEEP, Column
from sweeps.store.rows import dump_json
from sweeps.store.selection_table import selection_columns, selection_rows

SCHEMA_VERSION = 3

_PROTOCOL = "epochs or wall-clock, null where the configuration says how long it trains"
_TIME = pa.timestamp("us", tz="UTC")


def parameter_type(parameter: Parameter) -> pa.DataType:
    """The Arrow type that holds every value of a parameter; text (JSON) where its choices are of several kinds."""
    match parameter:
        case Float() | FloatBy() | RangeTest():
            return pa.float64()
        case Int():
            return pa.int64()
    values = parameter.values if isinstance(parameter, Choice) else (parameter.value,)
    kinds = {type(value) for value in values}
    for kind, arrow in ((bool, pa.bool_()), (int, pa.int64()), (str, pa.string())):
        if kinds == {kind}:
            return arrow
    return pa.float64() if kinds <= {int, float} else pa.string()


def _parameter_column(name: str, parameter: Parameter, taken: Iterable[str]) -> Column:
    arrow = parameter_type(parameter)
    is_mixed = arrow == pa.string() and isinstance(parameter, Choice | Constant)

    def value(row: Trial | Effect) -> Any:
        found = row.params.get(name)
        return dump_json(found) if is_mixed and found is not None and not isinstance(found, str) else found

    column = f"params_{name}" if name in (SWEEP, *taken) else name
    return Column(column, arrow, "", "parameter, null where its condition is off", value)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _trial_columns(spec: SweepSpec) -> list[Column]:
    def last(name: str) -> Callable[[Trial], Any]:
        return lambda trial: getattr(trial.last, name) if trial.last else None

    fixed = [
        Column("trial", pa.int64(), "", "number within the sweep; 0 is the baseline", lambda t: t.key.number),
        Column("state", pa.string(), "", "running, paused, cut, pruned, complete or failed", lambda t: t.state),
        Column("reason", pa.string(), "", "why it is in this state", lambda t: t.reason),
        Column("value", pa.float64(), "", f"last finite {spec.metric}", lambda t: t.value(spec.metric)),
        Column("reports", pa.int64(), "", "measurements made", lambda t: len(t.measurements)),
        Column("steps", pa.int64(), "optimizer steps", "at the last measurement", last("step")),
        Column("fidelity", pa.float64(), "epochs", "at the last measurement (reports of a function)", last("fidelity")),
        Column("seconds", pa.float64(), "s", "training time, without validation", last("seconds")),
        Column("trial_seed", pa.int64(), "", "seed that its streams derive from", lambda t: t.seed),
        Column("digest", pa.string(), "", "SHA-256 of the weights at the last measurement", last("digest")),
        Column("environment", pa.string(), "", "SHA-256 of what could change its bits", _environment),
        Column("asked", _TIME, "UTC", "when it was asked for", lambda t: _moment(t.asked.time)),
        Column("ended", _TIME, "UTC", "when it came into its state", lambda t: _moment(t.ended)),
        Column("error", pa.string(), "", "traceback of a failed trial", lambda t: t.detail or None),
    ]
    taken = [column.name for column in fixed]
    return [fixed[0], *_place_columns(spec), *fixed[1:4], *_parameter_columns(spec, taken), *fixed[4:]]


def _parameter_columns(spec: SweepSpec, taken: Iterable[str]) -> list[Column]:
    return [_parameter_column(name, parameter, taken) for name, parameter in spec.space.parameters.items()]


def _place_columns(spec: SweepSpec) -> list[Column]:
    """Where a trial stands in the sweep's design."""
    design = spec.design
    if design is None:
        return []
    return [
        Column("cell", pa.string(), "", "which cell of the design", lambda t: design.place(t.key.number)[0].cell),
        Column("protocol", pa.string(), "", _PROTOCOL, lambda t: design.place(t.key.number)[0].protocol or None),
        Column("replicate", pa.int64(), "", "which common seed", lambda t: design.place(t.key.number)[1]),
    ]


def _environment(trial: Trial) -> str | None:
    return trial.environments[-1] if trial.environments else None


@dataclass(frozen=True)
class _Report:
    trial: Trial
    index: int

    @property
    def measurement(self) -> Any:
        return self.trial.measurements[self.index]


def _measurement_columns(history: History) -> list[Column]:
    names = sorted({name for t in history.trials.values() for m in t.measurements for name in m.values})

    def metric(name: str) -> Callable[[_Report], float | None]:
        return lambda report: report.measurement.values.get(name)

    fixed = [
        Column("trial", pa.int64(), "", "number within the sweep", lambda r: r.trial.key.number),
        Column(
            "replicate",
            pa.int64(),
            "",
            "0 in the search, 1 … fresh seeds that choose, 1001 … published",
            lambda r: r.trial.key.replicate,
        ),
        Column("report", pa.int64(), "", "1, 2, … within the trial", lambda r: r.measurement.report),
        Column("step", pa.int64(), "optimizer steps", "made so far", lambda r: r.measurement.step),
        Column("fidelity", pa.float64(), "epochs", "of data seen (reports of a function)", _fidelity),
        Column("seconds", pa.float64(), "s", "training time so far", lambda r: r.measurement.seconds),
        Column("digest", pa.string(), "", "SHA-256 of the weights", lambda r: r.measurement.digest),
        Column("environment", pa.string(), "", "SHA-256 of what could change its bits", _report_environment),
        Column("seq", pa.int64(), "", "place in the ledger", lambda r: r.trial.seqs[r.index]),
        Column("state", pa.string(), "", "of its trial", lambda r: r.trial.state),
        Column("reason", pa.string(), "", "of its trial", lambda r: r.trial.reason),
    ]
    taken = [column.name for column in fixed]
    metrics = [
        Column(f"metric_{n}" if n in (SWEEP, *taken) else n, pa.float64(), "", "metric as reported", metric(n))
        for n in names
    ]
    return [*fixed[:6], *metrics, *fixed[6:]]


def _fidelity(report: _Report) -> float:
    return float(report.measurement.fidelity)


def _report_environment(report: _Report) -> str | None:
    return report.trial.environments[report.index]


def _cell_columns(spec: SweepSpec) -> list[Column]:
    def three(of: str, what: str, *names: str) -> list[Column]:
        """A mean and the bounds of its interval."""

        def part(field: str) -> Callable[[Effect], float | None]:
            return lambda row: None if getattr(row, of) is None else getattr(getattr(row, of), field)

        bound = f"of its {CONFIDENCE:.0%} t interval over seeds"
        meanings = (what, f"lower bound {bound}", f"upper bound {bound}")
        fields = ("mean", "low", "high")
        return [
            Column(name, pa.float64(), "", meaning, part(field))
            for name, meaning, field in zip(names, meanings, fields, strict=True)
        ]

    start = [
        Column("cell", pa.string(), "", "which cell of the design; the first is the reference", lambda r: r.cell),
        Column("protocol", pa.string(), "", _PROTOCOL, lambda r: r.protocol or None),
    ]
    rest = [
        Column("n", pa.int64(), "seeds", "that came to their end", lambda r: len(r.values)),
        *three("mean", f"{spec.metric}, mean over seeds", "mean", "low", "high"),
        *three(
            "difference",
            "from the reference, mean over the seeds of both",
            "difference",
            "difference_low",
            "difference_high",
        ),
        Column("rank", pa.int64(), "", "by mean within the protocol, 1 is best", lambda r: r.rank),
        *three("test", "accuracy on the test set, mean over seeds", "test_accuracy", "test_low", "test_high"),
        Column("seconds", pa.float64(), "s", "training time of a trial, without validation", lambda r: r.seconds),
        Column(
            "epoch_seconds", pa.float64(), "s", "of one epoch (one report of a function)", lambda r: r.epoch_seconds
        ),
        Column("missing", pa.string(), "", "why a seed has no value", lambda r: r.missing or None),
    ]
    return [*start, *_parameter_columns(spec, [column.name for column in (*start, *rest)]), *rest]


def provenance(spec: SweepSpec, history: History) -> dict[str, str]:
    """Where a table comes from, for its schema's metadata."""
    return {
        "schema_version": str(SCHEMA_VERSION),
        "package": f"nn-training-study {version('nn-training-study')}",
        "sweep": spec.name,
        "spec": spec.to_toml(),
        "spec_hash": spec.hash,
        "seed": str(spec.seed),
        "ledger_rows": str(history.last.seq),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "environments": dump_json({note.body["hash"]: note.body["values"] for note in history.noted("environment")}),
        "outcome": dump_json(history.outcome),
    }


def tables(spec: SweepSpec, history: History) -> dict[str, pa.Table]:
    """The tables as they stand now, by name: trials, measurements, and selection or, of a design, cells."""
    reports = [_Report(t, i) for t in history.trials.values() for i in range(len(t.measurements))]
    about = provenance(spec, history)
    found = {
        "trials": _table(_trial_columns(spec), history.search, about),
        "measurements": _table(_measurement_columns(history), reports, about),
    }
    if spec.design:
        return {**found, "cells": _table(_cell_columns(spec), effects(spec, history), about)}
    judged = selection_rows(history, selection_of(spec, history))
    return {**found, "selection": _table(selection_columns(spec), judged, about)}


def _table(columns: list[Column], rows: list[Any], about: Mapping[str, str]) -> pa.Table:
    columns = [Column(SWEEP, pa.string(), "", "name of the sweep", lambda _: about["sweep"]), *columns]
    schema = pa.schema([column.field for column in columns], metadata=dict(about))
    arrays = [pa.array([column.value(row) for row in rows], column.type) for column in columns]
    return pa.Table.from_arrays(arrays, schema=schema)


def to_frame(table: pa.Table) -> Any:
    """The table as a pandas frame whose whole numbers and booleans stay such beside nulls."""
    import pandas as pd

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype()}
    return table.to_pandas(types_mapper=nullable.get)


def write_tables(to: Path, spec: SweepSpec, history: History) -> None:
    """Write each table into a folder, in one rename."""
    for name, table in tables(spec, history).items():
        # Through pandas once, so that a reader's frame has the nullable types too.
        typed = pa.Table.from_pandas(to_frame(table), schema=table.schema, preserve_index=False)
        with replacing(to / f"{name}.parquet") as temporary:
            pq.write_table(typed, temporary, compression="zstd")
