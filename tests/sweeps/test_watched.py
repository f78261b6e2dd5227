"""Tests of watched checkpoints: their states signal when they are read, and otherwise equal the originals."""

import copy
import operator
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sweeps.execution.checkpoints import read_checkpoint, write_checkpoint
from sweeps.execution.watched import is_watched, unwatched, watched


class Ear:
    """A listener that keeps a list of looks, each with the key, and the keys of states."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.states: list[str] = []
        self.key = ""

    def look(self, is_state: bool) -> None:
        self.heard.append(f"look {self.key}".strip())
        self.states += [self.key] * is_state


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


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_torch_loads_a_watched_checkpoint_that_it_saved(kind: type, tmp_path: Path) -> None:
    state = kind(a=torch.ones(2), b=[1, (2.0, "c")])
    torch.save(watched(state, Ear()), tmp_path / "saved.pt")
    loaded = torch.load(tmp_path / "saved.pt", weights_only=True)

    assert torch.equal(loaded.pop("a"), state["a"])
    assert loaded == {"b": [1, (2.0, "c")]}


@pytest.mark.parametrize("kind", STATES)
def test_copies_of_a_watched_checkpoint_are_plain(kind: type, tmp_path: Path) -> None:
    one = watched(STATES[kind], Ear())
    write_checkpoint(tmp_path / "checkpoint", {"inner": one}, {})

    assert [type(copied) for copied in (copy.copy(one), copy.deepcopy(one))] == [kind, kind]
    assert read_checkpoint(tmp_path / "checkpoint")[0] == {"inner": STATES[kind]}
    assert type(read_checkpoint(tmp_path / "checkpoint")[0]["inner"]) is kind


@pytest.mark.parametrize(("kind", "read"), [(kind, read) for kind in READS for read in (*READS[kind], *ANY)])
def test_every_look_at_a_state_is_heard(kind: type, read: Callable[[Any], Any]) -> None:
    ear = Ear()
    read(watched(STATES[kind], ear))

    assert set(ear.heard) == {"look"}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (dict, lambda d: d.update(b=2)),
        (dict, lambda d: d.__setitem__("b", 2)),
        (OrderedDict, lambda d: d.__setitem__("b", 2)),
        (dict, lambda d: operator.ior(d, {"b": 2})),
        (list, lambda one: one.append(2)),
        (list, lambda one: one.insert(0, 2)),
        (list, lambda one: operator.iadd(one, [2])),
        (list, lambda one: one.extend([2])),
        (list, lambda one: one.__setitem__(1, 2)),
    ],
)
def test_what_is_written_is_a_look_at_no_state(kind: type, change: Callable[[Any], Any]) -> None:
    ear = Ear()
    change(watched(copy.copy(STATES[kind]), ear))

    assert ear.heard == ["look"]
    assert ear.states == []


@pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)
def test_what_is_watched_equals_what_it_was_and_is_kept_as_that(kind: type, tmp_path: Path) -> None:
    made = watched(STATES[kind], Ear())
    write_checkpoint(tmp_path / "checkpoint", {"again": made}, {})
    returned = read_checkpoint(tmp_path / "checkpoint")[0]["again"]

    assert made == STATES[kind]
    assert isinstance(made, kind)
    assert is_watched(made)
    assert type(returned) is type(unwatched(made)) is type(copy.copy(made)) is kind
    assert returned == STATES[kind]


def test_the_first_look_and_each_state_are_heard_and_numbers_are_no_states() -> None:
    ear = Ear()
    states = {"epoch": 1, "best": 0.5, "losses": [1.0, 0.5], "w": np.zeros(2), "layers": [{"w": np.zeros(2)}]}
    made = watched(states, ear)
    for _ in range(2):
        for ear.key in ("epoch", "best", "losses", "w", "layers"):
            made[ear.key]

    assert ear.heard == ["look epoch", "look w", "look layers"]
    assert ear.states == ["w", "layers"]


def test_what_torch_adds_to_a_state_dict_stays() -> None:
    state = torch.nn.BatchNorm1d(2).state_dict()
    made = watched(state, Ear())

    assert made._metadata == unwatched(made)._metadata == copy.copy(made)._metadata == state._metadata
    assert torch.nn.BatchNorm1d(2).load_state_dict(made)


@pytest.mark.parametrize("other", [None, 3, b"x", "text", np.zeros(2), {1, 2}])
def test_what_holds_no_places_is_given_as_it_is(other: Any) -> None:
    assert watched(other, Ear()) is other
    assert not is_watched(other)
