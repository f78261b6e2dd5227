"""What became of a trial, in a few words."""

from sweeps.search.history import Trial


def fate(trial: Trial | None) -> str:
    """Return what became of a trial that has no value."""
    return "was not run" if trial is None else f"{trial.state} {trial.reason.partition(chr(10))[0]}".strip()
