"""Tests of continuation: functions continue with the same bits, wherever they read their checkpoint."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import phases
import pytest
import set_ups
import torch
from continuing import FUNCTIONS, PARAMS, appends, broken, keeping, values, works_in_its_checkpoint

from sweeps.execution.continuation import Continuation
from sweeps.execution.determinism import generator_states, seed_generators
from sweeps.execution.functions import Function
from sweeps.execution.targets import FunctionRun

SEVERAL = set_ups.FUNCTIONS | phases.FUNCTIONS


@pytest.mark.parametrize("after", range(1, 6))
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_paused_trial_continues_with_the_same_bits(tmp_path: Path, function: Function, after: int) -> None:
    whole = values(FunctionRun(function, PARAMS, 3, None))

    assert len(set(whole)) == 6
    assert broken(function, 3, after, tmp_path) == whole


@pytest.mark.parametrize("function", SEVERAL.values(), ids=SEVERAL)
def test_set_up_and_training_are_told_apart_at_each_report(tmp_path: Path, function: Function) -> None:
    whole = values(FunctionRun(function, PARAMS, 3, None))

    assert len(set(whole)) >= 3
    for after in range(1, len(whole)):
        assert broken(function, 3, after, tmp_path) == whole, f"after {after}"


def test_a_checkpoint_that_is_read_in_every_epoch_sets_the_generators_back_only_at_first(tmp_path: Path) -> None:
    def reads(params: Any, seed: int, checkpoint: dict[str, int] | None) -> Iterator[dict[str, Any]]:
        for report in range(checkpoint["report"] if checkpoint else 0, 6):
            scale = checkpoint["scale"] if checkpoint else 1
            yield {"loss": scale * random.random(), "checkpoint": {"report": report + 1, "scale": 1}}

    assert broken(reads, 3, 2, tmp_path) == values(FunctionRun(reads, PARAMS, 3, None))


def reads_at_each_step(params: Any, seed: int, checkpoint: dict[str, int] | None) -> Iterator[dict[str, Any]]:
    """Train with NumPy alone, and read the checkpoint between the draws of one report."""
    np.random.rand()
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        loss = sum(np.random.rand() * (checkpoint["scale"] if checkpoint else 1) for _ in range(3))
        yield {"loss": loss, "checkpoint": {"report": report + 1, "scale": 1}}


def evolves(params: Any, seed: int, checkpoint: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Train with an evolution strategy: each candidate is loaded into one model, and no optimizer takes a step."""
    model = torch.nn.Linear(3, 1)
    if checkpoint:
        model.load_state_dict(checkpoint["model"])
    best = {name: value.clone() for name, value in model.state_dict().items()}
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        for _ in range(3):
            noisy = {name: value + 0.1 * torch.randn_like(value) for name, value in best.items()}
            model.load_state_dict(noisy)
            best = noisy if model(torch.ones(3)) < 1 else best
        yield {"loss": model(torch.ones(3)).item(), "checkpoint": {"report": report + 1, "model": dict(best)}}


def follows(params: Any, seed: int, checkpoint: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Train by manual gradient descent, with a second model that follows the first."""
    net, target = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    if checkpoint:
        net.load_state_dict(checkpoint["net"])
        target = torch.nn.Linear(3, 1)
        target.load_state_dict(checkpoint["target"])
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        for _ in range(3):
            loss = (net(torch.randn(4, 3)) - target(torch.randn(4, 3))).square().mean()
            loss.backward()
            with torch.no_grad():
                for weight in net.parameters():
                    weight.sub_(0.1 * weight.grad)
                    weight.grad = None
            target.load_state_dict(net.state_dict())
        kept = {"net": net.state_dict(), "target": target.state_dict()}
        yield {"loss": loss.item(), "checkpoint": {"report": report + 1, **kept}}


@pytest.mark.parametrize("function", [reads_at_each_step, evolves, follows])
@pytest.mark.parametrize("after", [1, 3])
def test_what_is_read_or_loaded_in_training_sets_no_generator_back(
    tmp_path: Path, function: Function, after: int
) -> None:
    assert broken(function, 3, after, tmp_path) == values(FunctionRun(function, PARAMS, 3, None))


def yields_once(kept: object, draws: bool) -> Function:
    def function(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
        yield {"loss": random.random() if draws else 0.5, "checkpoint": kept}

    return function


def yields_in_a_loop(kept: object, draws: bool) -> Function:
    def function(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
        while True:
            yield {"loss": random.random() if draws else 0.5, "checkpoint": kept}

    return function


@pytest.mark.parametrize(
    ("function", "kept", "draws", "is_noted"),
    [
        (yields_once, 7, True, True),
        (yields_once, b"x", True, True),
        (yields_once, {}, True, False),
        (yields_once, 7, False, False),
        (yields_in_a_loop, 7, True, False),
    ],
)
def test_a_training_whose_begin_cannot_be_seen_is_noted_where_generators_are_used(
    function: Callable[..., Function], kept: object, draws: bool, is_noted: bool
) -> None:
    run = FunctionRun(function(kept, draws), PARAMS, 3, None)
    next(run.measurements(lambda: False))
    assert [f"of type {type(kept).__name__}" in note for note in run.notes] == [True] * is_noted


def test_a_checkpoint_that_tells_when_it_is_read_is_not_noted() -> None:
    for function in (keeping(tuple, lambda: np.random.randn(3)), works_in_its_checkpoint, appends):
        run = FunctionRun(function, PARAMS, 3, None)
        next(run.measurements(lambda: False))
        assert run.notes == ()


@pytest.mark.parametrize("other", [np.array(["text"]), np.array([1.5], "f4"), torch.eye(2).to_sparse(), 7])
def test_a_state_is_loaded_beside_whatever_else_a_checkpoint_holds(other: Any) -> None:
    model = torch.nn.Linear(1, 1)
    kept = {name: value.double() for name, value in model.state_dict().items()}
    seed_generators(1)
    states = generator_states()
    with Continuation(states, {"other": other, "model": kept}).up_to_the_next_report(None):
        random.seed(2)
        model.load_state_dict({name: value.clone() for name, value in kept.items()})
        first = random.random()

    random.seed(1)
    assert first == random.random()
