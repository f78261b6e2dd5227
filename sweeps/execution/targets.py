"""What a trial runs: the study's training, or a user's own generator function; both behind one small face."""

import base64
import hashlib
import importlib
import inspect
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from search_spaces.space import hint
from study.files import replacing
from study.measurement import Measurement
from sweeps.errors import SpecError
from sweeps.spec import SweepSpec
from sweeps.store.rows import dump_json, load_json

if TYPE_CHECKING:
    from study.data import Dataset

Function = Callable[..., Iterator[Mapping[str, Any]]]

CHECKPOINT = "checkpoint"  # the key under which a function yields what it can go on from


class Run(Protocol):
    """A trial under way in this process."""

    @property
    def last(self) -> Measurement | None:
        """The last measurement, also after going on from a checkpoint."""

    @property
    def interrupted(self) -> bool:
        """Whether `measurements` ended early."""

    @property
    def resumable(self) -> bool:
        """Whether it writes checkpoints and can go on from them."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What can change its bits."""

    @property
    def plan(self) -> Mapping[str, Any] | None:
        """The horizon of a wall-clock run, fixed before its first step."""

    def measurements(self, interrupt: Callable[[], bool]) -> Iterator[Measurement]:
        """The measurements to come; ends early where `interrupt()` became true."""
        ...

    def costs(self) -> Mapping[str, float]:
        """What its model costs whoever uses it, by name; {} where that can't be told from outside."""
        ...

    def save(self, path: Path) -> bool:
        """Write a checkpoint; False if there is nothing that this run could go on from."""
        ...


class TrainingRun:
    """The study's training of one model."""

    resumable = True

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
    """A user's generator: takes (params, seed) or (params, seed, checkpoint) and yields dicts of numbers."""

    def __init__(self, function: Function, params: Mapping[str, Any], seed: int, checkpoint: Path | None) -> None:
        self.last: Measurement | None = None
        self.interrupted = False
        self.plan = None
        self.environment = function_environment(function)
        self.resumable = len(inspect.signature(function).parameters) >= 3
        self._state: object = None
        if checkpoint is not None:
            self._load(checkpoint)
        arguments = (dict(params), seed, self._state) if self.resumable else (dict(params), seed)
        self._generator = iter(function(*arguments))

    def measurements(self, interrupt: Callable[[], bool]) -> Iterator[Measurement]:
        while not interrupt():
            start = time.perf_counter()
            try:
                yielded = next(self._generator)
            except StopIteration:
                return
            self.last = self._measure(yielded, time.perf_counter() - start)
            yield self.last
        self.interrupted = True

    def costs(self) -> Mapping[str, float]:
        return {}

    def _measure(self, yielded: object, seconds: float) -> Measurement:
        if not isinstance(yielded, Mapping):
            raise TypeError(f"the function must yield dicts of numbers, but yielded {yielded!r}")
        self._state = yielded.get(CHECKPOINT)
        values = {}
        for name, value in yielded.items():
            if name == CHECKPOINT:
                continue
            if not isinstance(value, Real) and not hasattr(value, "__float__"):
                raise TypeError(f"a metric must be a number, but {name!r} is {value!r}")
            values[str(name)] = float(value)
        report = self.last.report + 1 if self.last else 1
        spent = self.last.seconds if self.last else 0.0
        return Measurement(report, report, float(report), spent + seconds, values, None)

    def save(self, path: Path) -> bool:
        if not self.resumable or self._state is None or self.last is None:
            return False
        state = self._state
        if isinstance(state, bytes):
            state = {"bytes": base64.b64encode(state).decode()}
        with replacing(path) as temporary:
            temporary.write_text(dump_json({"measurement": asdict(self.last), "state": state}))
        return True

    def _load(self, path: Path) -> None:
        stored = load_json(path.read_text())
        state = stored["state"]
        is_bytes = isinstance(state, dict) and set(state) == {"bytes"}
        self._state = base64.b64decode(state["bytes"]) if is_bytes else state
        self.last = Measurement(**stored["measurement"])


def source_hash(function: Function) -> str:
    """SHA-256 of the function's source text, hex."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()


def function_environment(function: Function) -> dict[str, str]:
    """What can change a function's results, as far as it can be seen from outside."""
    try:
        source = source_hash(function)
    except (OSError, TypeError):
        source = "not available"
    return {"python": platform.python_version(), "machine": platform.machine(), "source": source}


def function_name(function: Function) -> str:
    """The name "module:function" of a callable."""
    return f"{function.__module__}:{function.__qualname__}"


def resolve(target: str) -> Function:
    """The function that "module:function" names, in the working directory too; SpecError if it isn't there."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise SpecError(f"target is written 'module:function', but got {target!r}")
    if module_name == "__main__" and not hasattr(sys.modules["__main__"], name):
        raise SpecError(f"the target {target!r} was defined in a script: run or resume the sweep from that script")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise SpecError(
            f"the target's module {module_name!r} can't be imported ({error}): start from the folder that holds it, "
            "or name that with `sweeps submit --code`"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise SpecError(f"no function {name!r} in the module {module_name!r}{hint(name, public)}")
    return check_function(function)


def check_function(function: Function) -> Function:
    """Give the function back if it can be a target, else raise SpecError."""
    try:
        count = len(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise SpecError(f"a target must be a Python function, but got {function!r}") from error
    if count not in (2, 3) or not inspect.isgeneratorfunction(function):
        raise SpecError(
            f"a target is a generator function of (params, seed) or (params, seed, checkpoint) "
            f"that yields dicts of metrics, but got {function_name(function)}{inspect.signature(function)}"
        )
    return function
