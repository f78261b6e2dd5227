"""Why trials failed, in a line: the exception, where in the user's code it was raised, and the log that has it all."""

import re
from collections.abc import Sequence
from pathlib import Path

from sweeps.search.history import Trial
from sweeps.store.folders import SweepFolder

_FRAME = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
_OTHERS = re.compile(r"[/\\](site-packages|dist-packages|lib[/\\]python3[^/\\]*|sweeps[/\\]execution)[/\\]|^<")
_PLACED = re.compile(r":\d+\)$")  # a reason that names its place
_LETTERS = 300  # of an exception's message


def raised_at(traceback: str) -> str:
    """Return FILE:LINE of the last frame of the user's own code, else of the last of all; "" without any."""
    frames = [(found[1], found[2]) for found in _FRAME.finditer(traceback)]
    own = [frame for frame in frames if not _OTHERS.search(frame[0])] or frames
    return ":".join(own[-1]) if own else ""


def why(trial: Trial) -> str:
    """Return the first line of a trial's reason with the place where it was raised."""
    first, _, rest = trial.reason.partition("\n")
    short = first if len(first) <= _LETTERS else f"{first[:_LETTERS]}…"
    place = "" if _PLACED.search(short) else raised_at(trial.detail or rest)
    return f"{short} at {place}" if place else short


def log_of(trial: Trial, folder: SweepFolder) -> Path:
    """Return where a trial's output and tracebacks are."""
    return folder.log(trial.key.label)


def failure_lines(trials: Sequence[Trial], folder: SweepFolder) -> list[str]:
    """Return a line for all trials that failed alike, the most frequent failure first."""
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
