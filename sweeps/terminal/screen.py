"""Display of long work: lines and, below them, a panel with a running clock.

If the terminal can't hold a panel, a line says after each silence what is being waited for. The display only observes:
a failure in it is reported once, and the work continues with less display, or with none.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TextIO, get_args

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from sweeps.errors import SpecError
from sweeps.terminal.streams import console, drop, plain, tolerant

Form = Literal["auto", "json", "none"]
SILENCE = 10.0  # s without a line, after which a line says what is being waited for
_TICK = 0.5  # s between two updates of the clock
_PATIENCE = 2.0  # s to wait at the end for a terminal that accepts no text


def duration(seconds: float) -> str:
    """Return a duration as 0:07 or 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def check_form(form: str) -> None:
    """Raise SpecError if a form of progress does not exist; called before anything is created."""
    if form not in get_args(Form):
        raise SpecError(f"progress: choose from {', '.join(get_args(Form))}, but got {form!r}")


class Screen:
    """Lines for a user, or for a program in the form "json", with what is being waited for below them."""

    def __init__(self, stream: TextIO | None, form: Form, *, has_panel: bool = True) -> None:
        self._is_output = stream is sys.stdout
        self._stream = tolerant(stream)
        self._form = form
        self._console = console(self._stream)  # always this stream, even while other output is redirected
        is_able = self._console.is_terminal and not self._console.is_dumb_terminal
        self._has_panel = has_panel and form == "auto" and is_able and self._console.encoding.startswith("utf")
        self._live: Live | None = None
        self._panel: RenderableType | None = None
        self._status = ""
        self._awaited, self._since = "", time.monotonic()
        self._written = time.monotonic()  # when the last line was written
        self._is_over = threading.Event()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Show what is being waited for while the block runs."""
        if self._form == "none":
            yield
            return
        thread = threading.Thread(target=self._tick, name="screen", daemon=True)
        self._guarded(self._open_panel)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join(_PATIENCE)
            self._guarded(self._close_panel)

    @property
    def is_live(self) -> bool:
        """Return whether a panel is shown now."""
        return self._live is not None

    def line(self, text: str) -> None:
        """Write one line for a user; only in the form "auto"."""
        if self._form == "auto":
            self._guarded(lambda: self._console.print(Text(plain(text)), soft_wrap=True))
            self._written = time.monotonic()

    def json(self, text: str) -> None:
        """Write one line for a program; only in the form "json"."""
        if self._form == "json":
            self._guarded(lambda: self._write(text))
            self._written = time.monotonic()

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def wait_for(self, text: str, *, silence: float = 0.0) -> None:
        """Show what is being waited for from now on, on the panel or in a line once it takes long.

        Args:
            text: What is being waited for.
            silence: Seconds by which to advance the next line, as if so much silence had passed already.
        """
        self._awaited, self._since = text, time.monotonic()
        self._written -= silence

    def show(self, panel: Callable[[], RenderableType], status: Callable[[], str]) -> None:
        """Update what is shown with the clock; only the form that is needed is built.

        Args:
            panel: Builds the panel above the clock.
            status: Builds the text after the clock, used while no panel is shown.
        """
        if self.is_live:
            self._guarded(lambda: setattr(self, "_panel", panel()))
        else:
            self._guarded(lambda: setattr(self, "_status", status()))

    def _tick(self) -> None:
        while not self._is_over.wait(_TICK):
            self._guarded(self._refresh)

    def _refresh(self) -> None:
        awaited = f"{self._awaited}, {duration(time.monotonic() - self._since)}"
        if (live := self._live) is not None:
            below = Text(plain(awaited), style="dim")
            live.update(Group(self._panel, below) if self._panel else below, refresh=True)
        elif time.monotonic() - self._written >= SILENCE:
            self.line(" | ".join(filter(None, (awaited, self._status))))
            waited = round(time.monotonic() - self._since, 1)
            self.json(json.dumps({"kind": "waiting", "text": self._awaited, "seconds": waited}))

    def _open_panel(self) -> None:
        if self._has_panel:
            live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=self._is_output)
            live.start()
            self._live = live

    def _close_panel(self) -> None:
        if (live := self._live) is not None:
            self._live = None
            live.stop()

    def _guarded(self, step: Callable[[], object]) -> None:
        """Run a step of the display; on failure, fall back to lines instead of the panel, then to no display."""
        try:
            step()
        except Exception as error:  # the display must never stop the work
            if isinstance(error, BrokenPipeError):
                drop(self._stream)  # also for the last message of the command
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
            if self._live is not None:
                with suppress(Exception):
                    self._close_panel()
                self.line(f"warning: the panel ended ({why}): lines follow")
            elif self._form != "none":
                self._form = "none"
                with suppress(Exception):
                    print(
                        f"warning: nothing more is shown here ({why}); the work continues", file=sys.stderr, flush=True
                    )


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show on standard error what is being waited for while the block runs, unless the block ends in a moment."""
    screen = Screen(sys.stderr, "auto")
    screen.wait_for(text, silence=SILENCE)
    with screen.opened():
        yield
