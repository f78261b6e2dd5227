"""Tests of failures: each says what was raised and where in the user's code, whatever was raised."""

import asyncio
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from test_legs import run
from test_worker import a_leg

from sweeps.execution.failures import reason_of
from sweeps.search.history import Stamp, Trial, TrialKey
from sweeps.terminal.failures import why

HERE = Path(__file__).name


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def line_of(error: BaseException) -> int | None:
    """Return the line of this file at which the error was raised."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]
    return frames[-1].lineno


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def raises() -> NoReturn:
        raise error

    return raises


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (raising(ValueError("too large")), "ValueError: too large"),
        (raising(ValueError("two\nlines")), "ValueError: two lines"),
        (raising(ValueError()), "ValueError"),
        (raising(ValueError("x" * 900)), f"ValueError: {'x' * 500}…"),
        (raising(SilentError()), "SilentError: its text can't be shown (RuntimeError)"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (raising(asyncio.CancelledError()), "CancelledError"),
        (lambda: json.loads("{"), "JSONDecodeError: Expecting property name enclosed in double quotes"),
    ],
)
def test_a_reason_is_one_line_with_the_place_in_the_users_code(act: Callable[[], object], words: str) -> None:
    try:
        act()
    except BaseException as error:
        reason, line = reason_of(error), line_of(error)

    assert reason.startswith(words)
    assert reason.endswith(f"{HERE}:{line})")
    assert len(reason.splitlines()) == 1


@pytest.mark.parametrize("error", [SilentError(), asyncio.CancelledError(), SystemExit(), MemoryError(), ValueError()])
def test_whatever_a_trial_raises_is_a_message_that_it_failed(tmp_path: Path, error: BaseException) -> None:
    def trains(params: Any, seed: int) -> Any:
        yield {"loss": 1.0}
        raise error

    messages = list(run(a_leg(tmp_path, 3), trains))

    assert [message.kind for message in messages] == ["measured", "failed"]
    assert type(error).__name__ in messages[-1].reason
    assert "Traceback" in messages[-1].detail


def test_the_place_of_a_failure_is_named_once() -> None:
    traceback_ = "Traceback:\n  File \"/mine/train.py\", line 12, in f\nKeyError: 'a'"
    for reason, shown in [
        ("KeyError: 'a' (train.py:12)", "KeyError: 'a' (train.py:12)"),
        ("KeyError: 'a'", "KeyError: 'a' at /mine/train.py:12"),
        (f"KeyError: {'a' * 400} (train.py:12)", f"KeyError: {'a' * 290}… at /mine/train.py:12"),
    ]:
        trial = Trial(TrialKey(0), {}, 1, Stamp(1, 0.0), 0, "failed", reason, traceback_)
        assert why(trial) == shown
