"""A ledger in a SQLite file: the default place, which needs no server."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from study.files import replacing
from sweeps.errors import LedgerError

_OF_SEVERAL_MACHINES = re.compile(r"9p|afs|beegfs|ceph|cifs|glusterfs|gpfs|lustre|nfs\d?|smb\d?|sshfs")


def _file_system(path: Path) -> str:
    """The kind of file system that a path lies on, without what FUSE puts before it; empty where that can't be told."""
    places = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(places, key=lambda part: len(part.mountpoint)).fstype.removeprefix("fuse.") if places else ""


@dataclass(frozen=True)
class File:
    """A ledger in a file of its own. Its driver holds the lease on the sweep's folder, so that the file needs none."""

    path: Path
    advice = "free space or mend permissions"

    def __str__(self) -> str:
        return str(self.path)

    @property
    def cautions(self) -> list[str]:
        """What may go wrong where the file lies. Source: sqlite.org/wal.html, "does not work over a network"."""
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
        """LedgerError if there is no ledger here."""
        if not self.exists():
            raise LedgerError(f"there is no ledger at {self}: start the sweep with `sweeps run`")

    def connect(self, *, read_only: bool = False, token: str = "") -> Connection:
        """WAL with a full sync at each commit: a commit survives a power failure."""
        return _connect(self.path, read_only)

    @contextmanager
    def creating(self) -> Iterator[Connection]:
        """A transaction that makes the ledger, under a temporary name until it is whole."""
        with replacing(self.path) as temporary:
            connection = _connect(temporary)
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.close()
                connection.engine.dispose()

    def fault(self, connection: Connection) -> str | None:
        """What is wrong with the file's pages, None if they are whole."""
        verdict = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return None if verdict == "ok" else verdict

    def alone(self, _what: str) -> AbstractContextManager[None]:
        """A file is its folder's only ledger, and in a folder whoever makes a file first has it."""
        return nullcontext()

    def refusal(self, _error: sa.exc.DatabaseError) -> LedgerError | None:
        """A file that can't be read as a database is damaged, whatever else SQLite says of it."""
        return None

    def remove(self) -> None:
        """Take the file away."""
        self.path.unlink(missing_ok=True)


def _connect(path: Path, read_only: bool = False) -> Connection:
    mode = "ro" if read_only else "rwc"
    # SQLAlchemy would decode a path in a URL before SQLite does: `#`, `?` and `%` would be read as a URL's own signs.
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=10, check_same_thread=False),
        poolclass=sa.QueuePool,
    )

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: object) -> None:
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.isolation_level = None  # Python's module would begin no transaction before a SELECT

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # All tables are read as of one moment, also beside a driver that writes.
        connection.exec_driver_sql("BEGIN")

    with ExitStack() as undone:
        undone.callback(engine.dispose)
        connection = engine.connect()
        undone.pop_all()
    return connection
