"""The clock of a session: the wall clock says when it began, and a monotonic one how long ago that is.

Whatever is counted within a session (budgets, rests, silence of workers) is a difference of two of its times. They
do not change where the system's clock is set, and time in which the machine is suspended is not counted.
"""

import functools
import socket
import time
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class SessionClock:
    """Seconds since the epoch, as the wall clock had it when this was made, plus what has passed since."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Return the time now."""
        return time.monotonic() + self._offset


@functools.cache
def machine() -> str:
    """Return what the processes have in common that share a monotonic clock: the machine, since its last start."""
    try:
        boot = _BOOT.read_text("ascii").strip()
    except OSError:  # not on Linux
        boot = ""
    return f"{socket.gethostname()} {boot}".strip()
