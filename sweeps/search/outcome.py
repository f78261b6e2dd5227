"""The result of a search in a few values, as the ledger records it: a pure function of history."""

from collections.abc import Sequence
from typing import Any

from sweeps.search.fates import fate
from sweeps.search.history import History
from sweeps.search.selection import BASELINE, Candidate, Published, Selection, failed_in_choice
from sweeps.spec import SweepSpec

_TOLD = 3  # trials whose fate is told where there is no winner


def outcome(spec: SweepSpec, history: History, selection: Selection) -> dict[str, Any]:
    """The result in a few values: winner and baseline on the seeds that are published, and how the winner was found."""
    final = selection.final
    winner = selection.candidates[0] if final else None
    published = {found.number: found for found in selection.published}
    return {
        "winner": winner.number if winner else None,
        "final": final.label if final else None,
        "metric": spec.metric,
        **_estimate("", published.get(selection.winner) if selection.winner is not None else None),
        **_estimate("baseline_", published.get(BASELINE)),
        "difference": selection.difference.mean if selection.difference else None,
        "difference_low": selection.difference.low if selection.difference else None,
        "difference_high": selection.difference.high if selection.difference else None,
        "searched": winner.searched if winner else None,
        "searched_at": winner.searched_at if winner else None,
        "optimism": selection.optimism,
        "seeds": selection.seeds,
        "trials": len(history.search),
        "reason": _why(winner, selection) if winner else _why_none(spec, history, selection),
    }


def _estimate(prefix: str, found: Published | None) -> dict[str, Any]:
    """What is published of a configuration: its mean over n further seeds, and the interval."""
    known = found.interval if found else None
    names = ("mean", "low", "high", "n")
    return {f"{prefix}{name}": getattr(known, name) if known else None for name in names}


def _why(winner: Candidate, selection: Selection) -> str:
    return "; ".join(filter(None, (winner.reason, selection.instead)))


def _why_none(spec: SweepSpec, history: History, selection: Selection) -> str:
    if not history.trials:
        return "the time was over before the first trial"
    if selection.winner is not None:
        who, missing = f"trial {selection.winner} would be the winner", selection.published[0].missing
        return f"{who}, but none of its further seeds came to its end ({missing})"
    if not selection.candidates:
        fates = [f"trial {trial.key.label}: {fate(trial)}" for trial in history.search]
        return f"no trial of the search has a finite value ({_first(fates)})"
    failed = failed_in_choice(spec, history)
    reasons = [f"trial {c.number}: {c.reason}" for c in selection.candidates if c.number in failed]
    if len(reasons) == len(selection.candidates):
        return f"no trial has a finite value on all its fresh seeds ({_first(reasons)})"
    if any(run.key.stage == "choice" for run in history.selection):
        return "a budget ended before one fresh seed was through: the share that is held back for them is too small"
    return "a budget ended before any fresh seed could begin: the share that is held back for them is too small"


def _first(told: Sequence[str]) -> str:
    return "; ".join(told[:_TOLD]) + (f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else "")
