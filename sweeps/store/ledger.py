"""The store of one sweep: append-only tables, one commit a row, wherever they lie.

Each row carries a digest over its values and the digest of the row before it: a value that is changed later breaks the
chain at its row.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.clock import SessionClock
from sweeps.commands import command
from sweeps.errors import LeaseError, LedgerError
from sweeps.search.history import History, Row, Stamp, TrialKey
from sweeps.spec import SweepSpec, parse_spec
from sweeps.store.postgresql import new_token
from sweeps.store.rows import ROWS, SWEEP, from_columns, link, metadata, to_columns
from sweeps.store.sqlite import File

SCHEMA_VERSION = 5
PATIENCE = 60.0  # s that a server may be away before the sweep ends
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # s between two attempts to reach it


class Place(Protocol):
    """Where a ledger lies: `sqlite.File` or `postgresql.Database`."""

    @property
    def advice(self) -> str:
        """What mends a write that failed."""

    @property
    def cautions(self) -> list[str]:
        """What a person should know before a sweep relies on it."""

    @property
    def away(self) -> str:
        """What is said of it while it can't be had, such as "is away"."""

    @property
    def remedy(self) -> str:
        """What then helps."""

    def is_away(self, error: sa.exc.DBAPIError) -> bool: ...

    def is_locked(self, error: sa.exc.DBAPIError) -> bool: ...

    def exists(self) -> bool: ...

    def require(self) -> None: ...

    def connect(self, *, read_only: bool = False, token: str = "") -> Connection: ...

    def creating(self) -> AbstractContextManager[Connection]: ...

    def fault(self, connection: Connection) -> str | None: ...

    def alone(self, what: str) -> AbstractContextManager[None]: ...

    def refusal(self, error: sa.exc.DatabaseError) -> LedgerError | None: ...

    def remove(self) -> None: ...


class Ledger:
    """An open store. Every `append` is one durable commit; a row that is returned is never lost.

    clock: gives the times of the rows that are appended.
    say: told at once where the store is away and when it is back; standard error hears it until it is set.
    """

    def __init__(self, place: Place, connection: Connection, token: str) -> None:
        self._place = place
        self._connection = connection
        self._token = token
        self._last = 0
        self._chain = ""
        self._outages: list[str] = []
        self.clock: Callable[[], float] = SessionClock()
        self.say: Callable[[str], None] = _print

    @property
    def cautions(self) -> list[str]:
        """What a person should know of where it lies."""
        return self._place.cautions

    @classmethod
    def create(cls, place: Path | Place, spec: SweepSpec) -> "Ledger":
        """A new store for a spec; LedgerError if one is there already. A path is a SQLite file."""
        place = _place(place)
        if place.exists():
            raise LedgerError(f"there is a ledger at {place}: continue it with `{command('resume', spec.name)}`")
        values = {"name": spec.name, "spec": json.dumps(spec.to_table()), "spec_hash": spec.hash}
        with _guard(place, "created"), place.creating() as connection:
            metadata.create_all(connection)
            version = {"schema_version": SCHEMA_VERSION, "created": time.time()}
            connection.execute(SWEEP.insert().values(**version, **values))
        return cls.open(place)

    @classmethod
    def open(cls, place: Path | Place, *, read_only: bool = False) -> "Ledger":
        """An existing store; LedgerError if it is missing, damaged, out of reach or of another schema version.

        To write, it is waited for while another process locks it.
        """
        place = _place(place)
        place.require()
        try:
            return cls._opened(place, read_only)
        except sa.exc.DatabaseError as error:
            last = error
        for _ in _attempts(place, _line(last), _print) if not read_only and place.is_locked(last) else ():
            try:
                return cls._opened(place, read_only)
            except sa.exc.DatabaseError as again:
                last = again
                if not place.is_locked(last):
                    break
        raise place.refusal(last) or _damaged(place, str(last.orig)) from last

    @classmethod
    def _opened(cls, place: Place, read_only: bool) -> "Ledger":
        token = new_token()
        ledger = cls(place, place.connect(read_only=read_only, token=token), token)
        with ExitStack() as undone:
            undone.callback(ledger.close)
            ledger._check()
            undone.pop_all()
        return ledger

    def _check(self) -> None:
        """The version must be ours, the pages whole and the sequence without a gap."""
        with self._connection.begin():
            versions = self._connection.execute(sa.select(SWEEP.c.schema_version)).scalars().all()
            if versions != [SCHEMA_VERSION]:
                raise LedgerError(
                    f"the ledger {self._place} has schema version {versions}, this package reads {SCHEMA_VERSION}: "
                    "open it with the version that wrote it"
                )
            if (fault := self._place.fault(self._connection)) is not None:
                raise _damaged(self._place, fault)
            self._last = self._recorded_last()
            self._chain = self._recorded_chain(self._last)

    def _recorded_last(self) -> int:
        """The last sequence number; LedgerError if one before it is missing."""
        counts = [
            self._connection.execute(sa.select(sa.func.count(), sa.func.max(t.c.seq)).select_from(t)).one()
            for t in ROWS
        ]
        rows, last = sum(count for count, _ in counts), max((top or 0) for _, top in counts)
        if rows != last:
            raise _damaged(self._place, f"{last - rows} of its {last} rows are missing")
        return last

    def _recorded_chain(self, seq: int) -> str:
        """The digest of a row; that of the spec before the first."""
        for table in ROWS if seq else ():
            query = sa.select(table.c.digest_chain).where(table.c.seq == seq)
            if (found := self._connection.execute(query).scalar()) is not None:
                return str(found)
        return str(self._connection.execute(sa.select(SWEEP.c.spec_hash)).scalar_one())

    def spec(self) -> SweepSpec:
        """The spec that the sweep was started with; LedgerError if it doesn't fit its hash."""
        with _guard(self._place, "read"), self._connection.begin():
            row = self._connection.execute(sa.select(SWEEP.c.name, SWEEP.c.spec, SWEEP.c.spec_hash)).one()
        try:
            spec = parse_spec(json.loads(row.spec), f"the ledger of {row.name}")
        except json.JSONDecodeError as error:
            raise _damaged(self._place, f"the stored spec is no JSON: {error}") from error
        if spec.hash != row.spec_hash:
            raise _damaged(self._place, "the stored spec doesn't fit its hash")
        return spec

    def append(self, row: Row) -> Stamp:
        """Commit one row, durably; gives its sequence number and time.

        Where the connection is lost, or another holds the store, that is tried again for up to PATIENCE, and the row is
        written unless it was: it is there once, or LedgerError is raised and nothing that was returned before is lost.
        """
        table, columns = to_columns(row)
        stamp = Stamp(self._last + 1, self.clock())
        values = {"seq": stamp.seq, "time": stamp.time, **columns}
        chain = link(self._chain, table, values)
        insert = table.insert().values(**values, digest_chain=chain)
        with _guard(self._place, "written"):
            try:
                self._commit(insert)
            except sa.exc.DBAPIError as error:
                if not self._place.is_away(error):
                    raise
                self._commit_again(insert, chain, error)
        self._last, self._chain = stamp.seq, chain
        return stamp

    def _commit(self, insert: sa.Insert) -> None:
        with self._connection.begin():
            self._connection.execute(insert)

    def _commit_again(self, insert: sa.Insert, chain: str, error: sa.exc.DBAPIError) -> None:
        """After the connection was lost: connect and claim again, and write the row unless it was committed."""
        start, reason = time.monotonic(), _line(error)
        for _ in _attempts(self._place, reason, self.say):
            try:
                self._connection.close()
                self._connection = self._place.connect(token=self._token)
                if not self._has(chain):
                    self._commit(insert)
            except sa.exc.DBAPIError as again:
                if not (self._place.is_away(again) or isinstance(again, sa.exc.OperationalError)):
                    raise
                reason = _line(again)
                continue
            outage = f"the ledger was away for {time.monotonic() - start:.1f} s ({_line(error)}), and nothing is lost"
            self._outages.append(outage)
            self.say(outage)
            return
        raise LedgerError(
            f"the ledger {self._place} stayed away for {PATIENCE:g} s ({reason}): what was acknowledged is kept; "
            f"{self._place.remedy}, then `sweeps resume`"
        ) from error

    def _has(self, chain: str) -> bool:
        """Whether the row in doubt, by its digest, was committed; all before it must be as this driver left it."""
        with self._connection.begin():
            last = self._recorded_last()
            found = self._recorded_chain(last)
        if last == self._last + 1 and found == chain:
            return True
        if last < self._last:
            raise LedgerError(
                f"the ledger {self._place} came back without {self._last - last} rows that it had acknowledged: "
                "look whether this is the same server; `sweeps resume` goes on from what it has"
            )
        if (last, found) != (self._last, self._chain):
            raise LeaseError(
                f"another driver wrote to {self._place} while it was away from this one: stop that one, then "
                "`sweeps resume`"
            )
        return False

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """A block in which no other ledger of the same database is that asks for the same."""
        with _guard(self._place, "locked"), self._place.alone(what):
            yield

    def outages(self) -> list[str]:
        """What there is to say of the times when the store was away, once."""
        told, self._outages = self._outages, []
        return told

    def rows(self, after: int = 0) -> list[tuple[Stamp, Row]]:
        """All rows behind a sequence number, in the order of theirs."""
        records = self._records(after)
        found = [(Stamp(values["seq"], values["time"]), self._row(table, values)) for table, values in records]
        return sorted(found, key=lambda item: item[0].seq)

    def _records(self, after: int = 0) -> list[tuple[sa.Table, Mapping[str, Any]]]:
        with _guard(self._place, "read"), self._connection.begin():
            return [
                (table, dict(record))
                for table in ROWS
                for record in self._connection.execute(sa.select(table).where(table.c.seq > after)).mappings()
            ]

    def _row(self, table: sa.Table, values: Mapping[str, Any]) -> Row:
        try:
            return from_columns(table, values)
        except (TypeError, ValueError) as error:
            raise _damaged(self._place, f"row {values['seq']} in {table.name} can't be read: {error}") from error

    def history(self) -> History:
        """What follows from all rows; LedgerError if they don't fit each other."""
        history = History()
        self.follow(history)
        return history

    def follow(self, history: History) -> bool:
        """Take into a history the rows behind its last; whether there were any. LedgerError as of `history`."""
        rows = self.rows(history.last.seq)
        try:
            for stamp, row in rows:
                history.apply(stamp, row)
        except LookupError as error:
            raise _damaged(self._place, f"a row speaks of {error.args[0]}, which no row began") from error
        return bool(rows)

    def first_changed(self) -> str | None:
        """The first row that is not as it was written, in words, by the chain of digests; None where all are."""
        records = self._records()
        with _guard(self._place, "read"), self._connection.begin():
            chain = self._recorded_chain(0)
        for table, values in sorted(records, key=lambda item: item[1]["seq"]):
            try:
                chain = link(chain, table, values)
            except (TypeError, ValueError):
                chain = ""  # a value of another kind than was written
            if values["digest_chain"] != chain:
                trial = "" if values["number"] is None else f"trial {_label(values)}: "
                return f"{trial}row {values['seq']}, in {table.name}, was changed after it was written"
        return None

    def remove(self) -> None:
        """Close it and take it away, with all that is in it."""
        self.close()
        with _guard(self._place, "removed"):
            self._place.remove()

    def close(self) -> None:
        """Give the store back, and its lease."""
        self._connection.close()
        self._connection.engine.dispose()


def _place(given: Path | Place) -> Place:
    return File(given) if isinstance(given, Path) else given


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _attempts(place: Place, reason: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say that a store can't be had, and yield at each time to try again, for up to PATIENCE."""
    say(f"the ledger {place} {place.away} ({reason}): trying for {PATIENCE:g} s to go on")
    start, pause = time.monotonic(), _FIRST_PAUSE
    while time.monotonic() - start < PATIENCE:
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        yield


@contextmanager
def _guard(place: Place, verb: str) -> Iterator[None]:
    try:
        yield
    except sa.exc.ResourceClosedError as error:
        raise LedgerError(f"the ledger {place} is closed: go on with `sweeps resume`") from error
    except sa.exc.DatabaseError as error:
        raise place.refusal(error) or LedgerError(
            f"the ledger {place} could not be {verb} ({_line(error)}): what was acknowledged is kept; "
            f"{place.advice}, then `sweeps resume`"
        ) from error


def _line(error: sa.exc.DBAPIError) -> str:
    return " ".join(str(error.orig).split())


def _label(values: Mapping[str, Any]) -> str:
    number, replicate = values["number"], values["replicate"]
    return TrialKey(number, replicate).label if isinstance(replicate, int) else str(number)


def _damaged(place: Place, what: str) -> LedgerError:
    return LedgerError(
        f"the ledger {place} is damaged ({what}): nothing was changed; `sweeps export` saves what can be read"
    )
