"""Tests of targets: a generator function behind the interface of the study's training, or refused in clear words."""

import contextlib
import functools
import inspect
import itertools
import math
import re
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import callables
import functions
import numpy as np
import pytest

from search_spaces import SpaceError
from sweeps.errors import SpecError
from sweeps.execution.failures import reason_of
from sweeps.execution.functions import check_function, check_ours, function_name, pickled, resolve, source_hash
from sweeps.execution.targets import FunctionRun
from sweeps.names import check_target_name
from sweeps.spec import load_spec


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


@pytest.mark.parametrize(
    ("function", "name", "resumes"),
    [
        (callables.plain, "callables:plain", False),
        (callables.with_checkpoint, "callables:with_checkpoint", True),
        (callables.with_default_checkpoint, "callables:with_default_checkpoint", True),
        (callables.with_named_checkpoint, "callables:with_named_checkpoint", True),
        (callables.with_named_default_checkpoint, "callables:with_named_default_checkpoint", True),
        (callables.with_checkpoint_by_position, "callables:with_checkpoint_by_position", True),
        (callables.with_options, "callables:with_options", False),
        (callables.with_keywords, "callables:with_keywords", False),
        (callables.with_named_seed, "callables:with_named_seed", False),
        (callables.with_names_alone, "callables:with_names_alone", True),
        (functools.partial(callables.with_data_first, data=0.5), "callables:with_data_first.<partial>", True),
        (callables.with_any, "callables:with_any", False),
        (callables.with_other_default, "callables:with_other_default", False),
        (callables.decorated, "callables:plain", False),
        (functools.partial(callables.with_data, data=0.5), "callables:with_data.<partial>", False),
        (functools.partial(callables.with_data_first, 0.5), "callables:with_data_first.<partial>", True),
        (functools.partial(functools.partial(callables.plain)), "callables:plain.<partial>", False),
        (callables.Trainer(), "callables:Trainer.<instance>", False),
        (callables.Static(), "callables:Static.<instance>", False),
        (functools.partial(callables.Trainer()), "callables:Trainer.<instance>.<partial>", False),
        (callables.Trainer().fit, "callables:Trainer.fit.<bound>", True),
        (callables.Trainer.made, "callables:Trainer.made", False),
        (callables.Trainer.alone, "callables:Trainer.alone", False),
        (callables.closing_over(1), "callables:closing_over.<locals>.inner", False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_can_be_called_with_parameters_and_seed_is_a_target(function: Any, name: str, resumes: bool) -> None:
    run = FunctionRun(check_function(function), {"x": 0.5}, 3, None)
    measurement = next(run.measurements(never))

    assert measurement.values["loss"] == 0.5
    assert run.resumable == resumes
    assert run._state == ({"given": None} if resumes else None)
    assert function_name(function) == name == check_target_name(name)
    assert re.fullmatch("[0-9a-f]{64}", source_hash(function))
    assert pickled(function)
    if "<" not in name and function is not callables.decorated:
        assert resolve(name) == function
    elif "<" in name:
        with pytest.raises(SpecError, match="was defined in a script: run or resume the sweep from that script"):
            resolve(name)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (callables.needs_more, r"needs_more\(params, seed, checkpoint, data\): give its other parameters a default"),
        (callables.needs_a_third, r"needs_a_third\(params, seed, verbose\): give its other parameters a default"),
        (callables.Method.train, r"train\(self, params, seed\): give its other parameters a default"),
        (callables.needs_a_name, r"needs_a_name\(params, seed, \*, data\): give its other parameters a default"),
        (callables.needs_less, r"needs_less\(params\): give its other parameters a default"),
        (functools.partial(callables.plain, seed=1), "give its other parameters a default"),
        (callables.waits, "is asynchronous: define it without async"),
        (callables.Trainer, "has no yield"),
        (callables.lock.acquire, "target"),
        (functools.partial(callables.plain, foo=1), r"'foo'"),
        (functools.partial(callables.plain, 1, 2, 3), r"too many positional arguments"),
        ("bowl:train", r"a target is .* but got 'bowl:train': the spec takes a name, as target = \"module:function\""),
        (0.5, r"a target is a generator function of \(params, seed\).* but got 0\.5"),
    ],
)
def test_what_cannot_be_called_so_is_refused_with_what_to_write(function: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        check_function(function)


def test_a_function_in_a_spec_is_refused_with_where_it_goes() -> None:
    with pytest.raises(SpecError, match=r"target: a spec names its function: pass .* as sweeps.run\(\.\.\., target="):
        load_spec({"name": "t", "trials": 1, "target": callables.plain, "metric": "loss", "space": {}})


def test_a_checkpoint_that_the_function_cannot_take_back_is_refused() -> None:
    run = FunctionRun(functools.partial(yields, {"loss": 1.0, "checkpoint": 1}), {}, 0, None)
    with pytest.raises(TypeError, match="it yields a checkpoint, but takes none: call its third parameter"):
        next(run.measurements(never))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (callables.closing_over(callables.lock), r"its variable 'value', a lock, can't be pickled"),
        (callables.closing_over(one for one in [1]), r"its variable 'value', a generator, can't"),
        (callables.Trainer(callables.lock), r"its attribute 'held', a lock, can't be pickled"),
        (callables.Trainer(callables.lock).fit, r"its attribute 'held', a lock, can't be pickled"),
        (functools.partial(callables.with_data, data=callables.lock), r"its argument 'data', a lock, can't be pickled"),
        (functools.partial(callables.with_data_first, callables.lock), r"its argument 1, a lock, can't be pickled"),
        (
            functools.partial(callables.with_data, data=socket.socket()),
            r"its argument 'data', a socket, can't be pickled",
        ),
    ],
)
def test_what_cannot_reach_the_workers_is_named_in_a_line(function: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        pickled(function)

    assert str(caught.value).endswith("make it inside the function")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("bind", "part"),
    [
        (lambda data: functools.partial(callables.with_data, data=data), "its argument 'data'"),
        (callables.closing_over, "its variable 'value'"),
        (callables.Trainer, "its attribute 'held'"),
    ],
)
def test_what_is_too_large_for_the_workers_is_named_with_its_size(bind: Any, part: str) -> None:
    function = bind(np.zeros(65 * 2**20, dtype=np.uint8))
    with pytest.raises(SpecError, match=f"it holds 65 MiB, of 64 at most, 65 MiB of them {part}: load it from a file"):
        pickled(function)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n", r"SyntaxError: .*broken\.py:1\): mend that first"),
        ("\n1 / 0\n", r"ZeroDivisionError: division by zero \(.*broken\.py:2\)"),
        ("import no_such_library\n", r"ModuleNotFoundError: No module named 'no_such_library' \(.*broken\.py:1\)"),
        ("from math import no_such_name\n", r"ImportError: cannot import name 'no_such_name' .*broken\.py:1\)"),
        ("import json\njson.loads('{')\n", r"JSONDecodeError: .*broken\.py:2\)"),
        ("raise SystemExit(3)\n", r"SystemExit: 3 \(.*broken\.py:1\)"),
    ],
)
def test_what_a_targets_module_raises_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    with pytest.raises(SpecError, match=f"the target's module 'broken' can't be imported: {words}"):
        resolve("broken:f")


@pytest.mark.parametrize("name", ["study", "sweeps", "search_spaces", "random", "json", "numpy", "ray", "optuna"])
@pytest.mark.parametrize("is_package", [False, True])
def test_a_users_module_that_another_hides_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_package: bool
) -> None:
    file = tmp_path / (f"{name}/__init__.py" if is_package else f"{name}.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("def train(params, seed):\n    yield {'loss': 1.0}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    shown = re.escape(str(file.relative_to(tmp_path)))
    with pytest.raises(SpecError, match=f"your module {shown} can't be used.*has the name '{name}': rename your file"):
        resolve(f"{name}:train")
    if name not in ("random", "json"):
        with pytest.raises(SpecError, match="rename your file"):
            check_ours()


def test_a_script_beside_a_module_that_hides_ours_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text("")
    (tmp_path / "script.py").write_text("import sweeps\n")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert "study.py hides the package 'study', which sweeps needs: rename your file" in done.stderr


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
        ({"loss": "low"}, "metric 'loss' must be a number, but is str 'low'"),
        ({"loss": None}, "metric 'loss' must be a number, but is NoneType None"),
        ({"loss": [0.5]}, "metric 'loss' must be a number, but is list"),
        ({"loss": 1 + 2j}, "metric 'loss' must be a number, but is complex"),
        ({"loss": 10**400}, "metric 'loss' must be a number, but is int"),
        ({"loss": 10**5000}, r"metric 'loss' must be a number, but is int that can't be shown \(ValueError\)"),
        ({"lo\0ss": 1.0}, r"a metric's name must be text that every table can hold, but got 'lo\\x00ss' \(character 3"),
        ({"caf\udce9": 1.0}, r"a metric's name must be text that every table can hold, but got 'caf\\udce9'"),
        ({"": 1.0}, "a metric's name must be text of at least one character, but got ''"),
        ({1: 1.0, "1": 2.0}, "two metrics of a report are called '1': give each a name of its own"),
        ({"loss": np.ones(3)}, r"metric 'loss' must be a number, but is ndarray of shape \(3,\)"),
    ],
)
def test_what_is_no_dict_of_numbers_is_refused_by_its_value(what: object, message: str) -> None:
    run = FunctionRun(functools.partial(yields, what), {}, 0, None)
    with pytest.raises((TypeError, SpaceError), match=message):
        next(run.measurements(never))


def catches(params, seed):
    with contextlib.suppress(Exception):
        yield {"loss": "low"}
    yield {"loss": 0.5}


def keeps_a_set(params, seed, checkpoint):
    yield {"loss": 0.5, "checkpoint": {object()}}


@pytest.mark.parametrize("function", [functools.partial(yields, {"loss": "low"}), catches, keeps_a_set])
def test_what_is_yielded_wrongly_is_raised_at_its_yield(function: Any, tmp_path: Path) -> None:
    run = FunctionRun(function, {}, 0, None)
    with pytest.raises(TypeError) as caught:
        run.save(tmp_path / "checkpoint") if next(run.measurements(never)) else None
    code = getattr(function, "func", function)
    first = next(at for at, line in enumerate(inspect.getsourcelines(code)[0]) if "yield " in line)

    place = f"test_targets.py:{code.__code__.co_firstlineno + first})"
    assert reason_of(caught.value).endswith(place)


def test_numpy_numbers_are_metrics() -> None:
    run = FunctionRun(functools.partial(yields, {"loss": np.float32(0.5), "n": np.int64(3)}), {}, 0, None)

    assert next(run.measurements(never)).values == {"loss": 0.5, "n": 3.0}


def test_another_source_is_another_hash() -> None:
    assert source_hash(functions.bowl) == source_hash(functions.bowl)
    assert source_hash(functions.bowl) != source_hash(functions.bowl_with_checkpoint)


def test_other_bound_values_are_another_hash() -> None:
    def bound(*arguments: Any, **named: Any) -> str:
        return source_hash(functools.partial(functools.partial(functions.bowl, **named), *arguments))

    assert bound() == source_hash(functions.bowl)
    assert bound(scale=1.0, name="a") == bound(name="a", scale=1.0)
    assert len({bound(), bound(scale=1.0), bound(scale=2.0), bound(1.0), bound(None), bound(True)}) == 6
    assert bound(data=object()) == bound(data=object())


def test_a_function_of_a_spawned_process_is_sent_and_named_as_that_of_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned = types.ModuleType("__mp_main__")
    exec("def train(params, seed):\n    yield {'loss': params['x']}\n", vars(spawned))
    monkeypatch.setitem(sys.modules, "__mp_main__", spawned)
    sent = tmp_path / "sent"
    sent.write_bytes(pickled(spawned.train))
    code = f"import pickle; print(next(pickle.load(open({str(sent)!r}, 'rb'))({{'x': 0.5}}, 1)))"

    assert function_name(spawned.train) == "__main__:train"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{'loss': 0.5}\n"
