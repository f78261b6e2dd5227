"""One leg in a process of its own, told in messages: a stretch of a trial to its next halt, or a range test."""

import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.execution.messages import Leg, Message, RangeLeg
from sweeps.execution.targets import Run
from sweeps.search.ranges import range_config
from sweeps.spec import SweepSpec

if TYPE_CHECKING:
    from study.data import Dataset


def run_leg(leg: Leg, begin: Callable[[Leg, Path | None], Run]) -> Generator[Message]:
    """The messages of one leg; `begin` starts the trial, from its checkpoint where there is one.

    The checkpoint is written before its measurement is reported, and holds it: a measurement whose report was lost
    with the driver is reported again, not trained again. Never raises what the trial raises: that is a message.
    """
    deadline = None if leg.seconds_left is None else time.monotonic() + leg.seconds_left

    def is_over() -> bool:
        return deadline is not None and time.monotonic() >= deadline

    try:
        run, notes = _begin(leg, begin)
        if run.last is not None and run.last.report > leg.known:
            yield Message("measured", run.last, run.environment, run.plan, notes=notes)
            notes = ()
        for measurement in run.measurements(is_over):
            run.save(leg.checkpoint)
            yield Message("measured", measurement, run.environment, run.plan, notes=notes)
            notes = ()
        if run.interrupted:
            run.save(leg.checkpoint)
            yield Message("cut", reason="time", notes=notes)
        else:
            yield Message("ended", notes=notes)
    except (Exception, SystemExit) as error:  # whatever a trial raises is a record, and the actor stays warm
        yield _failed(error)


def run_range_leg(leg: RangeLeg, spec: SweepSpec, data: "Dataset") -> Generator[Message]:
    """The one message of a range test."""
    from study.range_test import lr_range
    from study.reproducibility import environment

    try:
        config = range_config(spec, leg.key)
        yield Message("ranged", range=asdict(lr_range(config, data)), environment=environment(config, data))
    except Exception as error:  # as with a trial
        yield _failed(error)


def _failed(error: BaseException) -> Message:
    return Message("failed", reason=f"{type(error).__name__}: {error}", detail=traceback.format_exc())


def _begin(leg: Leg, begin: Callable[[Leg, Path | None], Run]) -> tuple[Run, tuple[str, ...]]:
    """The trial from its checkpoint; from its start, with a note, where the checkpoint can't be used."""
    if not leg.checkpoint.exists():
        run = begin(leg, None)
        is_missed = leg.known > 0 and run.resumable
        return run, (f"no checkpoint of trial {leg.key.label}: it starts again",) if is_missed else ()
    try:
        return begin(leg, leg.checkpoint), ()
    except Exception as error:  # a damaged file shows in many ways; each means the same here
        note = f"the checkpoint of trial {leg.key.label} can't be used ({error}): it starts again"
        return begin(leg, None), (note,)
