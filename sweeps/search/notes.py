"""Kinds of notes, and what budgets recorded: the one that ended the search, and the selection that they suffice for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# Kinds of notes that are written between sessions.
EXTENDED = "extended"  # gives a sweep more trials or time
SELECTED = "selected"  # ends the search, and may change how the winner is chosen
RETRY = "retry"  # lets failed trials run again, those without the metric from their start
BETWEEN_SESSIONS = ("session", EXTENDED, SELECTED, RETRY)
# Kinds that budgets write.
CLOSED = "closed"  # a budget ends the search, which stays ended until the sweep gets more
FITTED = "fitted"  # the selection that the budgets suffice for, once the search is over


@dataclass(frozen=True)
class Budgeted:
    """The budget that ended the search, and the keys of [selection] that the budgets suffice for, or None."""

    closed_by: str | None = None
    fitted: Mapping[str, int] | None = None

    def after(self, kind: str, body: Mapping[str, Any]) -> "Budgeted":
        """Return the state after one more note; an extension of a budget, or a retry, reopens the search."""
        match kind:
            case "closed":
                return replace(self, closed_by=body["budget"])
            case "fitted":
                return replace(self, fitted=body["selection"])
            case "extended" | "retry":
                return Budgeted()
            case "selected":
                return replace(self, fitted=None)
        return self
