"""Stop signals: Ctrl-C, SIGTERM and a closing terminal stop a sweep or a training in the same way."""

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_PAUSE = 0.05  # s after which a signal that arrived during an import is sent again


class Stop:
    """The handler of a sweep's signals: the first asks running trials to save, and a second interrupts.

    Outside of `gently`, the first signal interrupts at once. A closing terminal may signal more than once, so a hang-up
    never counts as a second signal.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell  # prints a line for the user
        self._is_gentle = self._is_hung_up = False
        self.asked: float | None = None  # time of the first signal, s of the monotonic clock

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):  # an interrupt there could be lost, and leave an import lock taken
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
        """Let a first signal only set `asked` while the block runs; the block has to check it."""
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
    """Redirect standard output and error away from a closed terminal, where every print would fail."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        if stat.S_ISCHR(os.fstat(number).st_mode):
            os.dup2(nowhere, number)
    os.close(nowhere)


@contextmanager
def stop_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle SIGINT, SIGTERM and SIGHUP with `handler` while the block runs.

    A SIGHUP that is ignored already, as under `nohup`, stays ignored. Outside the main thread this does nothing, since
    only the main thread can set signal handlers.
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
    """Let processes that the block starts ignore a closing terminal, since they end with this process anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
