"""One leg in a worker process, reported as messages: a stretch of a trial to its next halt, or a range test."""

import traceback
from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from study.files import replacing
from study.measurement import Measurement
from sweeps.errors import LedgerError
from sweeps.execution.failures import is_of_device, reason_of, storable, text_of
from sweeps.execution.messages import Leg, Message, RangeLeg
from sweeps.execution.spending import Spending
from sweeps.execution.targets import Run
from sweeps.search.ranges import range_config
from sweeps.spec import SweepSpec
from sweeps.store.folders import first_there
from sweeps.store.rows import dump_json, load_json

if TYPE_CHECKING:
    from study.data import Dataset


_BY_RAY = "ray_terminate_msg"  # an attribute of the SystemExit that Ray, and not the trial, raises on a SIGTERM


def run_leg(
    leg: Leg,
    begin: Callable[[Leg, Path | None], Run],
    is_stopping: Callable[[], bool] = lambda: False,
    spent: Spending | None = None,
) -> Generator[Message]:
    """Yield the messages of one leg.

    A checkpoint and its measurements are written before the measurements are reported. If the driver dies before it
    records them, they are reported again and not trained again. An exception of the trial is not raised, but becomes
    a message.

    Args:
        leg: The leg to run.
        begin: Starts the trial, from its checkpoint if there is one.
        is_stopping: Returns True once the sweep is stopping. The trial then saves its state and the leg is over.
        spent: Counts the seconds of this process, if given.

    Yields:
        A message for each measurement, then one about the end of the leg.
    """
    spent, doing = spent or Spending(), "preparing"
    try:
        run, unreported, notes = _begin(leg, begin)
        if run.resumable:
            _keep(leg, unreported)
        trained = run.last.seconds if run.last else 0.0
        spent.book(doing)
        doing = "training"
        for measurement in unreported:
            yield Message("measured", measurement, run.environment, run.plan, notes=notes)
            notes = ()
        is_over = leg.clock()
        for measurement in run.measurements(lambda: is_stopping() or is_over()):
            spent.book("validation", first="training", seconds=measurement.seconds - trained)
            trained = measurement.seconds
            _save(run, leg, [measurement])
            spent.book("checkpoint")
            yield Message("measured", measurement, run.environment, run.plan, notes=(*notes, *run.notes))
            notes = ()
        spent.book(doing)  # the time since the last report
        if run.interrupted:
            _save(run, leg, [])
            if is_stopping():
                yield Message("stopped", plan=run.plan, notes=notes)
            else:
                yield Message("cut", reason=leg.limit.name if leg.limit else "", notes=notes)
        else:
            costs = run.costs() if leg.key.replicate else None
            spent.book("validation")
            yield Message("ended", costs=costs, notes=notes)
    except _UnsavedError as error:
        yield Message("unsaved", reason=f"the checkpoint of trial {leg.key.label} {error}")
    except BaseException as error:  # anything that a trial raises becomes a record, and the actor stays warm
        if is_from_outside(error):
            raise
        spent.book(doing)
        yield failed(error)


class _UnsavedError(Exception):
    """The error for a checkpoint that can't be written or fetched: the disk or the store is at fault, not the trial."""


def _keep(leg: Leg, unreported: list[Measurement]) -> None:
    """Start the file of measurements by which a checkpoint is ahead of the ledger, with one line for each."""
    try:
        with replacing(unreported_of(leg.checkpoint)) as temporary:
            temporary.write_text("".join(_line(measurement) for measurement in unreported))
    except OSError as error:
        raise _UnsavedError(f"can't be written ({error.strerror})") from error


def _line(measurement: Measurement) -> str:
    return dump_json(asdict(measurement)) + "\n"


def _save(run: Run, leg: Leg, made: list[Measurement]) -> None:
    """Write the measurements first and then the checkpoint, which must never be ahead of them."""
    try:
        if run.resumable:
            with unreported_of(leg.checkpoint).open("a") as file:
                file.writelines(_line(measurement) for measurement in made)
        if run.save(leg.checkpoint) and leg.store:
            leg.store.send(unreported_of(leg.checkpoint), leg.checkpoint)
    except (OSError, RuntimeError, LedgerError) as error:  # torch reports a full disk as a RuntimeError
        raise _UnsavedError(f"can't be written ({' '.join(str(error).split())})") from error


def unreported_of(checkpoint: Path) -> Path:
    """Return the file of the reports by which a checkpoint is ahead of the ledger."""
    return checkpoint.with_name("unreported.jsonl")


def _last_checkpoint(leg: Leg) -> Path | None:
    """Fetch the checkpoint to continue from and its unreported measurements; return None if there is none."""
    try:
        found = first_there((leg.checkpoint, *leg.earlier), leg.store)
        if found and leg.store:
            leg.store.fetch(unreported_of(found))
        return found
    except (OSError, LedgerError) as error:
        raise _UnsavedError(f"can't be read ({' '.join(str(error).split())})") from error


def run_range_leg(leg: RangeLeg, spec: SweepSpec, data: "Dataset", spent: Spending) -> Generator[Message]:
    """Yield the one message of a range test.

    Args:
        leg: The leg of the range test.
        spec: The spec of the sweep.
        data: The sweep's data set.
        spent: Counts the seconds of this process.

    Yields:
        What the test found, or the error that it raised.
    """
    from study.range_test import lr_range
    from study.reproducibility import environment

    try:
        config = range_config(spec, leg.key)
        found = lr_range(config, data)
        spent.book("training")
        yield Message("ranged", range=asdict(found), environment=environment(config, data))
    except Exception as error:  # as in a trial
        spent.book("training")
        yield failed(error)


def is_from_outside(error: BaseException) -> bool:
    """Return whether Ray raised an error on a SIGTERM, or the worker by closing this generator, and not the trial."""
    is_at_a_yield = error.__traceback__ is None or error.__traceback__.tb_next is None
    return hasattr(error, _BY_RAY) or (isinstance(error, GeneratorExit) and is_at_a_yield)


def failed(error: BaseException) -> Message:
    """Return the message about an exception of a trial, even if the exception can't be shown."""
    try:
        detail = "".join(traceback.format_exception(error))
    except BaseException as worse:
        detail = f"its traceback can't be shown ({type(worse).__name__})"
    return Message("failed", reason=reason_of(error), detail=storable(detail), ends_worker=is_of_device(error))


def _begin(leg: Leg, begin: Callable[[Leg, Path | None], Run]) -> tuple[Run, list[Measurement], tuple[str, ...]]:
    """Return the trial from its checkpoint, the measurements up to there that the ledger lacks, and notes.

    The trial starts again, with a note, if the checkpoint can't be used.
    """
    checkpoint = _last_checkpoint(leg)
    if checkpoint is None:
        run = begin(leg, None)
        is_missed = leg.known > 0 and run.resumable
        return run, [], (f"no checkpoint of trial {leg.key.label}: it starts again",) if is_missed else ()
    try:
        run = begin(leg, checkpoint)
        return run, _unreported(leg, run, checkpoint), ()
    except Exception as error:  # a damaged file raises many kinds of errors; all mean the same here
        note = f"the checkpoint of trial {leg.key.label} can't be used ({text_of(error)}): it starts again"
        return begin(leg, None), [], (note,)


def _unreported(leg: Leg, run: Run, checkpoint: Path) -> list[Measurement]:
    """Return the measurements after the ledger's last one, up to that of the checkpoint."""
    if run.last is None or run.last.report <= leg.known:
        return []
    lines = unreported_of(checkpoint).read_text().splitlines(keepends=True)
    # A kill may have truncated the last line, whose checkpoint was then not written either.
    kept = [Measurement(**load_json(line)) for line in lines if line.endswith("\n")]
    # A worker that was given up, but has not noticed, may have written the same measurements again.
    found = {measurement.report: measurement for measurement in kept}
    expected = range(leg.known + 1, run.last.report + 1)
    if not found.keys() >= set(expected):
        raise ValueError(f"its reports from {leg.known + 1} to {run.last.report} are not all there")
    return [found[report] for report in expected]
