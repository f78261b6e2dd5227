# ruff: noqa: UP028 - loops that yield are what these functions show
"""Functions whose set-up and training are told apart by the loop that yields, or by a thread; most need care."""

import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

Reports = Iterator[dict[str, Any]]


def network() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Linear(3, 1)
    return model, torch.optim.Adam(model.parameters(), lr=0.1)


def fit(model: torch.nn.Module, optimizer: torch.optim.Optimizer, wanted: float = 1.0) -> float:
    """Take a step of training on drawn data, and return its loss."""
    loss = (model(torch.randn(4, 3)) - wanted).square().mean() + 0.01 * torch.rand(1).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def follows_with_a_target(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Learn with a target network, which takes the weights of the other within the loop, before the first step."""
    (policy, optimizer), (target, _) = network(), network()
    if checkpoint:
        policy.load_state_dict(checkpoint["policy"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        state = torch.randn(4, 3)
        target.load_state_dict(policy.state_dict())
        loss = fit(policy, optimizer, target(state).mean().item())
        kept = {"policy": policy.state_dict(), "optimizer": optimizer.state_dict()}
        yield {"loss": loss, "checkpoint": {"report": report + 1, **kept}}


def keeps_the_best(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Load the weights into a second model after each step."""
    (model, optimizer), (best, _) = network(), network()
    if checkpoint:
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        loss = fit(model, optimizer)
        best.load_state_dict(model.state_dict())
        loss += best(torch.randn(3)).item()
        kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        yield {"loss": loss, "checkpoint": {"report": report + 1, **kept}}


def learns_from_a_teacher(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Train another model in the set-up, before and after the checkpoint is read."""
    teacher, teaching = network()
    fit(teacher, teaching)
    student, optimizer = network()
    if checkpoint:
        student.load_state_dict(checkpoint["student"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    fit(teacher, teaching)
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        loss = fit(student, optimizer, teacher(torch.ones(3)).item())
        kept = {"student": student.state_dict(), "optimizer": optimizer.state_dict()}
        yield {"loss": loss, "checkpoint": {"report": report + 1, **kept}}


def averages_clients(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Make new models in each round, which all begin with the weights kept in a dict."""
    shared = checkpoint["shared"] if checkpoint else network()[0].state_dict()
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        states, losses = [], []
        for _ in range(2):
            client, optimizer = network()
            client.load_state_dict(shared)
            losses.append(fit(client, optimizer))
            states.append(client.state_dict())
        shared = {name: (states[0][name] + states[1][name]) / 2 for name in states[0]}
        yield {"loss": sum(losses), "checkpoint": {"report": report + 1, "shared": shared}}


def splits_after_reading(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Read all of the checkpoint first, and draw the data and their split afterwards."""
    first, weights = (checkpoint["report"], checkpoint["weights"]) if checkpoint else (0, np.zeros(3))
    data = np.random.randn(8, 3)[np.random.permutation(8)[:4]]
    for report in range(first, 6):
        weights = weights + data[random.randrange(4)] * np.random.rand()
        yield {"loss": float(weights.sum()), "checkpoint": {"report": report + 1, "weights": weights}}


def trains_fold_after_fold(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Train a new model in each of three folds of two reports, and continue within a fold."""
    first = checkpoint["fold"] if checkpoint else 0
    for fold in range(first, 3):
        model, optimizer = network()
        epoch = 0
        if checkpoint and fold == first:
            epoch = checkpoint["epoch"]
            model.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
        for report in range(epoch, 2):
            loss = fit(model, optimizer)
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            yield {"loss": loss, "checkpoint": {"fold": fold, "epoch": report + 1, **kept}}


def yields_at_the_last_batch(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Draw the order of the batches in each epoch, and yield within the loop over them."""
    data = torch.randn(8, 3)
    model, optimizer = network()
    if checkpoint:
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    for epoch in range(checkpoint["epoch"] if checkpoint else 0, 6):
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data), batch_size=3, shuffle=True)
        for number, (batch,) in enumerate(loader):
            loss = fit(model, optimizer, batch.sum().item())
            if number == 2:
                kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                yield {"loss": loss, "checkpoint": {"epoch": epoch + 1, **kept}}


def makes_its_model_in_the_loop(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Make and load the model in the first turn of the loop."""
    model: Any = None
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        if model is None:
            model, optimizer = network()
            if checkpoint:
                model.load_state_dict(checkpoint["model"])
                optimizer.load_state_dict(checkpoint["optimizer"])
        loss = fit(model, optimizer)
        kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        yield {"loss": loss, "checkpoint": {"report": report + 1, **kept}}


def counts_on_a_stream(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Draw from a stream of numbers around the loop, whose iterator draws when it is made."""

    class Stream:
        def __iter__(self) -> "Stream":
            self.first = np.random.rand()
            return self

        def __next__(self) -> float:
            return self.first + np.random.rand()

    total, report = (checkpoint["total"], checkpoint["report"]) if checkpoint else (0.0, 0)
    for number in Stream():
        if report == 6:
            return
        total, report = total + number, report + 1
        yield {"loss": total, "checkpoint": {"report": report, "total": total}}


def walks_with_a_bar(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Show a progress bar, whose library runs a thread."""
    first, bias = checkpoint["report"] if checkpoint else 0, np.random.rand()
    bar = tqdm(range(first, 6), disable=False)
    scale = np.random.rand()
    for report in bar:
        yield {"loss": bias + scale * np.random.rand(), "checkpoint": {"report": report + 1}}


def decorated(function: Callable[..., Reports]) -> Callable[..., Reports]:
    @wraps(function)
    def reports(*given: Any, **named: Any) -> Reports:
        for report in function(*given, **named):
            yield report

    return reports


@decorated
def is_decorated(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Set up in a generator that another loops over."""
    (policy, optimizer), data = network(), torch.randn(3)
    if checkpoint:
        policy.load_state_dict(checkpoint["policy"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    noise = torch.rand(1).item()
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        loss = fit(policy, optimizer, data.sum().item() + noise)
        kept = {"policy": policy.state_dict(), "optimizer": optimizer.state_dict()}
        yield {"loss": loss, "checkpoint": {"report": report + 1, **kept}}


def delegates_to_an_expression(params: Any, seed: int, checkpoint: Any) -> Reports:
    first, scale = checkpoint["report"] if checkpoint else 0, random.random()
    yield from ({"loss": scale * random.random(), "checkpoint": {"report": report + 1}} for report in range(first, 6))


def delegates_to_a_map(params: Any, seed: int, checkpoint: Any) -> Reports:
    first, scale = checkpoint["report"] if checkpoint else 0, random.random()

    def step(report: int) -> dict[str, Any]:
        return {"loss": scale * random.random(), "checkpoint": {"report": report + 1}}

    yield from map(step, range(first, 6))


class Counting:
    """An object whose method is the target, with a set-up of its own in each generator."""

    def __call__(self, params: Any, seed: int, checkpoint: Any) -> Reports:
        scale = random.random()
        yield from self.run(scale, checkpoint)

    def run(self, scale: float, checkpoint: Any) -> Reports:
        first, offset = checkpoint["report"] if checkpoint else 0, random.random()
        while first < 6:
            first += 1
            yield {"loss": offset + scale * random.random(), "checkpoint": {"report": first}}


def keeps_bytes(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Keep bytes, which can't tell when they are read, and draw before and after they are."""
    scale = random.random()
    first = checkpoint[0] if checkpoint else 0
    offset = random.random()
    for report in range(first, 6):
        yield {"loss": offset + scale * random.random(), "checkpoint": bytes([report + 1])}


def prepares_its_data_in_threads(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Use threads that end before the loop."""
    first, scale = checkpoint["report"] if checkpoint else 0, random.random()
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda row: row + 1.0, range(3)))
    for report in range(first, 6):
        yield {"loss": rows[0] + scale * random.random(), "checkpoint": {"report": report + 1}}


def drained(start: Callable[[Callable[[], None]], object], train: Callable[[Callable[[Any], None]], None]) -> Reports:
    """Yield what a training in another thread puts into a queue, up to its None, one at a time."""
    reports, goes_on = queue.Queue[Any](), queue.Queue[bool]()

    def put(report: Any) -> None:
        reports.put(report)
        if not goes_on.get():
            raise SystemExit

    def run() -> None:
        with suppress(SystemExit):
            train(put)
            reports.put(None)

    start(run)
    try:
        while (report := reports.get()) is not None:
            yield report
            goes_on.put(True)
    finally:
        goes_on.put(False)


def in_a_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, daemon=True).start()


def trains_in_a_thread(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Load the state in the main thread, and train in another that draws at once."""
    (model, optimizer), data = network(), torch.randn(3)
    if checkpoint:
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])

    def train(put: Callable[[Any], None]) -> None:
        for report in range(checkpoint["report"] if checkpoint else 0, 6):
            loss = fit(model, optimizer, data.sum().item())
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            put({"loss": loss, "checkpoint": {"report": report + 1, **kept}})

    yield from drained(in_a_thread, train)


def sets_up_in_a_pool(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Make the model, load it and train it in a thread of a pool."""
    data = torch.randn(3)

    def train(put: Callable[[Any], None]) -> None:
        model, optimizer = network()
        if checkpoint:
            model.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
        for report in range(checkpoint["report"] if checkpoint else 0, 6):
            loss = fit(model, optimizer, data.sum().item())
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            put({"loss": loss, "checkpoint": {"report": report + 1, **kept}})

    with ThreadPoolExecutor(1) as pool:
        yield from drained(pool.submit, train)


def watches_its_memory(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Start a thread in the set-up that trains nothing, and then make and load the model."""
    ends = threading.Event()
    threading.Thread(target=ends.wait, daemon=True).start()
    model, optimizer = network()
    if checkpoint:
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    try:
        for report in range(checkpoint["report"] if checkpoint else 0, 6):
            loss = fit(model, optimizer)
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            yield {"loss": loss, "checkpoint": {"report": report + 1, **kept}}
    finally:
        ends.set()


def yields_outside_of_loops(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Train in stages, each of which yields once."""
    weights, stage = np.random.randn(3), 0
    if checkpoint:
        weights, stage = checkpoint["weights"], checkpoint["stage"]
    if stage < 1:
        weights = weights + np.random.randn(3)
        yield {"loss": float(weights.sum()), "checkpoint": {"stage": 1, "weights": weights}}
    if stage < 2:
        weights = weights * np.random.randn(3)
        yield {"loss": float(weights.sum()), "checkpoint": {"stage": 2, "weights": weights}}
    if stage < 3:
        weights = weights - np.random.randn(3)
        yield {"loss": float(weights.sum()), "checkpoint": {"stage": 3, "weights": weights}}


def takes_its_time(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Have a set-up of many lines and loops, and a loop of more than 256 instructions."""
    rows: Iterable[float] = [random.random() for _ in range(100)]
    total, first = 0.0, checkpoint["report"] if checkpoint else 0
    for row in rows:
        total += row
    for report in range(first, 6):
        a = {"a": random.random(), "b": [random.random(), random.random()], "c": {"d": random.random()}}
        b = {"a": random.random(), "b": [random.random(), random.random()], "c": {"d": random.random()}}
        c = {"a": random.random(), "b": [random.random(), random.random()], "c": {"d": random.random()}}
        d = {"a": random.random(), "b": [random.random(), random.random()], "c": {"d": random.random()}}
        e = {"a": random.random(), "b": [random.random(), random.random()], "c": {"d": random.random()}}
        loss = total + sum(one["a"] + one["b"][0] - one["b"][1] + one["c"]["d"] for one in (a, b, c, d, e))  # type: ignore[index, call-overload, operator]
        yield {"loss": loss, "checkpoint": {"report": report + 1}}


FUNCTIONS: dict[str, Callable[..., Reports]] = {
    "target-network": follows_with_a_target,
    "best-model": keeps_the_best,
    "teacher": learns_from_a_teacher,
    "clients": averages_clients,
    "split-after-reading": splits_after_reading,
    "folds": trains_fold_after_fold,
    "nested-loops": yields_at_the_last_batch,
    "model-in-the-loop": makes_its_model_in_the_loop,
    "stream": counts_on_a_stream,
    "progress-bar": walks_with_a_bar,
    "decorated": is_decorated,
    "generator-expression": delegates_to_an_expression,
    "map": delegates_to_a_map,
    "object": Counting(),
    "bytes": keeps_bytes,
    "threads-in-the-set-up": prepares_its_data_in_threads,
    "thread": trains_in_a_thread,
    "pool": sets_up_in_a_pool,
    "other-thread": watches_its_memory,
    "no-loop": yields_outside_of_loops,
    "long-loop": takes_its_time,
}
