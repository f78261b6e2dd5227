"""The fate of a trial in a few words."""

from sweeps.search.history import AGAIN, Trial


def fate(trial: Trial | None) -> str:
    """Return what became of a trial that has no value."""
    if trial is None:
        return "was not run"
    reason = trial.reason.partition("\n")[0]
    if trial.state == "cut":
        return reason if reason == AGAIN else f"cut by {reason}"
    return f"{trial.state}: {reason}" if reason else trial.state
