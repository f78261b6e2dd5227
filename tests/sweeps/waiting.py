"""Waiting for another process: tests assert what holds in the end, and never how soon."""

import time
from collections.abc import Callable

ENOUGH = 120.0  # s after which it is not going to happen


def until(holds: Callable[[], bool], pause: float = 0.05) -> None:
    """Return once `holds` returns true, or fail after ENOUGH seconds."""
    end = time.monotonic() + ENOUGH
    while not holds():
        assert time.monotonic() < end
        time.sleep(pause)
