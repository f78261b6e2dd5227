"""Descriptions of trial failures: the exception, and the file and line of the user's code that raised it."""

import os
import re
import sys
import sysconfig
import traceback
from functools import cache
from pathlib import Path

from sweeps.search.history import History

ALIKE = 3  # trials that fail the same way, while none succeeds, before the sweep stops
MANY = 10  # failed trials before the sweep stops, if they had reported or a running trial began before them
# Errors of devices are recognized by their text: each library has different classes for them, or none.
_OF_DEVICE = re.compile(
    r"\b(CUDA|HIP|ROCm|cuDNN|cuBLAS|cuSPARSE|cuSOLVER|cuFFT|NCCL|RCCL|MPS|XPU|Triton)\b"
    r"[^\n]*?\b(error|failed|failure|out of memory|busy|unavailable)\b|CU\w+_STATUS_|CUDA_ERROR|RESOURCE_EXHAUSTED"
    r"|illegal memory access|device-side assert",
    re.IGNORECASE,
)
NOTE = "failing_alike"  # the kind of note that a session ended for this reason
_LONGEST = 500  # characters of a reason; the traceback has the rest
_PLACE = re.compile(r"\(([^()]+:\d+)\)$")


def text_of(error: BaseException) -> str:
    """Return the text of an exception in a form that can be stored."""
    try:
        return storable(str(error))
    except BaseException as worse:
        return f"its text can't be shown ({type(worse).__name__})"


def storable(text: str) -> str:
    """Return text in which characters that UTF-8 or a database can't hold are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def is_of_device(error: BaseException) -> bool:
    """Return whether an exception, or one that led to it, is an error of a GPU, including out of memory.

    After such an error, further calls in the same process fail or find too little memory.
    """
    torch = sys.modules.get("torch")
    kinds = tuple(getattr(torch, name) for name in ("OutOfMemoryError", "AcceleratorError") if hasattr(torch, name))
    return any(
        isinstance(one, kinds)
        or type(one).__name__ == "OutOfMemoryError"
        or (isinstance(one, RuntimeError) and bool(_OF_DEVICE.search(text_of(one))))
        for one in _causes(error)
    )


def _causes(error: BaseException) -> list[BaseException]:
    """Return an exception with all exceptions that it was raised from, or that it contains as a group."""
    found, open_ = list[BaseException](), [error]
    while open_:
        one = open_.pop()
        if not any(one is known for known in found):
            found.append(one)
            held = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
            open_ += [cause for cause in (one.__cause__, one.__context__, *held) if cause is not None]
    return found


def reason_of(error: BaseException) -> str:
    """Return an exception as one line, with the place in the user's code if there is one."""
    text = " ".join(text_of(error).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    place = place_of(error)
    return f"{type(error).__name__}{f': {text}' if text else ''}{f' ({place})' if place else ''}"


def place_of(error: BaseException) -> str | None:
    """Return "file:line" of the innermost frame that is neither this project's nor a library's, or None."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    return f"{_shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else None


def _is_users(file: str) -> bool:
    return not file.startswith("<frozen ") and not any(Path(file).is_relative_to(root) for root in _roots())


@cache
def _roots() -> tuple[Path, ...]:
    """Return the folders of Python, of installed packages and of this project's packages."""
    ours = Path(__file__).parents[2]
    installed = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*installed, *(ours / name for name in ("search_spaces", "study", "sweeps")))


def _shown(file: str) -> str:
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the trial removed the working directory
        return file
    return os.path.relpath(file, here) if Path(file).is_relative_to(here) else file


def failing_alike(history: History) -> str | None:
    """Return how the last trials failed, or None if one has succeeded or they did not all fail the same way.

    The last `ALIKE` failures are compared. The result is None while a running trial has more reports than these. Until
    `MANY` trials have failed, it is also None if these had reported, or while a running trial began before them.
    """
    failed = sorted(history.in_state("failed"), key=lambda trial: trial.ended or 0.0)
    last = failed[-ALIKE:]
    if len(last) < ALIKE or len({_cause(trial.reason) for trial in last}) > 1:
        return None
    if any(trial.state not in ("failed", "running") for trial in history.trials.values()):
        return None
    reports, first = max(len(trial.measurements) for trial in last), min(trial.asked.seq for trial in last)
    if reports and len(failed) < MANY:  # these parameters may just train badly
        return None
    running = history.in_state("running")
    if any(len(trial.measurements) > reports for trial in running):
        return None
    if len(failed) < MANY and any(trial.asked.seq < first for trial in running):
        return None
    before = "before any report" if reports == 0 else "and none came through"
    return f"{len(failed)} trials failed {before}, the last {ALIKE} alike: {last[-1].reason}"


def _cause(reason: str) -> tuple[str, str]:
    """Return what failures of one kind share: the exception's class, and its place or, without one, its text."""
    kind, _, text = reason.partition(":")
    place = _PLACE.search(reason)
    return kind.partition(" ")[0], place[1] if place else text
