"""Targets: a generator function behind the same face as the study's training, refused in clear words where it isn't."""

import functools
import itertools
import math
from pathlib import Path
from typing import Any

import functions
import pytest

from sweeps.errors import SpecError
from sweeps.execution.targets import FunctionRun, check_function, function_name, resolve, source_hash


def never() -> bool:
    return False


def reports(run: FunctionRun) -> int:
    return run.last.report if run.last else 0


def all_of(run: FunctionRun) -> list[float]:
    return [measurement.values["loss"] for measurement in run.measurements(never)]


def test_a_function_is_found_by_its_name_in_the_working_directory_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def target(params, seed):\n    yield {'loss': 1.0}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))

    assert function_name(resolve("only_here:target")) == "only_here:target"
    assert resolve("functions:bowl") is functions.bowl


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("bowl", r"target is written 'module:function', but got 'bowl'"),
        ("no_such_module:bowl", r"the target's module 'no_such_module' can't be imported"),
        ("functions:bowls", r"no function 'bowls' in the module 'functions', did you mean 'bowl'\?"),
        (
            "functions:no_generator",
            r"a target is a generator function of \(params, seed\).*no_generator\(params, seed\)",
        ),
        ("__main__:no_such_function", r"was defined in a script: run or resume the sweep from that script"),
    ],
)
def test_a_wrong_target_is_named_with_what_to_do(target: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve(target)


@pytest.mark.parametrize("function", [lambda params: params, lambda params, seed: iter(()), print, math.sin])
def test_what_is_no_generator_of_two_or_three_arguments_is_refused(function: Any) -> None:
    with pytest.raises(SpecError, match="target"):
        check_function(function)


def test_reports_are_counted_and_the_clock_adds_up() -> None:
    run = FunctionRun(functions.bowl, {"x": 0.5}, 3, None)
    rows = list(run.measurements(never))

    assert [row.report for row in rows] == [row.step for row in rows] == list(range(1, 10))
    assert [row.fidelity for row in rows] == [float(n) for n in range(1, 10)]
    assert all(b.seconds >= a.seconds for a, b in itertools.pairwise(rows))
    assert not run.interrupted


@pytest.mark.parametrize("stop_after", range(10))
def test_a_function_with_a_checkpoint_goes_on_as_if_it_had_not_stopped(tmp_path: Path, stop_after: int) -> None:
    whole = all_of(FunctionRun(functions.bowl_with_checkpoint, {"x": 0.5}, 3, None))
    first = FunctionRun(functions.bowl_with_checkpoint, {"x": 0.5}, 3, None)
    part = [m.values["loss"] for m in first.measurements(lambda: reports(first) == stop_after)]
    is_saved = first.save(tmp_path / "checkpoint")
    rest = FunctionRun(functions.bowl_with_checkpoint, {"x": 0.5}, 3, tmp_path / "checkpoint" if is_saved else None)

    assert first.interrupted
    assert is_saved == (stop_after > 0)
    assert rest.last == first.last
    assert part + all_of(rest) == whole


def test_a_function_without_a_checkpoint_has_nothing_to_save(tmp_path: Path) -> None:
    run = FunctionRun(functions.bowl, {"x": 0.5}, 3, None)
    next(run.measurements(never))

    assert not run.resumable
    assert not run.save(tmp_path / "checkpoint")
    assert list(tmp_path.iterdir()) == []


def in_bytes(params, seed, checkpoint):
    yield {"loss": 1.0, "checkpoint": b"\x00\xff"}
    yield {"loss": float(checkpoint == b"\x00\xff")}


def test_a_checkpoint_may_be_bytes(tmp_path: Path) -> None:
    run = FunctionRun(in_bytes, {}, 0, None)
    next(run.measurements(never))
    run.save(tmp_path / "checkpoint")
    rest = FunctionRun(in_bytes, {}, 0, tmp_path / "checkpoint")

    assert rest._state == b"\x00\xff"


def yields(what: object, params, seed):
    yield what


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (0.5, "the function must yield dicts of numbers, but yielded 0.5"),
        ({"loss": "low"}, "a metric must be a number, but 'loss' is 'low'"),
        ({"loss": None}, "a metric must be a number, but 'loss' is None"),
    ],
)
def test_what_is_no_dict_of_numbers_is_refused_by_its_value(what: object, message: str) -> None:
    run = FunctionRun(functools.partial(yields, what), {}, 0, None)
    with pytest.raises(TypeError, match=message):
        next(run.measurements(never))


def test_numpy_numbers_are_metrics() -> None:
    import numpy as np

    run = FunctionRun(functools.partial(yields, {"loss": np.float32(0.5), "n": np.int64(3)}), {}, 0, None)

    assert next(run.measurements(never)).values == {"loss": 0.5, "n": 3.0}


def test_another_source_is_another_hash() -> None:
    assert source_hash(functions.bowl) == source_hash(functions.bowl)
    assert source_hash(functions.bowl) != source_hash(functions.bowl_with_checkpoint)
