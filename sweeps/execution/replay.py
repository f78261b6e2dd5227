"""Verified replay: a trial trains again from its seed in a fresh process and must give the same bits.

Nothing that the trial stored is used but its parameters, its seed and, for a wall-clock trial, the recorded horizon.
"""

import contextlib
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
    """What the fresh process is told."""

    spec: dict[str, Any]
    data_dir: Path | None
    params: Mapping[str, Any] | None = None
    seed: int = 0
    plan: Mapping[str, Any] | None = None
    reports: int = 0
    function: bytes | None = None  # cloudpickle
    path: Sequence[str] = ()  # to import a user's function from
    test: RangeKey | None = None  # a range test in place of a trial


def replay(spec: SweepSpec, history: History, trial: Trial, function: Function | None, data_dir: Path | None) -> Replay:
    """Train the trial again, report by report, until it differs or all that the ledger holds is repeated."""
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
    reached = min(found.compared, len(stored) - 1)  # where it differs, or the last
    if reached >= len(here):
        return found  # it ended before
    before, now = recorded[reached], here[reached]
    differing = environment_differences(comparable(before, now), comparable(now, before))
    return replace(found, environment=tuple(differing))


def _measurements(answers: Iterator[dict[str, Any]], here: list[Mapping[str, str]]) -> Iterator[Measurement]:
    """Give each measurement as it is made, and keep the environment that made it."""
    for answer in answers:
        here.append(answer["environment"])
        yield Measurement(**answer["measurement"])


def _variables(spec: SweepSpec, recorded: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment variables for the fresh process: those with which the trial was made."""
    if spec.target is not None and recorded:
        return recorded
    return for_training(threads_of(spec.resources), recorded)


def replay_range(spec: SweepSpec, history: History, key: RangeKey, data_dir: Path | None) -> Replay:
    """Make a range test again, and compare every loss and what it suggests."""
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
    """A wall-clock trial is replayed by the horizon that was fixed before its first step, and the steps it made."""
    return None if plan is None else {**plan, "stop_steps": last.step}


def _recorded(history: History, digest: str | None) -> Mapping[str, str]:
    """Return the environment behind its recorded hash."""
    known = {note.body["hash"]: note.body["values"] for note in history.noted("environment")}
    found: Mapping[str, str] = known.get(digest or "", {})
    return found


def _fresh_process(request: _Request, variables: Mapping[str, str]) -> Generator[dict[str, Any]]:
    """Give what the process answers, line by line; it starts with these variables that change bits.

    It is killed when its answers are not needed any more.
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
    """The trial, from its start, in this process."""
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
    """The fresh process: read the request, answer with each measurement and the environment that made it."""

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
    except Exception as error:  # a user's function may raise anything; the caller words it
        answer({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    # What a user's function prints must not mix with the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Pickled under the module's own name, not __main__: run the module that the caller knows.
    from sweeps.execution.replay import _serve as serve

    serve(sys.stdin.buffer, answers)
