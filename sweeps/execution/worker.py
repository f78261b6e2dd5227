"""The warm Ray actor that trains trials, one leg after another: a class Trainable that Tune creates and reuses."""

import contextlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray.tune import PlacementGroupFactory, Trainable

from study.measurement import Measurement
from sweeps.errors import LedgerError
from sweeps.execution.determinism import worker_variables
from sweeps.execution.functions import Function
from sweeps.execution.isolation import Isolation
from sweeps.execution.legs import failed, is_from_outside, run_leg, run_range_leg
from sweeps.execution.logs import TrialLog
from sweeps.execution.messages import Leg, Message, RangeLeg, in_copy
from sweeps.execution.placing import bundle, keeping_off
from sweeps.execution.session import serve_trials
from sweeps.execution.sharing import Mark
from sweeps.execution.spending import Spending
from sweeps.execution.stopping import StopWord
from sweeps.execution.targets import FunctionRun, Run, TrainingRun
from sweeps.spec import SweepSpec

MESSAGE = "message"  # the one key of a step's result for Tune


def worker_class(spec: SweepSpec, function: Function | None, data: Any, word: StopWord, mark: Mark) -> Any:
    """Return the class of a sweep's workers, a Trainable.

    Args:
        spec: The spec of the sweep, for the stage whose legs the workers run.
        function: The user's function, or None for the study's training.
        data: A reference to the staged Dataset, which all workers of a node share, or None for a user's function.
        word: The word by which the driver stops the workers.
        mark: The mark that shows whether a node sees the sweep's folder.
    """

    class Worker(Trainable):
        variables = worker_variables(spec.resources)  # environment variables with which its process starts

        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
            return PlacementGroupFactory([bundle(spec.resources)], **keeping_off(config.get("away", ())))

        def setup(self, config: dict[str, Any]) -> None:
            if ray.get_runtime_context().get_actor_id() is not None:
                serve_trials()
            self._outside = mark.missing()  # a node that joined later was not asked before
            self._node = ray.get_runtime_context().get_node_id()
            self._data: Any = None if function else _data_of_a_prepared_process(spec, data)
            self._ends = False  # whether the process ends after this segment
            self._is_stopping = word.heard().is_set
            self._isolation = Isolation()
            self._log: TrialLog | None = None  # set while a segment is open
            self._spent = Spending()
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._spent.book("idle")  # Tune had no leg for it
            self._take(new_config["leg"])
            return True

        def _take(self, leg: Leg | RangeLeg) -> None:
            is_to_end = self._ends  # the driver knows this; it learns what `_leave` finds with the next message
            self._leave()
            if is_to_end:
                os._exit(1)  # the driver knew this, and had no segment for this process
            self._leg: Leg | RangeLeg = leg
            self._is_fetched = leg.store is None
            if leg.store:  # a copy that is removed with the leg: the trial's next worker fetches its files again
                self._copy = TemporaryDirectory(prefix="sweeps-copy-")
                self._leg = in_copy(leg, leg.store, Path(self._copy.name))
            self._messages = (
                run_range_leg(self._leg, spec, self._data, self._spent)
                if isinstance(self._leg, RangeLeg)
                else run_leg(self._leg, self._begin, self._is_stopping, self._spent)
            )

        def _end(self) -> None:
            """End a segment: let the trial's code clean up, and restore the settings of the process."""
            if (log := self._log) is None:
                return
            try:
                with self._isolation.trial() as run:
                    run(self._messages.close)
            except BaseException as error:
                if is_from_outside(error):
                    raise
                log.write(f"raised while it was ended: {failed(error).detail}")
            if threads := self._isolation.left_threads:
                log.write(f"these threads of the trial run on: {', '.join(threads)}")
            self._isolation.begin()
            if settings := self._isolation.not_set_back:
                log.write(f"these settings could not be set back, so the worker ends soon: {', '.join(settings)}")
                self._ends = True
            log.close()
            self._log = None

        def _leave(self) -> None:
            """End a segment that the driver has ended, which the worker learns only with the next one."""
            self._end()
            if not hasattr(self, "_leg") or self._leg.store is None:
                return
            if self._leg.log.exists():
                with contextlib.suppress(LedgerError):  # the next checkpoint reports that a store is away
                    self._leg.store.send(self._leg.log)
            self._copy.cleanup()

        def train(self, leg: Leg | RangeLeg | None = None) -> dict[str, Any]:
            if leg is not None:  # the next leg, if the one before is over
                self._take(leg)
            result: dict[str, Any] = super().train()  # type: ignore[no-untyped-call]
            return result

        def _begin(self, leg: Leg, checkpoint: Path | None) -> Run:
            if function is not None:
                return FunctionRun(function, leg.params, leg.seed, checkpoint)
            return TrainingRun(spec, leg.params, leg.seed, self._data, leg.plan, checkpoint)

        def step(self) -> dict[str, Message]:
            self._spent.book("waiting")
            message = self._next_message()
            self._spent.book("checkpoint")
            return {MESSAGE: replace(message, spent=self._spent.told(), node=self._node)}

        def _next_message(self) -> Message:
            if self._outside:
                return Message("unsaved", reason=self._outside)
            try:
                if self._leg.store and not self._is_fetched:
                    self._leg.store.fetch(self._leg.log)
                    self._is_fetched = True
                message = self._asked()
                if message.kind != "measured":
                    self._end()
                    if self._leg.store and self._leg.log.exists():
                        self._leg.store.send(self._leg.log)
            except LedgerError as error:
                message = Message("unsaved", reason=str(error))
            return replace(message, ends_worker=self._ends)

        def _asked(self) -> Message:
            """Run the trial to its next message under its own settings, and log the message."""
            try:
                with self._isolation.trial() as run:
                    if self._log is None:
                        self._log = TrialLog(self._leg.log)
                        self._log.capture()
                    message = run(lambda: next(self._messages))
            except RecursionError as error:  # the trial left too little stack to describe its failure
                message = failed(error)
            self._ends = self._ends or message.ends_worker or bool(self._isolation.stuck)
            assert self._log is not None
            self._log.write(_log_line(self._leg, message))
            return replace(message, notes=(*message.notes, *self._log.warnings()))

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            raise RuntimeError("checkpoints are the worker's own: Tune must keep none")

        def cleanup(self) -> None:
            self._leave()
            if self._ends:
                os._exit(0)  # otherwise it would keep its share of the device until Ray has no more use for it

        def __repr__(self) -> str:
            # Ray asks once, when it creates the actor; tasks are named after the trial of the moment.
            return f"{self._leg.title} (first of this worker)" if hasattr(self, "_leg") else spec.name

    Worker.__name__ = Worker.__qualname__ = f"sweep_{spec.name}"
    return Worker


def _data_of_a_prepared_process(spec: SweepSpec, data: Any) -> Any:
    """Load everything heavy once in this process, and return the staged Dataset."""
    from study.reproducibility import prepare_process

    prepare_process(spec.trial_config(spec.baseline, 0).threads)
    return ray.get(data)


def _log_line(leg: Leg | RangeLeg, message: Message) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    measurement: Measurement | None = message.measurement
    if message.range is not None:
        bounds = " ".join(f"{name}={message.range[name]:.6g}" for name in ("low", "valley", "steepest", "high"))
        return f"{now} {leg.key.label} {bounds}"
    if measurement is None:
        return f"{now} trial {leg.key.label} {message.kind} {message.reason}\n{message.detail}".rstrip()
    values = " ".join(f"{name}={value:.6g}" for name, value in measurement.values.items())
    place = f"report {measurement.report} step {measurement.step} fidelity {measurement.fidelity:g}"
    return f"{now} trial {leg.key.label} {place} {values} ({measurement.seconds:.2f} s)"
