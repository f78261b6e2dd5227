"""A checkpoint whose states tell when they are read is otherwise what it was."""

import copy
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sweeps.execution.checkpoints import read_checkpoint, write_checkpoint
from sweeps.execution.watched import unwatched, watched

_SEQUENCE: list[Callable[[Any], Any]] = [
    lambda one: one[0],
    lambda one: one[-2],
    lambda one: one[:],
    list,
    tuple,
    lambda one: [*one],
    lambda one: one + one[:0],
    lambda one: one * 2,
    lambda one: list(reversed(one)),
]
READS: dict[type, list[Callable[[Any], Any]]] = {
    dict: [
        lambda d: d["a"],
        lambda d: d.get("a"),
        lambda d: d.pop("a"),
        list,
        dict,
        lambda d: {**d},
        lambda d: d | {},
        lambda d: d.copy(),
        lambda d: d.setdefault("a", 1),
        lambda d: d.popitem(),
        lambda d: list(reversed(d)),
        lambda d: list(d.items()),
        lambda d: list(d.values()),
    ],
    list: [*_SEQUENCE, lambda one: one.pop(0), lambda one: one.copy()],
    tuple: _SEQUENCE,
}
READS[OrderedDict] = READS[dict]
ANY: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, pickle.dumps]
STATES = {dict: {"a": b"x", "b": 1}, OrderedDict: OrderedDict(a=b"x", b=1), list: [b"x", 1], tuple: (b"x", 1)}


@pytest.mark.parametrize(("kind", "read"), [(kind, read) for kind in READS for read in (*READS[kind], *ANY)])
def test_every_look_at_a_state_is_seen_once(kind: type, read: Callable[[Any], Any]) -> None:
    looks: list[int] = []
    read(watched(STATES[kind], lambda: looks.append(1)))

    assert looks == [1]


@pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)
def test_what_is_watched_equals_what_it_was_and_is_kept_as_that(kind: type, tmp_path: Path) -> None:
    made = watched(STATES[kind], lambda: None)
    write_checkpoint(tmp_path / "checkpoint", {"again": made}, {})
    returned = read_checkpoint(tmp_path / "checkpoint")[0]["again"]

    assert made == STATES[kind]
    assert isinstance(made, kind)
    assert type(returned) is type(unwatched(made)) is type(copy.copy(made)) is kind
    assert returned == STATES[kind]


@pytest.mark.parametrize("first", ["epoch", "best", "losses"])
def test_numbers_are_no_states_unless_a_checkpoint_holds_nothing_else(first: str) -> None:
    plain = {"epoch": 1, "best": 0.5, "losses": [1.0, 0.5], "name": "x"}
    looks: list[str] = []
    with_states = watched({**plain, "w": np.zeros(2), "layers": [{"w": np.zeros(2)}]}, lambda: looks.append(key))
    for _ in range(2):
        for key in (first, "w", "epoch", "layers"):
            with_states[key]
    assert looks == ["w", "layers"]

    looks.clear()
    without = watched(plain, lambda: looks.append(key))
    for key in (first, "epoch", "name", "best"):
        without[key]
    assert looks == [first]


def test_what_torch_adds_to_a_state_dict_stays() -> None:
    state = torch.nn.BatchNorm1d(2).state_dict()
    made = watched(state, lambda: None)

    assert made._metadata == unwatched(made)._metadata == copy.copy(made)._metadata == state._metadata
    assert torch.nn.BatchNorm1d(2).load_state_dict(made)


@pytest.mark.parametrize("other", [None, 3, b"x", "text", np.zeros(2), {1, 2}])
def test_what_holds_no_places_is_given_as_it_is(other: Any) -> None:
    assert watched(other, lambda: None) is other
