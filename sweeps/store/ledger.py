"""The store of one sweep: append-only tables, one commit a row; this module alone knows the form on disk.

Each row carries a digest over its values and the digest of the row before it: a value that is changed later breaks the
chain at its row.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from study.files import replacing
from study.measurement import Measurement
from sweeps.errors import LedgerError
from sweeps.search.history import Asked, Decided, History, Measured, Moved, Noted, Row, Stamp, TrialKey
from sweeps.spec import SweepSpec, parse_spec

SCHEMA_VERSION = 2

_metadata = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any] | sa.UniqueConstraint) -> sa.Table:
    """A table whose rows carry the ledger-wide sequence number and the time of their commit."""
    stamp = (
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", sa.Double),
        sa.Column("digest_chain", sa.Text, nullable=False),
    )
    return sa.Table(name, _metadata, *stamp, *columns)


def _key_columns() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return sa.Column("number", sa.Integer, nullable=False), sa.Column("replicate", sa.Integer, nullable=False)


_sweep = sa.Table(
    "sweep",
    _metadata,
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
    sa.UniqueConstraint("number", "replicate", "report"),
)
_decisions = _table(
    "decisions",
    *_key_columns(),
    sa.Column("rung", sa.Integer, nullable=False),
    sa.Column("level", sa.Double, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("number", "replicate", "rung", "verdict"),
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


_ROWS = (_trials, _measurements, _decisions, _transitions, _notes)


def dump_json(value: object) -> str:
    """Canonical JSON that keeps every float exactly; what is not finite becomes {"__float__": "nan"}."""
    return json.dumps(_encode(value), sort_keys=True, allow_nan=False)


def load_json(text: str) -> Any:
    """What `dump_json` wrote."""
    return json.loads(
        text, object_hook=lambda table: float(table["__float__"]) if set(table) == {"__float__"} else table
    )


def _encode(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": str(value)}
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def _to_columns(row: Row) -> tuple[sa.Table, dict[str, Any]]:
    """The table and the column values of a row, without its stamp."""
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
            return _transitions, key | {"state": row.state, "reason": row.reason, "detail": row.detail}


def _from_columns(table: sa.Table, column: sa.RowMapping) -> Row:
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


def _link(before: str, table: sa.Table, values: Mapping[str, Any]) -> str:
    """The digest of a row: SHA-256 over that of the row before it, its table and its values as they will be read."""
    read = {
        column.name: values[column.name]
        if values[column.name] is None or not isinstance(column.type, sa.Double)
        # A whole number in such a column is read back as a float.
        else float(values[column.name])
        for column in table.columns
        if column.name != "digest_chain"
    }
    return hashlib.sha256(f"{before}{table.name}{dump_json(read)}".encode()).hexdigest()


class Ledger:
    """An open store. Every `append` is one durable commit; a row that is returned is never lost."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place
        self._connection: Connection = engine.connect()
        self._last = 0
        self._chain = ""

    @classmethod
    def create(cls, path: Path, spec: SweepSpec) -> "Ledger":
        """A new store for a spec; LedgerError if one is there already."""
        if path.exists():
            raise LedgerError(f"there is a ledger at {path}: continue it with `sweeps resume {spec.name}`")
        with replacing(path) as temporary:
            new = cls(_engine(temporary), str(temporary))
            values = {"name": spec.name, "spec": json.dumps(spec.to_table()), "spec_hash": spec.hash}
            with new._guard("created"), new._connection.begin():
                _metadata.create_all(new._connection)
                version = {"schema_version": SCHEMA_VERSION, "created": time.time()}
                new._connection.execute(_sweep.insert().values(**version, **values))
            new.close()
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> "Ledger":
        """An existing store; LedgerError if it is missing, damaged or of another schema version."""
        if not path.exists():
            raise LedgerError(f"there is no ledger at {path}: start the sweep with `sweeps run`")
        engine = _engine(path, read_only)
        try:
            ledger = cls(engine, str(path))
            ledger._check()
        except sa.exc.DatabaseError as error:
            engine.dispose()
            raise _damaged(str(path), str(error.orig)) from error
        except LedgerError:
            engine.dispose()
            raise
        return ledger

    def _check(self) -> None:
        """The version must be ours, the pages whole and the sequence without a gap."""
        versions = self._connection.execute(sa.select(_sweep.c.schema_version)).scalars().all()
        if versions != [SCHEMA_VERSION]:
            raise LedgerError(
                f"the ledger {self._place} has schema version {versions}, this package reads {SCHEMA_VERSION}: "
                "open it with the version that wrote it"
            )
        verdict = self._connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if verdict != "ok":
            raise _damaged(self._place, str(verdict))
        counts = [
            self._connection.execute(sa.select(sa.func.count(), sa.func.max(t.c.seq)).select_from(t)).one()
            for t in _ROWS
        ]
        rows, last = sum(count for count, _ in counts), max((top or 0) for _, top in counts)
        if rows != last:
            raise _damaged(self._place, f"{last - rows} of its {last} rows are missing")
        self._last = last
        self._chain = self._recorded_chain(last)
        self._connection.rollback()

    def _recorded_chain(self, seq: int) -> str:
        """The digest of a row; that of the spec before the first."""
        for table in _ROWS if seq else ():
            query = sa.select(table.c.digest_chain).where(table.c.seq == seq)
            if (found := self._connection.execute(query).scalar()) is not None:
                return str(found)
        return str(self._connection.execute(sa.select(_sweep.c.spec_hash)).scalar_one())

    @contextmanager
    def _guard(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sa.exc.DatabaseError as error:
            raise LedgerError(
                f"the ledger {self._place} could not be {verb} ({error.orig}): what was acknowledged is kept; "
                "free space or mend permissions, then `sweeps resume`"
            ) from error

    def spec(self) -> SweepSpec:
        """The spec that the sweep was started with; LedgerError if it doesn't fit its hash."""
        with self._guard("read"):
            row = self._connection.execute(sa.select(_sweep.c.name, _sweep.c.spec, _sweep.c.spec_hash)).one()
            self._connection.rollback()
        spec = parse_spec(json.loads(row.spec), f"the ledger of {row.name}")
        if spec.hash != row.spec_hash:
            raise _damaged(self._place, "the stored spec doesn't fit its hash")
        return spec

    def append(self, row: Row) -> Stamp:
        """Commit one row, durably; gives its sequence number and time."""
        table, columns = _to_columns(row)
        stamp = Stamp(self._last + 1, time.time())
        values = {"seq": stamp.seq, "time": stamp.time, **columns}
        chain = _link(self._chain, table, values)
        with self._guard("written"), self._connection.begin():
            self._connection.execute(table.insert().values(**values, digest_chain=chain))
        self._last, self._chain = stamp.seq, chain
        return stamp

    def rows(self) -> list[tuple[Stamp, Row]]:
        """All rows in the order of their sequence numbers."""
        found: list[tuple[Stamp, Row]] = []
        with self._guard("read"):
            for table in _ROWS:
                for record in self._connection.execute(sa.select(table)).mappings():
                    found.append((Stamp(record["seq"], record["time"]), self._row(table, record)))
            self._connection.rollback()
        return sorted(found, key=lambda item: item[0].seq)

    def _row(self, table: sa.Table, record: sa.RowMapping) -> Row:
        try:
            return _from_columns(table, record)
        except ValueError as error:
            raise _damaged(self._place, f"row {record['seq']} in {table.name} holds no JSON: {error}") from error

    def history(self) -> History:
        """What follows from all rows; LedgerError if they don't fit each other."""
        try:
            return History(self.rows())
        except LookupError as error:
            raise _damaged(self._place, f"a row speaks of {error.args[0]}, which no row began") from error

    def first_changed(self) -> str | None:
        """The first row that is not as it was written, in words, by the chain of digests; None where all are."""
        records: list[tuple[sa.Table, dict[str, Any]]] = []
        with self._guard("read"):
            for table in _ROWS:
                records += [(table, dict(record)) for record in self._connection.execute(sa.select(table)).mappings()]
            chain = self._recorded_chain(0)
            self._connection.rollback()
        for table, values in sorted(records, key=lambda item: item[1]["seq"]):
            chain = _link(chain, table, values)
            if values["digest_chain"] != chain:
                trial = "" if values["number"] is None else f"trial {_label(values)}: "
                return f"{trial}row {values['seq']}, in {table.name}, was changed after it was written"
        return None

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
        self._engine.dispose()


def _label(values: Mapping[str, Any]) -> str:
    return TrialKey(values["number"], values["replicate"]).label


def _damaged(place: str, what: str) -> LedgerError:
    return LedgerError(
        f"the ledger {place} is damaged ({what}): nothing was changed; `sweeps verify` says where, a copy mends it"
    )


def _engine(path: Path, read_only: bool = False) -> Engine:
    """SQLite in WAL with a full sync at each commit: a commit survives a power failure."""
    mode = "ro" if read_only else "rwc"
    engine = sa.create_engine(f"sqlite:///file:{quote(str(path))}?mode={mode}&uri=true", connect_args={"timeout": 10})

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: object) -> None:
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine
