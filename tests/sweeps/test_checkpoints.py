"""Tests of checkpoints: each comes back equal in type and value, or is refused; reading one runs no code."""

import pickle
import subprocess
import sys
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeps.execution.checkpoints import CheckpointError, first_unequal, read_checkpoint, write_checkpoint
from sweeps.execution.targets import FunctionRun


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    st.binary(),
    st.builds(bytearray, st.binary()),
)
keys = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
frozen = st.one_of(keys, st.tuples(keys, keys), st.frozensets(keys))
values = st.recursive(
    leaves | st.sets(frozen) | st.frozensets(frozen),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(frozen, inner),
    max_leaves=12,
)


def returned(value: object, folder: Path) -> Any:
    write_checkpoint(folder / "checkpoint", value, {"report": 1})
    state, about = read_checkpoint(folder / "checkpoint")
    assert about == {"report": 1}
    return state


@given(value=values)
def test_plain_values_come_back_equal_in_kind_and_value(scratch: Path, value: object) -> None:
    read = returned(value, scratch)

    assert read == value
    assert first_unequal(value, read) is None


@pytest.mark.parametrize(
    ("other", "place"),
    [
        ({"a": [1, True]}, "checkpoint['a'][1]"),
        ({"a": [1, 2.0]}, "checkpoint['a'][1]"),
        ({"a": (1, 2)}, "checkpoint['a']"),
        ({"a": [1]}, "checkpoint['a']"),
        ({"b": [1, 2]}, "checkpoint"),
    ],
)
def test_what_differs_in_kind_or_value_is_named_by_its_place(other: object, place: str) -> None:
    assert first_unequal({"a": [1, 2]}, other) == place


def trained() -> dict[str, Any]:
    """Return the states of an ordinary training after one step."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 5])
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    schedule.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}


@pytest.mark.parametrize(
    "value",
    [
        trained(),
        torch.tensor([float("nan"), -0.0]),
        torch.ones(2, dtype=torch.bfloat16),
        torch.arange(6).reshape(2, 3).t(),
        torch.tensor(3),
        torch.zeros(0, 2),
        torch.eye(3).to_sparse(),
        {"size": torch.Size([2]), "dtype": torch.float16, "device": torch.device("cpu")},
        torch.get_rng_state(),
        np.array([np.nan, -0.0]),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["a", "bc"]),
        np.array([("a", 1)], dtype=[("name", "U3"), ("n", "i4")]),
        np.float32(0.1),
        np.float64(0.1),
        np.bool_(True),
        np.datetime64("2026-01-02"),
        np.random.default_rng(3).bit_generator.state,
        np.random.RandomState(3).get_state(),
        [np.int64(3), 3, np.zeros(2), torch.zeros(2)],
        {"nan": float("nan"), "inf": [float("inf"), complex(float("nan"), 1)]},
        OrderedDict(b=1, a=2),
        Counter("abca"),
        {1: {2: [(3, {4})]}, "1": None},
    ],
    ids=lambda value: type(value).__name__,
)
def test_arrays_tensors_and_states_come_back_equal(tmp_path: Path, value: Any) -> None:
    assert first_unequal(value, returned(value, tmp_path)) is None


def test_tensors_that_share_memory_still_do(tmp_path: Path) -> None:
    weight = torch.zeros(2)
    first, second = returned([weight, weight], tmp_path)
    first += 1

    assert second.tolist() == [1.0, 1.0]


class Point(NamedTuple):
    x: int


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"f": print}, "checkpoint['f'] is a builtin_function_or_method"),
        ({"a": [1, {"b": lambda: 0}]}, "checkpoint['a'][1]['b'] is a function"),
        (
            {"model": torch.nn.Linear(1, 1)},
            "checkpoint['model'] is a Linear, which a checkpoint can't keep (keep its state",
        ),
        ((1, Path("a")), "checkpoint[1] is a PosixPath"),
        (Point(1), "checkpoint is a Point"),
        ({Point(1): 2}, "checkpoint has the key Point(x=1), which is a Point"),
        (np.random.default_rng(), "checkpoint is a Generator"),
        ({"o": np.array([None])}, "checkpoint['o'] is an array of objects"),
        (iter([]), "checkpoint is a list_iterator"),
    ],
    ids=str,
)
def test_what_would_not_come_back_equal_is_refused_by_its_place(tmp_path: Path, value: object, words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        write_checkpoint(tmp_path / "checkpoint", value, {})

    assert words in str(caught.value)
    assert "a checkpoint may hold None, numbers, text, bytes, NumPy arrays, torch tensors" in str(caught.value)


def test_a_kind_of_tensor_that_cannot_be_read_back_is_refused_at_the_first_report(tmp_path: Path) -> None:
    run = FunctionRun(odd_tensor, {}, 0, None)
    next(run.measurements(lambda: False))
    with pytest.raises(CheckpointError, match=r"the checkpoint can't be read back .* a checkpoint may hold"):
        run.save(tmp_path / "checkpoint")

    assert list(tmp_path.iterdir()) == []


class Odd(torch.Tensor):
    """A tensor type that a user defines."""


def odd_tensor(params, seed, checkpoint):
    yield {"loss": 1.0, "checkpoint": torch.ones(2).as_subclass(Odd)}


class Attack:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize("depth", [0, 1])
def test_to_read_a_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(Attack())
    Path("checkpoint").write_bytes(content if depth == 0 else pickle.dumps((content, [])))
    with pytest.raises(pickle.UnpicklingError, match="it names"):
        read_checkpoint(Path("checkpoint"))

    assert not Path("touched").exists()


def test_a_function_without_torch_or_numpy_imports_neither_for_its_checkpoint() -> None:
    code = (
        "import sys, pathlib, tempfile, functions\n"
        "from sweeps.execution.targets import FunctionRun\n"
        "path = pathlib.Path(tempfile.mkdtemp()) / 'checkpoint'\n"
        "run = FunctionRun(functions.bowl_with_checkpoint, {'x': 0.5}, 3, None)\n"
        "next(run.measurements(lambda: False)); run.save(path)\n"
        "FunctionRun(functions.bowl_with_checkpoint, {'x': 0.5}, 3, path)\n"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    assert done.stdout.strip() == "[]"


@given(
    shape=st.lists(st.integers(0, 4), max_size=4).map(tuple),
    order=st.randoms(use_true_random=False),
    steps=st.lists(st.sampled_from([1, 2, -1, -2]), min_size=4, max_size=4),
)
def test_arrays_keep_their_strides_and_views_share_their_memory(
    scratch: Path, shape: Any, order: Any, steps: Any
) -> None:
    whole = np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)
    whole = whole.transpose(order.sample(range(whole.ndim), whole.ndim)).copy(order="K")
    part = whole[(..., *(slice(None, None, step) for step in steps[: whole.ndim]))]
    kept = {"whole": whole, "part": part, "rows": np.broadcast_to(whole, (2, *whole.shape))}
    read = returned(kept, scratch)

    assert first_unequal(kept, read) is None
    assert all(kept[name].flags.writeable == read[name].flags.writeable for name in kept)
    read["part"] += 1
    part += 1
    assert first_unequal(kept, read) is None


def test_an_array_that_shares_memory_with_a_tensor_is_refused(tmp_path: Path) -> None:
    array = np.zeros(3)
    places = r"checkpoint\['a'\] and checkpoint\['b'\]\[0\] share memory, .*: copy one of them"
    with pytest.raises(CheckpointError, match=places):
        write_checkpoint(tmp_path / "checkpoint", {"a": array[:1], "b": [torch.from_numpy(array)]}, {})

    assert returned({"a": array[:1], "b": torch.tensor(array)}, tmp_path)["a"].shape == (1,)


def test_two_names_of_one_array_or_tensor_stay_names_of_one(tmp_path: Path) -> None:
    array, tensor = np.zeros(2), torch.zeros(2)
    kept = returned({"now": array, "best": [array, array.copy()], "tensors": (tensor, tensor)}, tmp_path)
    kept["now"] += 1
    kept["tensors"][0].add_(1)

    assert kept["best"][0].tolist() == [1.0, 1.0]
    assert kept["best"][1].tolist() == [0.0, 0.0]
    assert kept["tensors"][1].tolist() == [1.0, 1.0]
