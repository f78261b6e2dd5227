"""The errors that this package raises on purpose, each with the exit code that the command line gives it.

    SweepError                1   anything below, and a replay that differs
    ├── OutcomeError          1   a sweep ended without a winner, or a design is not whole
    ├── SpecError             2   a spec, parameter, name or argument breaks a rule
    ├── SweepNotFoundError    3   no sweep of that name in the results folder
    ├── LedgerError           4   the store of a sweep can't be read, written or is damaged
    │   └── LeaseError        5   another driver works on the sweep
    ├── ResourceError         6   what a trial asks for is more than Ray has, or Ray can't be had
    └── InterruptedSweepError 130 Ctrl-C or a stop signal ended the run; everything reported is kept

Each message is one line that names the rule, the place and the value and says what to do.
"""

from typing import Any


class SweepError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class OutcomeError(SweepError):
    """A sweep came to its end without a winner, or a design is not whole; `result` has what there is."""

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
    """The store of a sweep can't be read, written or is damaged."""

    exit_code = 4


class LeaseError(LedgerError):
    """Another driver works on the sweep."""

    exit_code = 5


class ResourceError(SweepError):
    """What a trial asks for is more than Ray has, or Ray can't be had."""

    exit_code = 6


class InterruptedSweepError(SweepError):
    """Ctrl-C or a stop signal ended the run; everything reported is kept."""

    exit_code = 130
