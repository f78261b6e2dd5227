"""Stop signals: a sweep or a training stops in the same way at Ctrl-C, at SIGTERM and when its terminal closes."""

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_PAUSE = 0.05  # s after which a signal that came within an import is sent again


class Stop:
    """The handler of a sweep's signals: the first one asks trials that are training to save, a second one insists.

    Outside of `gently` the first one interrupts at once. A terminal that closes may signal more than once: that never
    insists.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell  # a person, what goes on
        self._is_gentle = self._is_hung_up = False
        self.asked: float | None = None  # when, s of the monotonic clock

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):  # an interruption could be lost there, and leave the lock of an import taken
            again = threading.Timer(_PAUSE, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        if number == signal.SIGHUP:
            _leave_terminal()
            if self._is_hung_up or self.asked is not None:
                return
            self._is_hung_up = True
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


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave_terminal() -> None:
    """Write no more to a terminal that was closed, which would be an error wherever a line is printed."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        if stat.S_ISCHR(os.fstat(number).st_mode):
            os.dup2(nowhere, number)
    os.close(nowhere)


@contextmanager
def stop_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Have all handled as long as the block runs; outside the main thread signals are not ours to take.

    A hang-up that is ignored already, as below `nohup`, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    numbers = (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def outliving_the_terminal() -> Iterator[None]:
    """Have the processes that are started in the block ignore that the terminal is closed: they end with this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
