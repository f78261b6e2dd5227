"""Waiting for another process: what holds in the end is asserted, and never how soon."""

import time
from collections.abc import Callable

ENOUGH = 120.0  # s after which it will not come any more


def until(holds: Callable[[], bool], pause: float = 0.05) -> None:
    """Return once it holds."""
    end = time.monotonic() + ENOUGH
    while not holds():
        assert time.monotonic() < end
        time.sleep(pause)
