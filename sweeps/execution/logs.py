"""The log of a trial: its output, its warnings and its log records, between the lines of its worker."""

import io
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class TrialLog:
    """A file for a trial's output; neither the file nor what the trial does to its streams can stop the worker."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problem: str | None = None  # why the file can't be written
        self._is_warned = False
        # Like Python's standard error: text that can't be encoded as UTF-8 is escaped.
        self._stream = io.TextIOWrapper(
            io.BufferedWriter(self._sink()), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )

    def _sink(self) -> io.FileIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return _Sink(self._path, "a")
        except OSError:  # the worker's next line meets the same error
            return _Sink(os.devnull, "w")

    def capture(self) -> None:
        """Send standard output, standard error and the root logger's records of this process to this log."""
        sys.stdout = sys.stderr = self._stream
        logging.getLogger().addHandler(logging.StreamHandler(self._stream))

    def write(self, text: str) -> None:
        """Append lines of the worker; an error is kept for `warnings`, since no result depends on the log."""
        with suppress(OSError, ValueError):  # the trial may have closed the stream
            self._stream.flush()
        try:
            self._path.parent.mkdir(exist_ok=True)
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text + "\n")
        except OSError as error:
            self._problem = error.strerror

    def warnings(self) -> tuple[str, ...]:
        """Return a warning for the user if the log can't be written, but only once."""
        if self._problem is None or self._is_warned:
            return ()
        self._is_warned = True
        return (f"the log {self._path} can't be written ({self._problem}): the trial runs on without it",)

    def close(self) -> None:
        """Close the stream; a thread that the trial left may still try to write."""
        with suppress(OSError, ValueError):
            self._stream.close()


class _Sink(io.FileIO):
    """A file that ignores a full disk, which is no error of the code that prints: the worker's next line reports it."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))
