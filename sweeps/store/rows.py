"""The rows of a ledger as columns of its tables, the same for every store, and the chain that links them."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from study.measurement import Measurement
from sweeps.search.history import Asked, Decided, Measured, Moved, Noted, Row, TrialKey

metadata = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any] | sa.UniqueConstraint) -> sa.Table:
    """Return a table whose rows carry the ledger-wide sequence number and the time of their commit."""
    stamp = (
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", sa.Double),
        sa.Column("digest_chain", sa.Text, nullable=False),
    )
    return sa.Table(name, metadata, *stamp, *columns)


def _key_columns() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return sa.Column("number", sa.Integer, nullable=False), sa.Column("replicate", sa.Integer, nullable=False)


SWEEP = sa.Table(
    "sweep",
    metadata,
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("spec_hash", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)
_trials = _table(
    "trials",
    *_key_columns(),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("number", "replicate"),
)
# Reports and decisions may repeat a number, after a note that revokes the earlier ones.
_measurements = _table(
    "measurements",
    *_key_columns(),
    sa.Column("report", sa.Integer, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("fidelity", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("digest", sa.Text),
    sa.Column("environment", sa.Text),
)
_decisions = _table(
    "decisions",
    *_key_columns(),
    sa.Column("rung", sa.Integer, nullable=False),
    sa.Column("level", sa.Double, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
)
_transitions = _table(
    "transitions",
    *_key_columns(),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)
_notes = _table(
    "notes",
    sa.Column("number", sa.Integer),
    sa.Column("replicate", sa.Integer),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)


ROWS = (_trials, _measurements, _decisions, _transitions, _notes)


def dump_json(value: object) -> str:
    """Return canonical JSON that keeps every float exactly; non-finite ones become tables like {"__float__": "nan"}."""
    return json.dumps(_encode(value), sort_keys=True, allow_nan=False)


def load_json(text: str) -> Any:
    """Return the value that `dump_json` wrote."""
    return json.loads(text, object_hook=_decoded)


def _decoded(table: dict[str, Any]) -> Any:
    """Return the float that a table encodes, or the table itself if it only shares the key, as a parameter may."""
    is_number = set(table) == {"__float__"} and table["__float__"] in ("nan", "inf", "-inf")
    return float(table["__float__"]) if is_number else table


def _encode(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": str(value)}
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def storable(text: str) -> str:
    """Return text that any store accepts: lone surrogates and NULs, as a traceback may hold, become escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def to_columns(row: Row) -> tuple[sa.Table, dict[str, Any]]:
    """Return the table and the column values of a row, without its stamp."""
    if isinstance(row, Noted):
        number, replicate = row.key or (None, None)
        return _notes, {
            "number": number,
            "replicate": replicate,
            "kind": row.kind,
            "body": dump_json(row.body),
        }
    key = {"number": row.key.number, "replicate": row.key.replicate}
    match row:
        case Asked():
            return _trials, key | {"params": dump_json(row.params), "seed": row.seed, "seen": row.seen}
        case Measured():
            m = row.measurement
            fields = {"report": m.report, "step": m.step, "fidelity": m.fidelity, "seconds": m.seconds}
            rest = {"metrics": dump_json(m.values), "digest": m.digest, "environment": row.environment}
            return _measurements, key | fields | rest
        case Decided():
            verdict = {"verdict": row.verdict, "reason": row.reason, "seen": row.seen}
            return _decisions, key | {"rung": row.rung, "level": row.level} | verdict
        case Moved():
            return _transitions, key | {
                "state": row.state,
                "reason": storable(row.reason),
                "detail": storable(row.detail),
            }


def from_columns(table: sa.Table, column: Mapping[str, Any]) -> Row:
    """Return the row with the given column values of a table; raise ValueError if they hold invalid JSON."""
    if table is _notes:
        note_key = None if column["number"] is None else TrialKey(column["number"], column["replicate"])
        return Noted(column["kind"], load_json(column["body"]), note_key)
    key = TrialKey(column["number"], column["replicate"])
    if table is _trials:
        return Asked(key, load_json(column["params"]), column["seed"], column["seen"])
    if table is _measurements:
        numbers = (column["report"], column["step"], column["fidelity"], column["seconds"])
        measurement = Measurement(*numbers, load_json(column["metrics"]), column["digest"])
        return Measured(key, measurement, column["environment"])
    if table is _decisions:
        return Decided(key, *(column[name] for name in ("rung", "level", "verdict", "reason", "seen")))
    return Moved(key, column["state"], column["reason"], column["detail"])


def link(before: str, table: sa.Table, values: Mapping[str, Any]) -> str:
    """Return a row's digest: SHA-256 over the previous row's digest, its table and its values as they are read back."""
    read = {
        column.name: values[column.name]
        if values[column.name] is None or not isinstance(column.type, sa.Double)
        # An integer in a Double column is read back as a float.
        else float(values[column.name])
        for column in table.columns
        if column.name != "digest_chain"
    }
    return hashlib.sha256(f"{before}{table.name}{dump_json(read)}".encode()).hexdigest()
