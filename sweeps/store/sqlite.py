"""A ledger in a SQLite file: the default place, which needs no server."""

import re
import shutil
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from study.files import replacing
from sweeps.errors import LedgerError

# SQLite's codes for a file that may be whole but can't be used now; extended codes have them in their last byte.
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_CLOSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH)
_OF_THE_MACHINE = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT)
_WAIT_TO_READ, _WAIT_TO_WRITE = 10.0, 1.0  # s to wait for another's lock; a driver then reports it and keeps waiting
_OF_SEVERAL_MACHINES = re.compile(r"9p|afs|beegfs|ceph|cifs|glusterfs|gpfs|lustre|nfs\d?|smb\d?|sshfs")


def _file_system(path: Path) -> str:
    """Return the type of the file system of a path, without FUSE's prefix, or "" if it can't be determined."""
    places = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(places, key=lambda part: len(part.mountpoint)).fstype.removeprefix("fuse.") if places else ""


@dataclass(frozen=True)
class File:
    """A ledger in a SQLite file, which needs no lease: its driver holds the one on the sweep's folder."""

    path: Path
    advice = "free space or mend permissions"
    away = "is locked by another process"
    remedy = "end what holds it, such as a backup or a browser of databases"

    def __str__(self) -> str:
        return str(self.path)

    @property
    def cautions(self) -> list[str]:
        """Return a caution if the file is on a file system of several machines.

        Source: sqlite.org/wal.html, "does not work over a network".
        """
        kind = _file_system(self.path.resolve())
        if not _OF_SEVERAL_MACHINES.fullmatch(kind):
            return []
        return [
            f"the ledger {self.path} is on a network file system ({kind}), where SQLite can't keep other machines from "
            "damaging it: open this sweep on one machine at a time, or give new ones --ledger postgresql://…"
        ]

    def exists(self) -> bool:
        return self.path.exists()

    def require(self) -> None:
        """Raise LedgerError if there is no ledger here."""
        if not self.exists():
            raise LedgerError(f"there is no ledger at {self}: start the sweep with `sweeps run`")

    def connect(self, *, read_only: bool = False, token: str = "") -> Connection:
        """Open a connection; with WAL and a full sync at each commit, a commit survives a power failure.

        A finished ledger can also be read on media and in folders where nothing can be written.
        """
        try:
            return _connect(self.path, read_only)
        except sa.exc.DatabaseError as error:
            if not read_only or _code(error) not in _CLOSED:
                raise
        return _connect_where_nothing_is_written(self.path)

    @contextmanager
    def creating(self) -> Iterator[Connection]:
        """Open a transaction that creates the ledger, under a temporary name until it is complete."""
        with replacing(self.path) as temporary:
            connection = _connect(temporary)
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.close()
                connection.engine.dispose()

    def fault(self, connection: Connection) -> str | None:
        """Return what is wrong with the file's pages, or None if they are whole."""
        verdict = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return None if verdict == "ok" else verdict

    def alone(self, _what: str) -> AbstractContextManager[None]:
        """Return a context that locks nothing.

        A file is its folder's only ledger, and the first process to create a file in a folder has it.
        """
        return nullcontext()

    def is_away(self, error: sa.exc.DBAPIError) -> bool:
        """Return whether another process holds the file, so a retry is worthwhile."""
        return _code(error) in _LOCKED

    is_locked = is_away

    def refusal(self, error: sa.exc.DatabaseError) -> LedgerError | None:
        """Return the error to raise if the file may be whole but can't be used now; None if it is no sound ledger."""
        code, line = _code(error), " ".join(str(error.orig).split())
        if code in _LOCKED:
            return LedgerError(f"the ledger {self} {self.away} ({line}): {self.remedy}, and do it again")
        if code in _CLOSED:
            return LedgerError(
                f"the ledger {self} can't be opened ({line}): mend the permissions of it and of its folder"
            )
        if code in _OF_THE_MACHINE:
            return LedgerError(
                f"the ledger {self} can't be used ({line}): what was acknowledged is kept; free space or look after "
                "the disk, and do it again"
            )
        return None

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def _code(error: sa.exc.DBAPIError) -> int:
    """Return SQLite's primary result code of an error."""
    return int(getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _connect_where_nothing_is_written(path: Path) -> Connection:
    """Open a ledger without the files that SQLite would add, or a copy if a dead driver left rows in its log."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or log.stat().st_size == 0:  # then nothing changes the file, so it may be immutable
        return _connect(path, read_only=True, more="&immutable=1")
    copies = TemporaryDirectory(prefix="sweeps-ledger-")
    try:
        for file in (path, log):
            shutil.copyfile(file, Path(copies.name) / file.name)
        connection = _connect(Path(copies.name) / path.name, read_only=True)
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} can't be copied to where it can be read ({error.strerror}): set TMPDIR to a folder "
            "with room for it"
        ) from error
    weakref.finalize(connection, copies.cleanup)
    return connection


def _connect(path: Path, read_only: bool = False, more: str = "") -> Connection:
    mode, timeout = ("ro", _WAIT_TO_READ) if read_only else ("rwc", _WAIT_TO_WRITE)
    # SQLAlchemy would decode a path in a URL before SQLite does, and read `#`, `?` and `%` in it as URL syntax.
    uri = f"{path.absolute().as_uri()}?mode={mode}{more}"
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=timeout, check_same_thread=False),
        poolclass=sa.QueuePool,
    )

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: object) -> None:
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.isolation_level = None  # the sqlite3 module would begin no transaction before a SELECT

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # All tables are read as of one moment, even while a driver writes.
        connection.exec_driver_sql("BEGIN")

    with ExitStack() as undone:
        undone.callback(engine.dispose)
        connection = engine.connect()
        undone.callback(connection.close)
        if read_only:  # the file is opened here, not by the first query
            with connection.begin():
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        undone.pop_all()
    return connection
