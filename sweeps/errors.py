"""The errors that this package raises on purpose, each with the exit code that the command line gives it.

    SweepError                1   any of the errors below, and a replay that differs
    ├── OutcomeError          1   a sweep ended without a winner, or a design is incomplete
    ├── SpecError             2   a spec, parameter, name or argument breaks a rule
    ├── SweepNotFoundError    3   no sweep of that name in the results folder
    ├── LedgerError           4   the store of a sweep is damaged, or can't be read or written
    │   └── LeaseError        5   another driver works on the sweep
    ├── ResourceError         6   a trial asks for more than Ray has, or Ray is not available
    └── InterruptedSweepError 130 Ctrl-C or a stop signal ended the run; everything reported is kept

Each message is one line that names the rule, the place and the value, and says what to do.
"""

from typing import Any


class SweepError(Exception):
    """The base class of all errors that this package raises on purpose."""

    exit_code = 1


class OutcomeError(SweepError):
    """A sweep ended without a winner, or a design is incomplete; `result` has everything that was tried."""

    def __init__(self, text: str, result: Any = None) -> None:
        super().__init__(text)
        self.result = result


class SpecError(SweepError, ValueError):
    """A spec, parameter, name or argument breaks a rule."""

    exit_code = 2


class SweepNotFoundError(SweepError, LookupError):
    """There is no sweep of that name in the results folder."""

    exit_code = 3


class LedgerError(SweepError):
    """The store of a sweep is damaged, or can't be read or written."""

    exit_code = 4


class LeaseError(LedgerError):
    """Another driver works on the sweep."""

    exit_code = 5


class ResourceError(SweepError):
    """A trial asks for more than Ray has, or Ray is not available."""

    exit_code = 6


class InterruptedSweepError(SweepError):
    """Ctrl-C or a stop signal ended the run; everything reported is kept."""

    exit_code = 130
