"""Errors at the edge of the program: each becomes one printed line and an exit code."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from typer._click.exceptions import UsageError  # typer carries its own copy of click

from sweeps.errors import SweepError
from sweeps.terminal.streams import say

STOPPED = 130


def worded(command: Callable[[], Any]) -> int:
    """Run a command and return its exit code; an error is printed as one line."""
    try:
        code = int(command() or 0)
        sys.stdout.flush()  # a full disk shows here, not only at exit
        # typer handles Ctrl-C itself, and returns its code without a message.
        return _say("stopped", code) if code == STOPPED else code
    except BrokenPipeError:
        return 1
    except (Exception, KeyboardInterrupt) as error:
        return _say(*_words(error))


def _words(error: BaseException) -> tuple[str, int]:
    """Return the message of an error, and its exit code."""
    from search_spaces import SpaceError
    from study.config import ConfigError
    from study.data import DataError
    from study.experiments import ExperimentError

    match error:
        case SweepError():
            return str(error), error.exit_code
        case SpaceError() | ConfigError() | DataError():
            return str(error), 2
        case ExperimentError():
            return str(error), 4
        case UsageError():
            command = error.ctx.command_path if error.ctx else "sweeps"
            return f"{error.format_message().rstrip('.')}. See `{command} --help`.", 2
        case KeyboardInterrupt():
            return "stopped", STOPPED
    return _words_of_the_machine(error)


def _words_of_the_machine(error: BaseException) -> tuple[str, int]:
    """Return the message and exit code of an error that no code of this project raised on purpose."""
    if isinstance(error, OSError) and error.filename is not None:
        place = f"{error.filename} can't be read or written ({error.strerror})"
        return f"{place}: what is stored is kept; mend that and do it again", 4
    # Not one of this project's errors: a bug, or the machine. Still one line; --debug shows where.
    return f"{type(error).__name__}: {error} (put --debug after `sweeps` to see where)", 1


def _say(text: str, code: int) -> int:
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    with suppress(OSError, ValueError):  # standard error is closed
        say(f"error: {line}", error=True)
    return code
