"""The Parquet tables of a sweep: typed columns with units and meanings, and provenance in the schema's metadata."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces import Choice, Constant, Float, FloatBy, Int, Parameter, RangeTest, Scalar
from study.files import replacing
from sweeps.search.effects import Effect, effects
from sweeps.search.history import History, Trial
from sweeps.search.intervals import CONFIDENCE
from sweeps.search.selection import selection_of
from sweeps.search.standing import is_over, shown_state
from sweeps.spec import SweepSpec
from sweeps.store.columns import SWEEP, Column, in_brief, unique_names
from sweeps.store.rows import dump_json
from sweeps.store.selection_table import selection_columns, selection_rows

SCHEMA_VERSION = 3

_PROTOCOL = "epochs or wall-clock, null where the configuration says how long it trains"
_OFF = ", null where its condition is off"
_TIME = pa.timestamp("us", tz="UTC")


def parameter_type(parameter: Parameter) -> pa.DataType:
    """Return the Arrow type that keeps a parameter's values distinct, or string if they are kept as JSON text."""
    match parameter:
        case Float() | FloatBy() | RangeTest():
            return pa.float64()
        case Int():
            return pa.int64()
    values = (parameter.value,) if isinstance(parameter, Constant) else _values(parameter)
    kinds = {type(value) for value in values}
    for kind, arrow in ((bool, pa.bool_()), (int, pa.int64()), (str, pa.string())):
        if kinds == {kind}:
            return arrow
    return pa.string() if is_json(parameter) else pa.float64()


def is_json(parameter: Parameter) -> bool:
    """Return whether a parameter's values are kept as JSON text, because its choices have several types.

    JSON text keeps choices such as 1 and "1" distinct. A mix of integers and floats stays numeric, unless a value
    exceeds 2**53 in magnitude, beyond which floats can't tell all integers apart.
    """
    kinds = {type(value) for value in _values(parameter)}
    if len(kinds) < 2:
        return False
    return not kinds <= {int, float} or any(abs(value) > 2**53 for value in _values(parameter))  # type: ignore[arg-type]


def _values(parameter: Parameter) -> tuple[Scalar, ...]:
    return parameter.values if isinstance(parameter, Choice) else ()


def _parameter_columns(spec: SweepSpec, fixed: Iterable[str]) -> list[Column]:
    parameters = spec.space.parameters
    names = unique_names(fixed, parameters, "params_")
    return [_parameter_column(names[name], name, parameter) for name, parameter in parameters.items()]


def _parameter_column(column: str, name: str, parameter: Parameter) -> Column:
    """Return a parameter's column for a table of trials or of effects."""
    if not is_json(parameter):
        value = _parameter_value(name)
        return Column(column, parameter_type(parameter), "", f"parameter{_OFF}", value, name)
    plain = _parameter_value(name)
    meaning = f"parameter as JSON text, since its choices are of several kinds{_OFF}"

    def as_text(row: Trial | Effect) -> str | None:
        value = plain(row)
        return None if value is None else dump_json(value)

    return Column(column, pa.string(), "", meaning, as_text, name, is_json=True)


def _parameter_value(name: str) -> Callable[[Trial | Effect], Any]:
    return lambda row: row.params.get(name)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


_Shown = Callable[[Trial], str]
_STATES = "running, paused, cut, pruned, complete or failed; stopped at a rung where a sweep is over"


def _trial_columns(spec: SweepSpec, state: _Shown) -> list[Column]:
    def last(name: str) -> Callable[[Trial], Any]:
        return lambda trial: getattr(trial.last, name) if trial.last else None

    fixed = [
        Column("trial", pa.int64(), "", "number within the sweep; 0 is the baseline", lambda t: t.key.number),
        Column("state", pa.string(), "", _STATES, state),
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
    place = _place_columns(spec)
    parameters = _parameter_columns(spec, [column.name for column in (*fixed, *place)])
    return [fixed[0], *place, *fixed[1:4], *parameters, *fixed[4:]]


def _place_columns(spec: SweepSpec) -> list[Column]:
    """Return the columns that give a trial's place in the sweep's design, or none without a design."""
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


def _measurement_columns(history: History, state: _Shown) -> list[Column]:
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
        Column("state", pa.string(), "", "of its trial", lambda r: state(r.trial)),
        Column("reason", pa.string(), "", "of its trial", lambda r: r.trial.reason),
    ]
    columns = unique_names([column.name for column in fixed], names, "metric_")
    metrics = [Column(columns[n], pa.float64(), "", "metric as reported", metric(n), n) for n in names]
    return [*fixed[:6], *metrics, *fixed[6:]]


def _fidelity(report: _Report) -> float:
    return float(report.measurement.fidelity)


def _report_environment(report: _Report) -> str | None:
    return report.trial.environments[report.index]


def _cell_columns(spec: SweepSpec) -> list[Column]:
    def three(of: str, what: str, *names: str) -> list[Column]:
        """Return the columns of a mean and of the bounds of its interval."""

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
        Column("n", pa.int64(), "seeds", "that are complete", lambda r: len(r.values)),
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
    """Return the provenance of a sweep's tables, for the metadata of their schemas."""
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


Warn = Callable[[str], None]


def tables(spec: SweepSpec, history: History) -> dict[str, pa.Table]:
    """Return the current tables by name: trials, measurements, and cells for a design or selection for a search."""
    return {name: make(lambda _: None) for name, make in _makers(spec, history).items()}


def _makers(spec: SweepSpec, history: History) -> dict[str, Callable[[Warn], pa.Table]]:
    """Return a function for each table that makes it and warns about each column with text instead of its type."""
    about = provenance(spec, history)
    standing = "over" if is_over(spec, history) else "running"

    def state(trial: Trial) -> str:
        return shown_state(trial.state, standing)

    def reports() -> list[_Report]:
        return [_Report(t, i) for t in history.trials.values() for i in range(len(t.measurements))]

    def made(name: str, columns: Callable[[], list[Column]], rows: Callable[[], list[Any]]) -> Callable[[Warn], Any]:
        return lambda warn: _table(columns(), rows(), about, partial(_warn, warn, name))

    found = {
        "trials": made("trials", lambda: _trial_columns(spec, state), lambda: history.search),
        "measurements": made("measurements", lambda: _measurement_columns(history, state), reports),
    }
    if spec.design:
        return {**found, "cells": made("cells", lambda: _cell_columns(spec), lambda: effects(spec, history))}

    def judged() -> list[Any]:
        return selection_rows(history, selection_of(spec, history))

    return {**found, "selection": made("selection", lambda: selection_columns(spec), judged)}


def _warn(warn: Warn, table: str, column: str, why: str) -> None:
    warn(f"the column {column!r} of {table}.parquet holds text instead of its type ({why})")


def _table(
    columns: list[Column], rows: list[Any], about: Mapping[str, str], warn: Callable[[str, str], None]
) -> pa.Table:
    columns = [Column(SWEEP, pa.string(), "", "name of the sweep", lambda _: about["sweep"]), *columns]
    made = []
    for column in columns:
        field, array, why = column.array(rows)
        made.append((field, array))
        if why:
            warn(column.name, why)
    schema = pa.schema([field for field, _ in made], metadata=dict(about))
    return pa.Table.from_arrays([array for _, array in made], schema=schema)


def to_frame(table: pa.Table) -> Any:
    """Return the table as a pandas frame with nullable dtypes, so nulls don't change integers and booleans.

    Its attribute `attrs["json"]` has the names of the columns whose texts are JSON values.
    """
    import pandas as pd

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype()}
    frame = table.to_pandas(types_mapper=nullable.get)
    frame.attrs["json"] = [field.name for field in table.schema if (field.metadata or {}).get(b"encoding") == b"json"]
    return frame


def write_tables(to: Path, spec: SweepSpec, history: History, warn: Warn) -> None:
    """Write each table into a folder, atomically.

    Args:
        to: The folder, which is created if needed.
        spec: The spec of the sweep.
        history: The rows of its ledger.
        warn: Called with a line for each column that holds text instead of its type, and for each table that can't be
            made. The other tables are still written.

    Raises:
        OSError: A file can't be written. The other tables are written first.
    """
    failed = []
    for name, make in _makers(spec, history).items():
        try:
            table = make(warn)
            # The round trip through pandas gives a reader's frame the nullable dtypes too.
            typed = pa.Table.from_pandas(to_frame(table), schema=table.schema, preserve_index=False)
            with replacing(to / f"{name}.parquet") as temporary:
                pq.write_table(typed, temporary, compression="zstd")
        except OSError as error:
            failed.append(error)
        except Exception as error:  # an error in one table must not stop the others
            warn(f"{name}.parquet could not be written ({in_brief(error)})")
    if failed:
        raise failed[0]
