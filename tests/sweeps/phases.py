"""Functions with more than one loop that yields; a trial continues in the one that made its checkpoint."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from set_ups import Reports, fit, network


def warms_up(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Train in two phases, and draw between them, which is training after the first and set-up within the second."""
    done = checkpoint["done"] if checkpoint else 0
    weights = checkpoint["weights"] if checkpoint else np.random.randn(3)
    for report in range(done + 1, 4):
        weights = weights + np.random.randn(3)
        yield {"loss": float(weights.sum()), "checkpoint": {"done": report, "weights": weights}}
    head = np.random.randn(3)
    if checkpoint and "head" in checkpoint:
        head = checkpoint["head"]
    for report in range(max(done, 3) + 1, 7):
        head = head * np.random.randn(3)
        yield {"loss": float((weights * head).sum()), "checkpoint": {"done": report, "weights": weights, "head": head}}


def teaches_a_student(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Train a teacher, then a student, each in a generator of its own with rounds that are skipped."""
    done = checkpoint["done"] if checkpoint else 0
    (teacher, by), (student, of) = network(), network()
    models = {"teacher": teacher, "by": by, "student": student, "of": of}

    def stage(rounds: range, train: Callable[[], float]) -> Reports:
        for report in rounds:
            if report < done:
                continue
            yield {
                "loss": train(),
                "checkpoint": {"done": report + 1, **{n: m.state_dict() for n, m in models.items()}},
            }

    if checkpoint:
        teacher.load_state_dict(checkpoint["teacher"])
        by.load_state_dict(checkpoint["by"])
    yield from stage(range(3), lambda: fit(teacher, by))
    if done > 3:
        torch.randn(7)
        student.load_state_dict(checkpoint["student"])
        of.load_state_dict(checkpoint["of"])
    yield from stage(range(3, 6), lambda: fit(student, of, teacher(torch.randn(3)).item()))


def continues_elsewhere(params: Any, seed: int, checkpoint: Any) -> Reports:
    """Continue in another loop than the one that made the checkpoint."""
    weights = np.random.randn(3)
    if checkpoint is None:
        for report in range(6):
            weights = weights + np.random.randn(3)
            yield {"loss": float(weights.sum()), "checkpoint": {"report": report + 1, "weights": weights}}
        return
    weights = checkpoint["weights"]
    for report in range(checkpoint["report"], 6):
        weights = weights + np.random.randn(3)
        yield {"loss": float(weights.sum()), "checkpoint": {"report": report + 1, "weights": weights}}


FUNCTIONS: dict[str, Callable[..., Reports]] = {
    "phases": warms_up,
    "stages": teaches_a_student,
    "other-loop": continues_elsewhere,
}
