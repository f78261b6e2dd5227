"""What a trial's failure is called: the exception, and the file and line of the user's code where it was raised."""

import os
import re
import sys
import sysconfig
import traceback
from functools import cache
from pathlib import Path

from sweeps.search.history import History

ALIKE = 3  # trials that fail the same way, with no other that comes through, before the sweep stops
MANY = 10  # failed trials, if they had reported, or if one that runs began before them
# The errors of devices, by their text: libraries have classes of their own for them, or none.
_OF_DEVICE = re.compile(
    r"\b(CUDA|HIP|ROCm|cuDNN|cuBLAS|cuSPARSE|cuSOLVER|cuFFT|NCCL|RCCL|MPS|XPU|Triton)\b"
    r"[^\n]*?\b(error|failed|failure|out of memory|busy|unavailable)\b|CU\w+_STATUS_|CUDA_ERROR|RESOURCE_EXHAUSTED"
    r"|illegal memory access|device-side assert",
    re.IGNORECASE,
)
NOTE = "failing_alike"  # the kind of note that says that a session ended for that
_LONGEST = 500  # characters of a reason; the traceback has the rest
_PLACE = re.compile(r"\(([^()]+:\d+)\)$")


def text_of(error: BaseException) -> str:
    """Return the text of an exception, as it can be stored."""
    try:
        return storable(str(error))
    except BaseException as worse:
        return f"its text can't be shown ({type(worse).__name__})"


def storable(text: str) -> str:
    """Return text without what UTF-8 or a database can't hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def is_of_device(error: BaseException) -> bool:
    """Return whether an exception, or what led to it, is an error of a GPU, out of memory too.

    After one, further calls in the same process fail, or find too little memory.
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
    """Return an exception with all that it was raised from, or holds."""
    found, open_ = list[BaseException](), [error]
    while open_:
        one = open_.pop()
        if not any(one is known for known in found):
            found.append(one)
            held = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
            open_ += [cause for cause in (one.__cause__, one.__context__, *held) if cause is not None]
    return found


def reason_of(error: BaseException) -> str:
    """Return the exception in one line, with the place in the user's code where there is one."""
    text = " ".join(text_of(error).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    place = place_of(error)
    return f"{type(error).__name__}{f': {text}' if text else ''}{f' ({place})' if place else ''}"


def place_of(error: BaseException) -> str | None:
    """Return "file:line" of the innermost frame that is neither ours nor a library's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    return f"{_shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else None


def _is_users(file: str) -> bool:
    return not file.startswith("<frozen ") and not any(Path(file).is_relative_to(root) for root in _roots())


@cache
def _roots() -> tuple[Path, ...]:
    """Return the folders of Python, of installed packages, and of our own."""
    ours = Path(__file__).parents[2]
    installed = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*installed, *(ours / name for name in ("search_spaces", "study", "sweeps")))


def _shown(file: str) -> str:
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the trial removed it
        return file
    return os.path.relpath(file, here) if Path(file).is_relative_to(here) else file


def failing_alike(history: History) -> str | None:
    """Say how the last trials failed, where none has come through and all did so the same way.

    A running trial that has got further than these is waited for, and for a while one that began before them. It takes
    more failures after reports than before any.
    """
    failed = sorted(history.in_state("failed"), key=lambda trial: trial.ended or 0.0)
    last = failed[-ALIKE:]
    if len(last) < ALIKE or len({_cause(trial.reason) for trial in last}) > 1:
        return None
    if any(trial.state not in ("failed", "running") for trial in history.trials.values()):
        return None
    reports, first = max(len(trial.measurements) for trial in last), min(trial.asked.seq for trial in last)
    if reports and len(failed) < MANY:  # it may be these parameters that train badly
        return None
    running = history.in_state("running")
    if any(len(trial.measurements) > reports for trial in running):
        return None
    if len(failed) < MANY and any(trial.asked.seq < first for trial in running):
        return None
    before = "before any report" if reports == 0 else "and none came through"
    return f"{len(failed)} trials failed {before}, the last {ALIKE} alike: {last[-1].reason}"


def _cause(reason: str) -> tuple[str, str]:
    """Return what is the same in failures of one kind: the exception's class, and its place or else its text."""
    kind, _, text = reason.partition(":")
    place = _PLACE.search(reason)
    return kind.partition(" ")[0], place[1] if place else text
