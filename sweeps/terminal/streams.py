"""Standard output and standard error, which take any text: whatever encoding a terminal has, and whether it is there.

Everything that is printed goes through here, so that what users write (names, values, errors) changes no display.
"""

import codecs
import io
import json
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

_REPLACE = "sweeps.replace"
_SIMPLER = {"…": "...", "×": "x", "–": "-", "—": "-", "−": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "\u00a0": " "}
_NARROWEST, _PIPED = 20, 200  # columns of the smallest terminal that is laid out for, and of a file or pipe


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return what is shown for a sign that an encoding lacks, and where encoding goes on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    shown = (f"\\u{ord(s):04x}" if unicodedata.category(s) == "Cs" else _SIMPLER.get(s, "?") for s in signs)
    return "".join(shown), error.end


codecs.register_error(_REPLACE, _replace)


def prepare_streams() -> None:
    """Have standard output and error take any text, and open those that were closed where nothing is kept.

    A file that is opened would else get the number of a closed stream, and what a worker prints would be written to it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_REPLACE)


def close_streams() -> None:
    """Write out what is buffered; where that fails, leave nothing over which Python would fail at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            drop(stream)


def drop(stream: TextIO) -> None:
    """Send what is written from now on, and what is buffered, to where nothing is kept."""
    with suppress(OSError, ValueError):  # a stream that is closed, or of no file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _Tolerant:
    """A text stream that takes any text; the stream itself stays as its owner made it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        return self._stream.write(text.encode(encoding, _REPLACE).decode(encoding))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def tolerant(stream: TextIO | None) -> TextIO:
    """Return a stream that takes any text and writes it to another; None, a closed stream, takes it and drops it."""
    return cast("TextIO", _Tolerant(stream if stream is not None else io.StringIO()))


def plain(text: str) -> str:
    """Return a text without the control characters that a terminal would act on."""
    return "".join(sign for sign in text if sign in "\n\t" or unicodedata.category(sign) != "Cc")


def say(text: str, *, error: bool = False) -> None:
    """Print a line as it is, to standard output or to standard error."""
    print(plain(text), file=sys.stderr if error else sys.stdout, flush=True)


def begin(text: str, *, as_json: bool) -> None:
    """Say what a command is about to do, before it imports what takes long; a program gets a line of JSON."""
    say(json.dumps({"kind": "note", "text": text}) if as_json else text)


def console(file: TextIO | None = None) -> "Console":
    """Return a console that shows every text as it is; piped output gets long lines, not lines broken at 80 columns."""
    from rich.console import Console as Plain

    class Console(Plain):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - the BrokenPipeError itself, where rich would end the process

    options: dict[str, Any] = {"file": file, "markup": False, "highlight": False, "emoji": False}
    found = Console(**options)
    if found.is_terminal and found.width >= _NARROWEST:
        return found
    return Console(**options, width=_NARROWEST if found.is_terminal else _PIPED)
