"""Keeps the report of a running sweep up to date, in a process of its own that must not slow the sweep down."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sweeps.store.places import VARIABLE
from sweeps.store.postgresql import Database

FIRST = 30.0  # s after which a sweep that runs has a report; shorter ones get theirs at the end
_LONGEST = 600.0  # s, until one that failed is tried again
_SHARE = 50  # times as long as one took until the next begins: at most 2 % of one processor


class Follower:
    """Writes the report now and then, one process at a time; `say` gets one line where that fails for the first time.

    What failed is tried again, after twice as long each time up to ten minutes.
    command: what writes it, for tests. clock: seconds.
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
        # The folder remembers where a ledger in PostgreSQL is, without its password, which comes by this variable: it
        # is there already where the URL that was given has none.
        self._environment = dict(os.environ)
        if ledger_url and Database.parse(ledger_url, "any").has_secret:
            self._environment[VARIABLE] = ledger_url
        self._process: subprocess.Popen[str] | None = None
        self._began = 0.0
        self._next = clock() + FIRST
        self._failures = 0  # since one was written
        self._is_told = False

    def look(self) -> None:
        """Begin the next report where it is due, and see what became of the last."""
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
        except OSError as error:  # as where the machine has no process or memory to give
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
            self._say(f"warning: the report could not be written ({why}): the sweep goes on, and it is tried again")
            self._is_told = True

    def close(self) -> None:
        """Stop what is at work: the sweep writes its last report itself."""
        if self._process is not None:
            self._process.kill()
            with suppress(OSError):
                self._process.communicate()
            self._process = None
