"""Verified replay: a trial trains again from its seed in a fresh process and must give the same bits.

A replay uses only the trial's parameters, its seed and the recorded environment variables. For a wall-clock trial, it
also uses the recorded horizon and the number of steps.
"""

import contextlib
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from study.comparison import Replay, compare, environment_differences
from study.measurement import Measurement
from study.variables import for_training, with_these
from sweeps.errors import SweepError
from sweeps.execution.determinism import comparable, threads_of
from sweeps.execution.functions import Function, pickled
from sweeps.execution.targets import FunctionRun, Run, TrainingRun
from sweeps.search.fates import fate
from sweeps.search.history import History, Trial
from sweeps.search.ranges import RangeKey, measured_ranges, range_config
from sweeps.spec import SweepSpec, parse_spec
from sweeps.store.rows import dump_json, load_json


@dataclass(frozen=True)
class _Request:
    """The request to the fresh process."""

    spec: dict[str, Any]
    data_dir: Path | None
    params: Mapping[str, Any] | None = None
    seed: int = 0
    plan: Mapping[str, Any] | None = None
    reports: int = 0
    function: bytes | None = None  # pickled by cloudpickle
    path: Sequence[str] = ()  # sys.path, to import what a user's function needs
    test: RangeKey | None = None  # a range test instead of a trial


def replay(spec: SweepSpec, history: History, trial: Trial, function: Function | None, data_dir: Path | None) -> Replay:
    """Train a trial again, report by report, until it differs or all that the ledger holds is repeated.

    Args:
        spec: The spec of the sweep.
        history: The rows of its ledger.
        trial: The trial to repeat.
        function: The user's function, or None for the study's training.
        data_dir: The folder of the data sets, or None for the default one.

    Returns:
        The first difference, if any, and how the environments differ.

    Raises:
        SweepError: The trial has no measurement, or the replay itself failed.
    """
    label, stored = trial.key.label, trial.measurements
    if not stored:
        raise SweepError(f"trial {label} of {spec.name!r} has no measurement to compare ({fate(trial)})")
    stage = spec.for_stage(trial.key.stage)
    request = _Request(
        spec=stage.to_table(),
        params=stage.space.in_order(trial.params),
        seed=trial.seed,
        plan=_by_steps(history.plan(trial.key), stored[-1]),
        reports=len(stored),
        data_dir=data_dir,
        function=None if function is None else pickled(function),
        path=sys.path,
    )
    recorded = [_recorded(history, digest) for digest in trial.environments]
    here: list[Mapping[str, str]] = []
    with contextlib.closing(_fresh_process(request, _variables(stage, recorded[-1]))) as answers:
        repeated = _measurements(answers, here)
        found = compare(label, stored, repeated, untracked=spec.untracked, continued=trial.continued)
    reached = min(found.compared, len(stored) - 1)  # the report that differs, or the last one
    if reached >= len(here):
        return found  # the repeated run ended earlier
    before, now = recorded[reached], here[reached]
    differing = environment_differences(comparable(before, now), comparable(now, before))
    return replace(found, environment=tuple(differing))


def _measurements(answers: Iterator[dict[str, Any]], here: list[Mapping[str, str]]) -> Iterator[Measurement]:
    """Yield each measurement when it is made, and append the environment that made it to `here`."""
    for answer in answers:
        here.append(answer["environment"])
        yield Measurement(**answer["measurement"])


def _variables(spec: SweepSpec, recorded: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment variables for the fresh process, which are those with which the trial was made."""
    if spec.target is not None and recorded:
        return recorded
    return for_training(threads_of(spec.resources), recorded)


def replay_range(spec: SweepSpec, history: History, key: RangeKey, data_dir: Path | None) -> Replay:
    """Run a range test again, and compare every loss and the bounds that it suggests.

    Args:
        spec: The spec of the sweep.
        history: The rows of its ledger.
        key: The range test to repeat.
        data_dir: The folder of the data sets, or None for the default one.

    Returns:
        The first difference, if any, and how the environments differ.

    Raises:
        SweepError: The replay itself failed.
    """
    stored = measured_ranges(history)[key]
    recorded = _recorded(history, stored["environment"])
    request = _Request(spec.to_table(), data_dir, test=key)
    with contextlib.closing(_fresh_process(request, _variables(spec, recorded))) as answers:
        environment = tuple(environment_differences(recorded, next(answers)["environment"]))
        found = next(answers)["range"]
    losses = zip_longest(stored["losses"], found["losses"])
    values = [(f"the loss of step {step}", old, new) for step, (old, new) in enumerate(losses)]
    values += [(name, stored[name], found[name]) for name in found if name != "losses"]
    different = (f"{name} was {old!r}, is {new!r}" for name, old, new in values if old != new)
    return Replay(key.label, len(stored["losses"]), next(different, None), environment, noun="losses and the bounds")


def _by_steps(plan: Mapping[str, Any] | None, last: Measurement) -> Mapping[str, Any] | None:
    """Return a wall-clock trial's plan for a replay: the horizon fixed before its first step, and the steps it made."""
    return None if plan is None else {**plan, "stop_steps": last.step}


def _recorded(history: History, digest: str | None) -> Mapping[str, str]:
    """Return the environment with a recorded hash, or {} if there is none."""
    known = {note.body["hash"]: note.body["values"] for note in history.noted("environment")}
    found: Mapping[str, str] = known.get(digest or "", {})
    return found


def _fresh_process(request: _Request, variables: Mapping[str, str]) -> Generator[dict[str, Any]]:
    """Start a process with these variables that change bits, and yield its answers line by line.

    The process is killed when its answers are no longer needed.
    """
    command = [sys.executable, "-m", "sweeps.execution.replay"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=with_these(variables), **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(pickle.dumps(request))
            process.stdin.close()
            for line in process.stdout:
                answer = load_json(line.decode())
                if "error" in answer:
                    raise SweepError(f"the replay failed: {answer['error']}")
                yield answer
        finally:
            process.kill()


def _serve_range(request: _Request, key: RangeKey, answer: Callable[[Mapping[str, Any]], None]) -> None:
    from study.data import load
    from study.range_test import lr_range
    from study.reproducibility import environment

    config = range_config(parse_spec(request.spec, "the ledger"), key)
    data = load(config.dataset, request.data_dir)
    answer({"environment": environment(config, data)})
    answer({"range": asdict(lr_range(config, data))})


def _run(request: _Request) -> Run:
    """Return the trial in this process, at its start."""
    assert request.params is not None
    if request.function is not None:
        sys.path[:] = request.path
        function: Function = pickle.loads(request.function)
        return FunctionRun(function, request.params, request.seed, None)
    from study.data import load

    spec = parse_spec(request.spec, "the ledger")
    config = spec.trial_config(request.params, request.seed)
    return TrainingRun(spec, request.params, request.seed, load(config.dataset, request.data_dir), request.plan, None)


def _serve(stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Read the request in the fresh process, and answer with each measurement and the environment that made it."""

    def answer(value: Mapping[str, Any]) -> None:
        stdout.write(dump_json(value).encode() + b"\n")
        stdout.flush()

    request: _Request = pickle.load(stdin)
    try:
        if request.test is not None:
            _serve_range(request, request.test, answer)
            return
        run = _run(request)
        for measurement in run.measurements(lambda: False):
            answer({"measurement": asdict(measurement), "environment": run.environment})
            if measurement.report == request.reports:
                return
    except Exception as error:  # a user's function may raise anything; the caller reports it
        answer({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    # The output of a user's function must not mix with the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for stream in (sys.stdout, sys.stderr):  # as in a trial's log, text that can't be encoded is escaped
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # The request was pickled under the module's own name, not __main__: run the module that the caller knows.
    from sweeps.execution.replay import _serve as serve

    serve(sys.stdin.buffer, answers)
