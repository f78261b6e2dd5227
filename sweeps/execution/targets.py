"""What a trial runs: the study's training or a user's generator function, both behind one small interface."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from search_spaces.plain import SpaceError, check_name
from study.files import replacing
from study.measurement import Measurement
from sweeps.execution.checkpoints import (
    HOLDS,
    CheckpointError,
    first_unequal,
    read_checkpoint,
    write_checkpoint,
)
from sweeps.execution.continuation import Continuation
from sweeps.execution.determinism import (
    States,
    are_as_seeded,
    generator_states,
    process_facts,
    restore_generators,
    seed_generators,
    undisturbed_by_imports,
)
from sweeps.execution.functions import CHECKPOINT, Function, call, source_hash, takes_checkpoint
from sweeps.execution.loops import loop_of, yields_in_a_loop
from sweeps.execution.watched import is_watched, watched
from sweeps.spec import SweepSpec

if TYPE_CHECKING:
    from study.data import Dataset


class Run(Protocol):
    """A trial under way in this process."""

    @property
    def last(self) -> Measurement | None:
        """Return the last measurement, also after a start from a checkpoint, or None before the first."""

    @property
    def interrupted(self) -> bool:
        """Return whether `measurements` ended early."""

    @property
    def resumable(self) -> bool:
        """Return whether the run writes checkpoints and can continue from them."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the facts that can change the bits of the run's results."""

    @property
    def plan(self) -> Mapping[str, Any] | None:
        """Return the horizon of a wall-clock run, fixed before its first step, or None for any other run."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return warnings for the user about the run."""

    def measurements(self, interrupt: Callable[[], bool]) -> Iterator[Measurement]:
        """Yield the measurements to come, and end early once `interrupt()` returns True."""
        ...

    def costs(self) -> Mapping[str, float]:
        """Return what the use of the model costs, by name, or {} if that can't be measured from outside."""
        ...

    def save(self, path: Path) -> bool:
        """Write a checkpoint, or return False if there is nothing from which this run could continue."""
        ...


class TrainingRun:
    """The study's training of one model."""

    resumable = True
    notes = ()

    def __init__(
        self,
        spec: SweepSpec,
        params: Mapping[str, Any],
        seed: int,
        data: "Dataset",
        plan: Mapping[str, Any] | None,
        checkpoint: Path | None,
    ) -> None:
        from study.reproducibility import environment
        from study.training import Plan, Training

        config = spec.trial_config(params, seed)
        self.training = Training(config, data, plan=Plan(**plan) if plan else None, checkpoint=checkpoint)
        self.environment = environment(config, data)
        # Fixed epochs need no record: the horizon follows from the configuration.
        self.plan = asdict(self.training.plan) if config.seconds is not None else None

    @property
    def last(self) -> Measurement | None:
        return self.training.last

    @property
    def interrupted(self) -> bool:
        return self.training.interrupted

    def measurements(self, interrupt: Callable[[], bool]) -> Iterator[Measurement]:
        return self.training.run(interrupt)

    def costs(self) -> Mapping[str, float]:
        from study.models import parameter_count

        return {"parameters": parameter_count(self.training.model), "latency": self.training.latency()}

    def save(self, path: Path) -> bool:
        self.training.save(path)
        return True


class FunctionRun:
    """A user's generator function of (params, seed) or (params, seed, checkpoint), which yields dicts of numbers.

    The global generators are seeded before it starts, also if it continues. Before each report, they are restored to
    what they were at the last one.
    """

    def __init__(self, function: Function, params: Mapping[str, Any], seed: int, checkpoint: Path | None) -> None:
        self.last: Measurement | None = None
        self.interrupted = False
        self.plan = None
        self.notes: tuple[str, ...] = ()
        self.resumable = takes_checkpoint(function)
        self._source = _source(function)
        self._seed = seed
        self._is_begun = False
        self._is_checked = False  # whether a checkpoint was seen to come back equal
        self._states: States | None = None  # of the generators at the last report
        self._loop: list[int] = []  # in which it was made
        self._state: Any = None
        self._continuation: Continuation | None = None  # up to the first report after a checkpoint
        if checkpoint is not None:
            self._continuation = self._load(checkpoint)
        given = self._state if self._continuation is None else watched(self._state, self._continuation)
        self._generator = call(function, params, seed, given)

    @property
    def environment(self) -> Mapping[str, str]:
        return {**process_facts(), "source": self._source}

    def measurements(self, interrupt: Callable[[], bool]) -> Iterator[Measurement]:
        while not interrupt():
            self._set_generators()
            start = time.perf_counter()
            try:
                with undisturbed_by_imports(), self._continuing():
                    yielded = next(self._generator)
            except StopIteration:
                return
            self._continuation = None
            seconds = time.perf_counter() - start
            self._states, self._loop = generator_states(), loop_of(self._generator)
            try:
                self.last = self._measure(yielded, seconds)
            except (TypeError, SpaceError) as error:
                self._throw(error)
            self.notes = () if self._is_checked else self._noted()
            yield self.last
        self.interrupted = True

    def _set_generators(self) -> None:
        is_begun, self._is_begun = self._is_begun, True
        if not is_begun:
            seed_generators(self._seed)
        elif self._states is not None:
            restore_generators(self._states)

    def _continuing(self) -> AbstractContextManager[None]:
        continuation = self._continuation
        return nullcontext() if continuation is None else continuation.up_to_the_next_report(self._generator)

    def _noted(self) -> tuple[str, ...]:
        """Return a note if neither the training's begin nor reads of the checkpoint are seen, but generators used."""
        if self._state is None or is_watched(self._state) or yields_in_a_loop(self._generator):
            return ()
        if are_as_seeded(self._seed):
            return ()
        return (
            f"the function yields in no loop, and its {CHECKPOINT} is no dict, list or tuple, but of type "
            f"{type(self._state).__name__}, and does not tell when it is read: what the set-up draws from global "
            "generators differs after a pause; use a dict",
        )

    def _throw(self, error: Exception) -> NoReturn:
        """Raise an error about a yielded value at that yield, so its traceback has the file and line."""
        if hasattr(self._generator, "throw"):
            with suppress(Exception):  # a function may catch it, and continue or raise another
                self._generator.throw(error)
        raise error

    def costs(self) -> Mapping[str, float]:
        return {}

    def _measure(self, yielded: object, seconds: float) -> Measurement:
        if not isinstance(yielded, Mapping):
            raise TypeError(f"the function must yield dicts of numbers, but yielded {yielded!r}")
        self._state = yielded.get(CHECKPOINT)
        if self._state is not None and not self.resumable:
            raise TypeError(f"it yields a {CHECKPOINT}, but takes none: call its third parameter {CHECKPOINT!r}")
        values = _metrics({name: value for name, value in yielded.items() if name != CHECKPOINT})
        report = self.last.report + 1 if self.last else 1
        spent = self.last.seconds if self.last else 0.0
        return Measurement(report, report, float(report), spent + seconds, values, None)

    def save(self, path: Path) -> bool:
        if not self.resumable or self._state is None or self.last is None:
            return False
        try:
            with replacing(path) as temporary:
                about = {"measurement": asdict(self.last), "generators": self._states, "loop": self._loop}
                write_checkpoint(temporary, self._state, about)
                if not self._is_checked:
                    _check_equal(self._state, temporary)
                    self._is_checked = True
        except CheckpointError as error:
            self._throw(error)
        return True

    def _load(self, path: Path) -> Continuation:
        self._state, about = read_checkpoint(path)
        self._states = about["generators"]
        self.last = Measurement(**about["measurement"])
        return Continuation(about["generators"], self._state, about.get("loop", ()))


def _check_equal(state: object, path: Path) -> None:
    """Read a checkpoint that was just written, and raise CheckpointError if it is not what the function yielded."""
    try:
        place = first_unequal(state, read_checkpoint(path)[0])
    except Exception as error:  # a file that can't be read now can't be read later
        raise CheckpointError(
            f"the {CHECKPOINT} can't be read back ({' '.join(str(error).split())}): {HOLDS}"
        ) from error
    if place is not None:
        raise CheckpointError(f"{place} does not come back equal from the file: {HOLDS}")


def _metrics(reported: Mapping[Any, Any]) -> dict[str, float]:
    """Return metrics as numbers by name, or raise SpaceError or TypeError for those that no table can hold."""
    values = dict[str, float]()
    for name, value in reported.items():
        check_name(text := str(name), "a metric's name")
        if text in values:
            raise TypeError(f"two metrics of a report are called {text!r}: give each a name of its own")
        values[text] = _number(name, value)
    return values


def _number(name: object, value: Any) -> float:
    """Return a metric as a number, or raise TypeError with its name if it is none."""
    try:
        if not isinstance(value, Real) and not hasattr(value, "__float__"):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        shown = _shown(value)
        shown = shown if len(shown) <= 60 and "\n" not in shown else f"{' '.join(shown[:60].split())}…"
        kind = type(value).__name__
        raise TypeError(f"metric {name!r} must be a number, but is {kind}{shape} {shown}") from error


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # such as for an integer of more than 4,300 digits
        return f"that can't be shown ({type(error).__name__})"


def _source(function: Function) -> str:
    try:
        return source_hash(function)
    except (OSError, TypeError):
        return "not available"
