"""The log of a trial: what the trial prints, warns or logs, between the lines of its worker."""

import io
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class TrialLog:
    """A file that takes what the trial says. Nothing that the trial does to its streams can stop the worker."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        # As standard error of a plain Python: text that is no UTF-8 is escaped.
        self._stream = io.TextIOWrapper(
            io.BufferedWriter(_Sink(path, "a")), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )

    def capture(self) -> None:
        """Send standard output, standard error and the root logger of this process here."""
        sys.stdout = sys.stderr = self._stream
        logging.getLogger().addHandler(logging.StreamHandler(self._stream))

    def write(self, text: str) -> None:
        """Append lines of the worker; OSError where they can't be written."""
        with suppress(OSError, ValueError):  # the trial may have closed it
            self._stream.flush()
        with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")

    def close(self) -> None:
        """Take no more; a thread that the trial left may still try to write."""
        with suppress(OSError, ValueError):
            self._stream.close()

    def tell(self, text: str) -> None:
        """Append a line of the worker that no result depends on, where that is possible."""
        with suppress(OSError):
            self.write(text)


class _Sink(io.FileIO):
    """A file whose full disk is no error of the code that prints: the worker meets it at its own next line."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))
