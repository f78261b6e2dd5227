"""The clock of a session: the wall clock gives its start, and a monotonic clock the time since then.

Every duration within a session (budgets, rests, silence of workers) is a difference of two of its times. Setting the
system's clock does not change them, and time during which the machine is suspended does not count.
"""

import functools
import socket
import time
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class SessionClock:
    """Seconds since the epoch: the wall-clock time of this object's creation, plus the monotonic time since then."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Return the time now."""
        return time.monotonic() + self._offset


@functools.cache
def machine() -> str:
    """Return an identifier of this machine since its last boot; processes with it share a monotonic clock."""
    try:
        boot = _BOOT.read_text("ascii").strip()
    except OSError:  # not on Linux
        boot = ""
    return f"{socket.gethostname()} {boot}".strip()
