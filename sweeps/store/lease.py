"""One driver a sweep: a lock on its folder and, in PostgreSQL, one on its ledger; both die with their holder.

The folder's is a file lock, which the kernel frees however its holder dies. The ledger's is an advisory lock of the
session that writes, which the server frees with the session.
"""

import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.errors import LeaseError, LedgerError

_HOLDER = sa.text("""
    SELECT a.pid, a.application_name, a.usename
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.classid::bigint = :high AND l.objid::bigint = :low
""")
_GOING = 5.0  # s in which a session that was told to end must have ended
_PAUSE = 0.05  # s
_TRIES = 5


def is_held(path: Path) -> bool:
    """Whether a living process holds the sweep."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # there is no such file, or it can't be read: whoever wants the lease will hear why
    return False


def _locked(file: int) -> bool:
    """Take the lock; whoever only looks whether it is held has it for less than a moment."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return True
    return False


@contextmanager
def lease(path: Path, name: str) -> Iterator[None]:
    """Hold the sweep's folder for this process; LeaseError at once if another process holds it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LedgerError(f"the lease {path} can't be opened ({error.strerror}): mend its permissions") from error
    try:
        if not _locked(file):
            raise _driven(name, os.pread(file, 200, 0).decode(errors="replace").strip())
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(file)


def _driven(name: str, holder: str) -> LeaseError:
    return LeaseError(f"the sweep {name!r} is being driven by {holder or 'another process'}: stop that one first")


def key_of(schema: str) -> int:
    """The number of a schema's advisory lock."""
    return int.from_bytes(hashlib.sha256(schema.encode()).digest()[:8], "big", signed=True)


def claim(connection: Connection, key: int, name: str, driver: str) -> None:
    """Hold the sweep's ledger as long as this connection lives; LeaseError at once if another driver holds it.

    driver: the connection's application_name. A session of that very name is this driver's own from before its
    connection broke, which the server may not have noticed yet: it is ended.
    """
    deadline = time.monotonic() + _GOING
    while True:
        with connection.begin():
            if connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar():
                return
            halves = {"high": (key >> 32) & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}
            holder = connection.execute(_HOLDER, halves).one_or_none()
            if holder is not None and holder.application_name == driver:
                connection.execute(sa.select(sa.func.pg_terminate_backend(holder.pid)))
            elif holder is not None:
                who = holder.application_name.rpartition(" ")[0] or f"session {holder.pid}"
                raise _driven(name, f"{who} (user {holder.usename})")
        # It has just ended, or is about to.
        if time.monotonic() > deadline:
            raise _driven(name, "a session that doesn't end")
        time.sleep(_PAUSE)
