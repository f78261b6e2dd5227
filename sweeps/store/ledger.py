"""The ledger of one sweep: append-only tables with one commit per row, in a file or a database.

Each row carries a digest over its values and the digest of the row before it. A value that is changed later breaks the
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
PATIENCE = 60.0  # s that a store may be unavailable before the sweep ends
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # s between two attempts to reach it


class Place(Protocol):
    """Where a ledger is stored: `sqlite.File` or `postgresql.Database`."""

    @property
    def advice(self) -> str:
        """Return what remedies a failed write."""

    @property
    def cautions(self) -> list[str]:
        """Return what a user should know before a sweep relies on the place."""

    @property
    def away(self) -> str:
        """Return how to describe the place while it is unavailable, such as "is away"."""

    @property
    def remedy(self) -> str:
        """Return what the user can do while the place is unavailable."""

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
    """An open ledger. Every `append` is one durable commit, and a row whose `append` has returned is never lost.

    Attributes:
        clock: The source of the times of appended rows.
        say: Called as soon as the store is away and when it is back; prints to standard error by default.
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
        """Return what a user should know about the ledger's place."""
        return self._place.cautions

    @classmethod
    def create(cls, place: Path | Place, spec: SweepSpec) -> "Ledger":
        """Create a ledger for a spec; raise LedgerError if one exists already. A path means a SQLite file."""
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
        """Open an existing ledger; a path means a SQLite file.

        Unless it is opened read-only, retry for up to PATIENCE while another process locks it.

        Raises:
            LedgerError: It is missing, damaged, unreachable or of another schema version.
            LeaseError: Another driver holds its lease.
            SweepNotFoundError: It is missing from a PostgreSQL database.
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
        """Check the schema version, the pages and that no row is missing, and read the end of the chain."""
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
        """Return the last sequence number; raise LedgerError if a row before it is missing."""
        counts = [
            self._connection.execute(sa.select(sa.func.count(), sa.func.max(t.c.seq)).select_from(t)).one()
            for t in ROWS
        ]
        rows, last = sum(count for count, _ in counts), max((top or 0) for _, top in counts)
        if rows != last:
            raise _damaged(self._place, f"{last - rows} of its {last} rows are missing")
        return last

    def _recorded_chain(self, seq: int) -> str:
        """Return the digest of a row, or that of the spec for sequence number 0."""
        for table in ROWS if seq else ():
            query = sa.select(table.c.digest_chain).where(table.c.seq == seq)
            if (found := self._connection.execute(query).scalar()) is not None:
                return str(found)
        return str(self._connection.execute(sa.select(SWEEP.c.spec_hash)).scalar_one())

    def spec(self) -> SweepSpec:
        """Return the spec that the sweep was started with; raise LedgerError if it doesn't match its hash."""
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
        """Commit one row durably.

        If the connection is lost or another process locks the store, retry for up to PATIENCE. A retry writes the row
        only if it is not there yet, so it is never stored twice.

        Returns:
            The sequence number and time of the row.

        Raises:
            LedgerError: The row could not be committed, or the store came back without rows that it had acknowledged.
            LeaseError: Another driver holds the ledger, or wrote to it while it was away.
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
        """Reconnect and claim the lease again after a lost connection; write the row unless it was committed."""
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
        """Return whether the row in doubt was committed; raise if earlier rows are not as this driver left them."""
        with self._connection.begin():
            last = self._recorded_last()
            found = self._recorded_chain(last)
        if last == self._last + 1 and found == chain:
            return True
        if last < self._last:
            raise LedgerError(
                f"the ledger {self._place} came back without {self._last - last} rows that it had acknowledged: "
                "look whether this is the same server; `sweeps resume` continues from what it has"
            )
        if (last, found) != (self._last, self._chain):
            raise LeaseError(
                f"another driver wrote to {self._place} while it was away from this one: stop that one, then "
                "`sweeps resume`"
            )
        return False

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Exclude every other ledger of the same database from a block with the same `what`."""
        with _guard(self._place, "locked"), self._place.alone(what):
            yield

    def outages(self) -> list[str]:
        """Return descriptions of the store's outages since the last call."""
        told, self._outages = self._outages, []
        return told

    def rows(self, after: int = 0) -> list[tuple[Stamp, Row]]:
        """Return all rows after a sequence number, with their stamps, in sequence order."""
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
        """Return the history that follows from all rows; raise LedgerError if they don't fit together."""
        history = History()
        self.follow(history)
        return history

    def follow(self, history: History) -> bool:
        """Apply the rows after a history's last one to it.

        Returns:
            Whether there were any.

        Raises:
            LedgerError: A row can't be read or does not fit those before it.
        """
        rows = self.rows(history.last.seq)
        try:
            for stamp, row in rows:
                history.apply(stamp, row)
        except LookupError as error:
            raise _damaged(self._place, f"a row speaks of {error.args[0]}, which no row began") from error
        return bool(rows)

    def first_changed(self) -> str | None:
        """Return a description of the first row that was changed, by the chain of digests, or None if none was."""
        records = self._records()
        with _guard(self._place, "read"), self._connection.begin():
            chain = self._recorded_chain(0)
        for table, values in sorted(records, key=lambda item: item[1]["seq"]):
            try:
                chain = link(chain, table, values)
            except (TypeError, ValueError):
                chain = ""  # a value of another type than the one written
            if values["digest_chain"] != chain:
                trial = "" if values["number"] is None else f"trial {_label(values)}: "
                return f"{trial}row {values['seq']}, in {table.name}, was changed after it was written"
        return None

    def remove(self) -> None:
        """Close the ledger and delete it with everything in it."""
        self.close()
        with _guard(self._place, "removed"):
            self._place.remove()

    def close(self) -> None:
        """Close the connection, which also releases the lease that it holds in PostgreSQL."""
        self._connection.close()
        self._connection.engine.dispose()


def _place(given: Path | Place) -> Place:
    return File(given) if isinstance(given, Path) else given


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _attempts(place: Place, reason: str, say: Callable[[str], None]) -> Iterator[None]:
    """Report that a store is unavailable, then yield at each time to try again, for up to PATIENCE."""
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
        raise LedgerError(f"the ledger {place} is closed: continue with `sweeps resume`") from error
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
