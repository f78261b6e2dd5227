"""Locks that limit a sweep to one driver: one on its folder and, in PostgreSQL, one on its ledger.

Both end with their holder. The folder's is a file lock, which the kernel frees however its holder dies. The ledger's is
an advisory lock of the session that writes, which the server frees with the session.
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
_GOING = 5.0  # s within which a terminated session must have ended
_PAUSE = 0.05  # s
_TRIES = 5


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lease on a sweep's folder."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # the file is missing or unreadable; `lease` reports the reason to a process that wants it
    return False


def _locked(file: int) -> bool:
    """Take the lock, with retries since a process in `is_held` has it for an instant; return whether it was free."""
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
    """Hold the lease on a sweep's folder for this process.

    Args:
        path: The lock file.
        name: The name of the sweep, for errors.

    Raises:
        LeaseError: Another process holds the lease; raised without waiting for it.
        LedgerError: The lock file can't be opened.
    """
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
    """Return the number of the advisory lock for a schema, or for any other name."""
    return int.from_bytes(hashlib.sha256(schema.encode()).digest()[:8], "big", signed=True)


def claim(connection: Connection, key: int, name: str, driver: str) -> None:
    """Hold a sweep's ledger as long as this connection lives.

    A session of the same application_name is the driver's own, from before its connection broke. It is ended, since
    the server may not have noticed that yet.

    Args:
        connection: The connection that is to hold the lock.
        key: The number of the lock; see `key_of`.
        name: The name of the sweep, for errors.
        driver: The connection's application_name.

    Raises:
        LeaseError: Another driver holds the lock, or the driver's earlier session does not end in time.
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
        # The holder has just ended, or is about to.
        if time.monotonic() > deadline:
            raise _driven(name, "a session that doesn't end")
        time.sleep(_PAUSE)
