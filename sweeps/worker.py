"""The warm Ray actor in which trials train, one leg after another: a class Trainable that Tune creates and reuses."""

import contextlib
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from study.measurement import Measurement
from sweeps.messages import Leg, Message
from sweeps.spec import SweepSpec
from sweeps.targets import Function, FunctionRun, Run, TrainingRun

MESSAGE = "message"  # the one key of what a step gives to Tune


def run_leg(leg: Leg, begin: Callable[[Leg, Path | None], Run]) -> Iterator[Message]:
    """The messages of one leg; `begin` starts the trial, from its checkpoint where there is one.

    The checkpoint is written before its measurement is reported, and holds it: a measurement whose report was lost
    with the driver is reported again, not trained again. Never raises what the trial raises: that is a message.
    """
    deadline = None if leg.seconds_left is None else time.monotonic() + leg.seconds_left

    def is_over() -> bool:
        return deadline is not None and time.monotonic() >= deadline

    try:
        run, notes = _begin(leg, begin)
        facts = {"environment": run.environment, "plan": run.plan}
        if run.last is not None and run.last.report > leg.known:
            yield Message("measured", run.last, notes=notes, **facts)
            notes = ()
        for measurement in run.measurements(is_over):
            run.save(leg.checkpoint)
            yield Message("measured", measurement, notes=notes, **facts)
            notes = ()
        if run.interrupted:
            run.save(leg.checkpoint)
            yield Message("cut", reason="time", notes=notes)
        else:
            yield Message("ended", notes=notes)
    except Exception as error:  # whatever a trial raises is a record, and the actor stays warm
        yield Message("failed", reason=f"{type(error).__name__}: {error}", detail=traceback.format_exc())


def _begin(leg: Leg, begin: Callable[[Leg, Path | None], Run]) -> tuple[Run, tuple[str, ...]]:
    """The trial from its checkpoint; from its start, with a note, where the checkpoint can't be used."""
    if not leg.checkpoint.exists():
        notes = (f"no checkpoint of trial {leg.key.label}: it starts again",) if leg.known else ()
        return begin(leg, None), notes
    try:
        return begin(leg, leg.checkpoint), ()
    except Exception as error:  # a damaged file shows in many ways; each means the same here
        note = f"the checkpoint of trial {leg.key.label} can't be used ({error}): it starts again"
        return begin(leg, None), (note,)


def worker_class(spec: SweepSpec, function: Function | None, data: Any) -> type[Trainable]:
    """The Trainable of one sweep; `data` is a reference to the staged Dataset, which all workers of a node share."""

    class Worker(Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self._begin = _starter(spec, function, data)
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._leg: Leg = new_config["leg"]
            self._messages = run_leg(self._leg, self._begin)
            return True

        def step(self) -> dict[str, Message]:
            with _logging_to(self._leg.log):
                message = next(self._messages)
                print(_log_line(self._leg, message), flush=True)
            return {MESSAGE: message}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            raise RuntimeError("checkpoints are the worker's own: Tune is told to keep none")

        def cleanup(self) -> None:
            self._messages.close()

        def __repr__(self) -> str:
            # Ray asks once, when the actor is made; the tasks carry the trial of the moment.
            return f"{spec.name} worker, first {self._leg.title}" if hasattr(self, "_leg") else spec.name

    Worker.__name__ = Worker.__qualname__ = f"sweep_{spec.name}"
    return Worker


def _starter(spec: SweepSpec, function: Function | None, data: Any) -> Callable[[Leg, Path | None], Run]:
    """How a leg's trial begins in this process, with everything heavy loaded once."""
    if function is not None:
        return lambda leg, checkpoint: FunctionRun(function, leg.params, leg.seed, checkpoint)
    import ray

    from study.reproducibility import prepare_process

    prepare_process(spec.trial_config(spec.space.defaults(), 0).threads)
    staged = ray.get(data)
    return lambda leg, checkpoint: TrainingRun(spec, leg.params, leg.seed, staged, leg.plan, checkpoint)


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """What the trial prints or logs goes to its own file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        handler = logging.StreamHandler(file)
        logging.getLogger().addHandler(handler)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            logging.getLogger().removeHandler(handler)


def _log_line(leg: Leg, message: Message) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    measurement: Measurement | None = message.measurement
    if measurement is None:
        return f"{now} trial {leg.key.label} {message.kind} {message.reason}\n{message.detail}".rstrip()
    values = " ".join(f"{name}={value:.6g}" for name, value in measurement.values.items())
    place = f"report {measurement.report} step {measurement.step} fidelity {measurement.fidelity:g}"
    return f"{now} trial {leg.key.label} {place} {values} ({measurement.seconds:.2f} s)"
