"""Failures of trials in one line: the exception, where the user's code raised it, and the log with the details."""

import re
from collections.abc import Sequence
from pathlib import Path

from sweeps.search.history import Trial
from sweeps.store.folders import SweepFolder

_FRAME = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
_OTHERS = re.compile(r"[/\\](site-packages|dist-packages|lib[/\\]python3[^/\\]*|sweeps[/\\]execution)[/\\]|^<")
_PLACED = re.compile(r":\d+\)$")  # a reason that already names its place
_LETTERS = 300  # of the first line of a reason


def raised_at(traceback: str) -> str:
    """Return FILE:LINE of the last frame of the user's own code, or of the last frame at all; "" if there is none."""
    frames = [(found[1], found[2]) for found in _FRAME.finditer(traceback)]
    own = [frame for frame in frames if not _OTHERS.search(frame[0])] or frames
    return ":".join(own[-1]) if own else ""


def why(trial: Trial) -> str:
    """Return the first line of a trial's reason, shortened, with the place where it was raised if that is known."""
    first, _, rest = trial.reason.partition("\n")
    short = first if len(first) <= _LETTERS else f"{first[:_LETTERS]}…"
    place = "" if _PLACED.search(short) else raised_at(trial.detail or rest)
    return f"{short} at {place}" if place else short


def log_of(trial: Trial, folder: SweepFolder) -> Path:
    """Return the path of the log with a trial's output and tracebacks."""
    return folder.log(trial.key.label)


def failure_lines(trials: Sequence[Trial], folder: SweepFolder) -> list[str]:
    """Return one line for each group of trials with the same failure, the most frequent failure first."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.state == "failed":
            groups.setdefault(why(trial), []).append(trial)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [f"failed: {_labels(group)}: {reason}, log {log_of(group[0], folder)}" for reason, group in ordered]


def _labels(trials: Sequence[Trial], most: int = 5) -> str:
    labels = ", ".join(trial.key.label for trial in trials[:most])
    if len(trials) == 1:
        return f"trial {labels}"
    return f"{len(trials)} trials ({labels}{', …' if len(trials) > most else ''})"
