"""Functions that continue from a checkpoint, in the ways in which users write and read one, and how to break them."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ordinary
import torch

from sweeps.execution.functions import Function
from sweeps.execution.targets import FunctionRun

PARAMS = {"lr": 0.003}


def values(run: FunctionRun, most: int = 100) -> list[float]:
    """Return up to `most` losses of a run, while other code draws from the global generators between its reports."""
    found: list[float] = []
    for measurement in run.measurements(lambda: len(found) == most):
        found.append(measurement.values["loss"])
        random.random()
        np.random.rand()
        torch.rand(1)
    return found


def broken(function: Function, seed: int, after: int, folder: Path) -> list[float]:
    """Return the losses of a trial that was paused after `after` reports and continued from its checkpoint."""
    first = FunctionRun(function, PARAMS, seed, None)
    before = values(first, after)
    assert first.save(folder / "checkpoint")
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    return before + values(FunctionRun(function, PARAMS, seed, folder / "checkpoint"))


def drawing(draw: Callable[[], float]) -> Function:
    """Return a function that draws from one global generator, including once before its first report."""

    def draws(params: Any, seed: int, checkpoint: dict[str, int] | None) -> Iterator[dict[str, Any]]:
        draw()
        for report in range(checkpoint["report"] if checkpoint else 0, 6):
            yield {"loss": draw(), "checkpoint": {"report": report + 1}}

    return draws


GENERATORS = {
    "python": random.random,
    "python-gauss": lambda: random.gauss(0, 1),  # which keeps a second number
    "numpy": lambda: float(np.random.rand()),
    "numpy-normal": lambda: float(np.random.normal()),
    "torch": lambda: torch.rand(1).item(),
    "torch-normal": lambda: torch.randn(3).sum().item(),
}


def keeping(kind: type, draw: Callable[[], Any]) -> Function:
    """Return a function that draws its data before it reads its checkpoint, which is a dict or a `kind` of tuple."""

    def fits(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
        data, weights, first = draw(), draw(), 0
        if checkpoint is not None:
            first, weights = checkpoint.values() if kind is dict else checkpoint
        for report in range(first, 6):
            weights = weights + 0.1 * draw() * data
            kept = {"report": report + 1, "weights": weights} if kind is dict else kind((report + 1, weights))
            yield {"loss": float(weights.sum()), "checkpoint": kept}

    return fits


def fits_with_the_epoch_read_first(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Read the epoch, make a model, and only then load its state."""
    first = checkpoint["epoch"] if checkpoint else 0
    data, model = torch.arange(48.0).reshape(16, 3) / 48, torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if checkpoint:
        model.load_state_dict(checkpoint["model"])
    for epoch in range(first, 6):
        loss = (model(data[torch.randperm(16)[:4]]) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield {"loss": loss.item(), "checkpoint": {"epoch": epoch + 1, "model": model.state_dict()}}


def keeps_its_state_dict_alone(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Use a bare `state_dict` as the checkpoint, and draw data before it is loaded."""
    data, model = torch.randn(16, 3), torch.nn.Linear(3, 1)
    model.register_buffer("report", torch.tensor(0))
    if checkpoint is not None:
        model.load_state_dict(checkpoint)
    while model.report < 6:
        model.report += 1
        with torch.no_grad():
            model.weight += 0.1 * torch.randn(3) * data[0]
        yield {"loss": model.weight.sum().item(), "checkpoint": model.state_dict()}


def sets_defaults(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Read the checkpoint with `setdefault`."""
    data, state = np.random.randn(3), checkpoint if checkpoint is not None else {}
    state.setdefault("report", 0)
    weights = state.setdefault("weights", np.zeros(3))
    for report in range(state["report"], 6):
        weights = weights + data * np.random.randn(3)
        yield {"loss": float(weights.sum()), "checkpoint": {"report": report + 1, "weights": weights}}


def weighs_with_the_epoch_read_first(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Read the epoch and draw weights, which those of the checkpoint then replace."""
    first = checkpoint["epoch"] if checkpoint else 0
    weights = np.random.randn(3)
    if checkpoint:
        weights = checkpoint["weights"]
    for epoch in range(first, 6):
        weights = weights + np.random.randn(3)
        yield {"loss": float(weights.sum()), "checkpoint": {"epoch": epoch + 1, "weights": weights}}


def works_in_its_checkpoint(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Use the checkpoint as the working state, and draw before the first look at its weights."""
    state = checkpoint or {"n": 0, "weights": np.zeros(3)}
    while state["n"] < 6:
        noise = np.random.randn(3)
        state["weights"] = state["weights"] - 0.1 * noise
        state["n"] += 1
        yield {"loss": float(state["weights"].sum()), "checkpoint": state}


def never_reads_its_state(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Read nothing but the number from the checkpoint."""
    n = checkpoint["n"] if checkpoint else 0
    while n < 6:
        drawn, n = np.random.randn(3), n + 1
        yield {"loss": float(drawn.sum()), "checkpoint": {"n": n, "last": drawn}}


def appends(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Use a growing list as the checkpoint."""
    state = checkpoint or []
    while len(state) < 6:
        state.append(np.random.randn())
        yield {"loss": float(sum(state)), "checkpoint": state}


def learns_in_its_checkpoint(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Use the checkpoint as the working state, and draw for the training before and between looks at its arrays."""
    state = checkpoint or {"n": 0, "values": np.zeros((5, 2)), "traces": np.zeros(5), "old": [np.zeros(3)]}
    while state["n"] < 6:
        place = random.randrange(5)
        for _ in range(4):
            action = random.randrange(2) if random.random() < 0.5 else int(state["values"][place].argmax())
            state["values"][place, action] += random.random()
            state["traces"] = 0.9 * state["traces"] + np.random.randn(5)
        state["old"].append(state["old"][-1] + np.random.randn(3))
        state["n"] += 1
        yield {"loss": float(state["values"].sum() + state["traces"].sum()), "checkpoint": state}


def delegates(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    """Set up in one generator, with what generator expressions read, and train in another."""
    first = checkpoint["report"] if checkpoint else 0
    weights = np.random.randn(2, 3)
    if checkpoint:
        weights = np.stack(list(checkpoint["weights"][row] for row in range(2)))  # noqa: C400
    yield from _trains(weights, first, checkpoint)


def _trains(weights: Any, first: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
    for report in range(first, 6):
        noise = np.random.randn(2, 3)
        mean = checkpoint["mean"] if checkpoint and report == first else 0.0
        weights = weights + noise * np.random.randn(3)
        yield {
            "loss": float(weights.sum() + np.sum(mean)),
            "checkpoint": {"report": report + 1, "weights": weights, "mean": np.zeros(2)},
        }


SET_UP = {
    "working-arrays": learns_in_its_checkpoint,
    "yield-from": delegates,
    "weights-read-late": weighs_with_the_epoch_read_first,
    "working-state": works_in_its_checkpoint,
    "state-not-read": never_reads_its_state,
    "growing-list": appends,
    "state-dict-alone": keeps_its_state_dict_alone,
    "setdefault": sets_defaults,
    "epoch-first": fits_with_the_epoch_read_first,
    **{f"numpy-{kind.__name__}": keeping(kind, lambda: np.random.randn(3)) for kind in (dict, list, tuple)},
    **{f"torch-{kind.__name__}": keeping(kind, lambda: torch.randn(3)) for kind in (dict, list, tuple)},
}
ORDINARY = (ordinary.mlp, ordinary.mlp_in_bytes, ordinary.mlp_read_early)
FUNCTIONS = {
    **{function.__name__: function for function in ORDINARY},
    **{n: drawing(d) for n, d in GENERATORS.items()},
    **SET_UP,
}
