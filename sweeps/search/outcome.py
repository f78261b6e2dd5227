"""The result of a search in a few values, as the ledger records it: a pure function of history."""

from collections.abc import Sequence
from typing import Any

from sweeps.search.fates import fate
from sweeps.search.fitting import as_fitted
from sweeps.search.history import History
from sweeps.search.intervals import Interval
from sweeps.search.selection import BASELINE, Candidate, Selection, failed_in_choice
from sweeps.spec import SweepSpec

_TOLD = 3  # trials whose fate is reported if there is no winner


def outcome(spec: SweepSpec, history: History, selection: Selection) -> dict[str, Any]:
    """Return the result in a few values: winner and baseline on the published seeds, and how the winner was found.

    `basis` is the stage of the winner's value: evaluation, or selection or search, which do not confirm it.
    """
    final = selection.final
    winner = selection.candidates[0] if final else None
    published = {found.number: found for found in selection.published}
    return {
        "winner": winner.number if winner else None,
        "final": final.label if final else None,
        "metric": spec.metric,
        "basis": selection.basis,
        **_estimate("", selection.value),
        **_estimate("baseline_", published[BASELINE].interval if BASELINE in published else None),
        "difference": selection.difference.mean if selection.difference else None,
        "difference_low": selection.difference.low if selection.difference else None,
        "difference_high": selection.difference.high if selection.difference else None,
        "searched": winner.searched if winner else None,
        "searched_at": winner.searched_at if winner else None,
        "optimism": selection.optimism,
        "seeds": selection.seeds,
        "trials": len(history.search),
        "reason": _why(spec, history, winner, selection) if winner else _why_none(spec, history, selection),
    }


def _estimate(prefix: str, known: Interval | None) -> dict[str, Any]:
    """Return what is known of a configuration: its mean over n seeds, and the interval if these seeds chose nothing."""
    names = ("mean", "low", "high", "n")
    return {f"{prefix}{name}": getattr(known, name) if known else None for name in names}


def _why(spec: SweepSpec, history: History, winner: Candidate, selection: Selection) -> str:
    found = (winner.reason, selection.instead, unconfirmed(spec, history, selection), shortened(spec, history))
    return "; ".join(filter(None, found))


def unconfirmed(spec: SweepSpec, history: History, selection: Selection) -> str:
    """Return why the winner is not confirmed, or "" if it is."""
    if selection.basis is None or selection.is_confirmed:
        return ""
    if not spec.selection.published_seeds:
        return "not confirmed: the selection has no published seeds"
    if not as_fitted(spec, history).selection.published_seeds:
        return "not confirmed: the time was too short for a training on a fresh seed that chose nothing"
    return "not confirmed: a budget ended before a run on a further seed came to its end"


def shortened(spec: SweepSpec, history: History) -> str:
    """Return how much of the selection there was time for, or "" if there was time for all of it."""
    asked, rule = spec.selection, as_fitted(spec, history).selection
    if rule == asked:
        return ""
    numbers = [
        f"candidates={r.candidates}, seeds={r.seeds} and published_seeds={r.published_seeds}" for r in (rule, asked)
    ]
    return f"the budgets sufficed for {numbers[0]}, where {numbers[1]} were asked for"


def _why_none(spec: SweepSpec, history: History, selection: Selection) -> str:
    if not history.trials:
        return "the time was over before the first trial"
    if selection.winner is not None:
        who, missing = f"trial {selection.winner} would be the winner", selection.published[0].missing
        return f"{who}, but none of its further seeds came to its end ({missing})"
    if not selection.candidates:
        fates = [f"trial {trial.key.label}: {fate(trial)}" for trial in history.search]
        have_failed = all(trial.state == "failed" for trial in history.search)
        what = "every trial of the search failed" if have_failed else "no trial of the search has a finite value"
        return f"{what} ({_first(fates)})"
    failed = failed_in_choice(spec, history)
    reasons = [f"trial {c.number}: {c.reason}" for c in selection.candidates if c.number in failed]
    if len(reasons) == len(selection.candidates):
        return f"no trial has a finite value on all its fresh seeds ({_first(reasons)})"
    return f"no candidate is left ({_first([f'trial {c.number}: {c.reason}' for c in selection.candidates])})"


def _first(told: Sequence[str]) -> str:
    return "; ".join(told[:_TOLD]) + (f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else "")
