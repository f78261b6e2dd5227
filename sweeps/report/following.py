"""Updates of the report of a running sweep, in a separate process that must not slow the sweep down."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sweeps.store.places import VARIABLE
from sweeps.store.postgresql import Database

FIRST = 30.0  # s after which a running sweep gets its first report; shorter sweeps get theirs at the end
_LONGEST = 600.0  # s to wait at most before a failed report is tried again
_SHARE = 50  # a report waits this many times as long as the last one took: at most 2 % of one processor


class Follower:
    """The writer of a running sweep's report, in at most one process at a time.

    A failed report is tried again after a wait that doubles each time, up to ten minutes.

    Args:
        folder: The folder of the sweep.
        say: Prints a line; called at the first of several consecutive failures.
        ledger_url: The URL of the ledger with its password, if it is in PostgreSQL.
        command: The command that writes a report, without the folder; replaced in tests.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        folder: Path | str,
        say: Callable[[str], None],
        ledger_url: str | None = None,
        command: Sequence[str] = (sys.executable, "-m", "sweeps.report.writing"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command, self._clock, self._say = [*command, str(folder)], clock, say
        # The folder stores the URL of a ledger in PostgreSQL without its password, which is passed in this variable.
        # If the given URL has no password, the inherited variable holds it already, if there is one.
        self._environment = dict(os.environ)
        if ledger_url and Database.parse(ledger_url, "any").has_secret:
            self._environment[VARIABLE] = ledger_url
        self._process: subprocess.Popen[str] | None = None
        self._began = 0.0
        self._next = clock() + FIRST
        self._failures = 0  # since a report was last written
        self._is_told = False

    def look(self) -> None:
        """Collect a report process that has ended, and start the next one if it is due."""
        now = self._clock()
        if self._process is not None and self._process.poll() is not None:
            self._ended(self._process, now)
        if self._process is None and now >= self._next:
            self._began = now
            self._begin()

    def _begin(self) -> None:
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=self._environment,
            )
        except OSError as error:  # such as when the machine is out of processes or memory
            self._failed(str(error), self._began)

    def _ended(self, process: "subprocess.Popen[str]", now: float) -> None:
        _, error = process.communicate()
        self._process = None
        self._next = now + max(FIRST, _SHARE * (now - self._began))
        if process.returncode:
            last = (error.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            self._failed(last, now)
        else:
            self._failures, self._is_told = 0, False

    def _failed(self, why: str, now: float) -> None:
        self._failures += 1
        self._next = max(self._next, now + min(FIRST * 2**self._failures, _LONGEST))
        if not self._is_told:
            self._say(f"warning: the report could not be written ({why}): the sweep continues, and tries it again")
            self._is_told = True

    def close(self) -> None:
        """Kill a report process that is still running; the sweep writes its last report itself."""
        if self._process is not None:
            self._process.kill()
            with suppress(OSError):
                self._process.communicate()
            self._process = None
