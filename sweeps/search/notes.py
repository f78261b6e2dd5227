"""What budgets wrote about a sweep: which of them ended its search, and for how much of the selection they suffice."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# Kinds of notes that are written between sessions.
EXTENDED = "extended"  # gives a sweep more trials or time
SELECTED = "selected"  # ends the search, and may change how the winner is chosen
RETRY = "retry"  # lets trials that failed run again, those without the metric from their start
BETWEEN_SESSIONS = ("session", EXTENDED, SELECTED, RETRY)
# Kinds that budgets write.
CLOSED = "closed"  # the kind of note that a budget ends the search; it stays ended until the sweep gets more
FITTED = "fitted"  # the kind of note of the selection for which the budgets suffice, once the search is over


@dataclass(frozen=True)
class Budgeted:
    """The budget that ended the search, and the keys of [selection] for which the budgets suffice; None without."""

    closed_by: str | None = None
    fitted: Mapping[str, int] | None = None

    def after(self, kind: str, body: Mapping[str, Any]) -> "Budgeted":
        """Return what holds after one more note: more of a budget, or a trial to retry, opens the search again."""
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
