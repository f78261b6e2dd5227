"""Stop signals: Ctrl-C and SIGTERM are one thing to whoever runs a sweep or trains a model."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """The handler of a sweep's signals: the first one asks trials that are training to save, a second one insists.

    Outside of `gently` the first one interrupts at once.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell  # a person, what goes on
        self._is_gentle = False
        self.asked: float | None = None  # when, s of the monotonic clock

    def __call__(self, number: int, frame: object) -> None:
        if not self._is_gentle or self.asked is not None:
            raise KeyboardInterrupt
        self.asked = time.monotonic()

    @contextmanager
    def gently(self) -> Iterator[None]:
        """Only ask as long as the block runs; whoever runs it looks at `asked`."""
        self._is_gentle = True
        try:
            yield
        finally:
            self._is_gentle = False


@contextmanager
def stop_signals(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Have both handled as long as the block runs; outside the main thread signals are not ours to take."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
