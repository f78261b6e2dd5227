"""The rows that a budget writes: that it ends the search, and how much of the selection it then suffices for."""

from collections.abc import Mapping

from sweeps.search.agenda import is_searching
from sweeps.search.budgets import Ended, lefts, spent
from sweeps.search.fitting import AT_HAND, smaller, with_rule
from sweeps.search.history import History, Noted
from sweeps.search.notes import CLOSED, FITTED
from sweeps.search.pace import candidate_lengths, selection_costs, slots
from sweeps.search.selection import candidates
from sweeps.spec import SweepSpec

_KEYS = frozenset(["candidates", "seeds", "published_seeds"])


def closing(spec: SweepSpec, history: History, now: float) -> Noted | None:
    """Return the row that ends the search if a budget does, or None if none does or the search is over anyway.

    The search then stays ended, whatever later reports say about the duration of the selection.
    """
    if history.budgeted.closed_by or history.is_closed or not (names := spent(spec, history, now, "search")):
        return None
    is_under_way = any(trial.key.stage == "search" for trial in history.running)
    return Noted(CLOSED, {"budget": names[0]}) if is_under_way or is_searching(spec, history, Ended()) else None


def fit(spec: SweepSpec, history: History, now: float) -> Noted:
    """Return the row that records how much of the selection the budgets suffice for."""
    left = lefts(spec, history, now)
    return Noted(FITTED, {"left": left, "selection": fitted(spec, history, left)})


def fitted(spec: SweepSpec, history: History, left: Mapping[str, float]) -> dict[str, int]:
    """Return the keys of the largest selection that fits into what is left of the budgets, as returned by `lefts`."""
    for rule in smaller(spec.selection):
        keys = rule.model_dump(include=set(_KEYS))
        lengths = candidate_lengths(spec, history, candidates(with_rule(spec, keys), history))
        if not rule.chooses and rule.published_seeds == 1:
            lengths = lengths[:1]  # the winner comes first: the baseline is published if there is time for it
        costs = {name: selection_costs(rule, lengths, slots(history) if name == "time" else None) for name in left}
        if all(AT_HAND * costs[name].both <= left[name] for name in left):
            return keys
    return keys
