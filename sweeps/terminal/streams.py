"""Standard output and standard error that take any text, with any encoding, even if they are closed.

All printed text passes through this module, so texts of users (names, values, errors) can't disturb the display.
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
_NARROWEST, _PIPED = 20, 200  # columns of the narrowest supported terminal, and of a file or pipe


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return the replacement of signs that an encoding lacks, and the position at which encoding continues."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    shown = (f"\\u{ord(s):04x}" if unicodedata.category(s) == "Cs" else _SIMPLER.get(s, "?") for s in signs)
    return "".join(shown), error.end


codecs.register_error(_REPLACE, _replace)


def prepare_streams() -> None:
    """Make standard output and error take any text, and open closed standard streams on the null device.

    Otherwise a file opened later would get the descriptor of a closed stream, and receive what a worker prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_REPLACE)


def close_streams() -> None:
    """Flush standard output and error; if that fails, drop the buffered text, on which Python would fail at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            drop(stream)


def drop(stream: TextIO) -> None:
    """Redirect a stream, with its buffered text, to the null device."""
    with suppress(OSError, ValueError):  # the stream is closed, or has no file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _Tolerant:
    """A wrapper that makes a text stream take any text, and leaves the stream itself as it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        return self._stream.write(text.encode(encoding, _REPLACE).decode(encoding))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def tolerant(stream: TextIO | None) -> TextIO:
    """Return a wrapper of a stream that takes any text; for None, a closed stream, the text is not shown."""
    return cast("TextIO", _Tolerant(stream if stream is not None else io.StringIO()))


def plain(text: str) -> str:
    """Return a text without the control characters that a terminal would act on."""
    return "".join(sign for sign in text if sign in "\n\t" or unicodedata.category(sign) != "Cc")


def say(text: str, *, error: bool = False) -> None:
    """Print a line without control characters to standard output, or to standard error."""
    print(plain(text), file=sys.stderr if error else sys.stdout, flush=True)


def begin(text: str, *, as_json: bool) -> None:
    """Print what a command is about to do, before its slow imports; in JSON form, as a note."""
    say(json.dumps({"kind": "note", "text": text}) if as_json else text)


def console(file: TextIO | None = None) -> "Console":
    """Return a console that shows every text literally; piped output is laid out for 200 columns instead of 80."""
    from rich.console import Console as Plain

    class Console(Plain):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - raise the BrokenPipeError itself; rich would end the process

    options: dict[str, Any] = {"file": file, "markup": False, "highlight": False, "emoji": False}
    found = Console(**options)
    if found.is_terminal and found.width >= _NARROWEST:
        return found
    return Console(**options, width=_NARROWEST if found.is_terminal else _PIPED)
