"""One driver a sweep: a file lock that the kernel frees when its holder dies, however it dies."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.errors import LeaseError, LedgerError


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


@contextmanager
def lease(path: Path, name: str) -> Iterator[None]:
    """Hold the sweep for this process; LeaseError at once if another process holds it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LedgerError(f"the lease {path} can't be opened ({error.strerror}): mend its permissions") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
            raise LeaseError(f"the sweep {name!r} is being driven by {holder}: stop that one first") from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(file)
