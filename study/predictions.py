"""The predictions of a trained model for each image of a split: classes, losses, confusions and worst answers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from study.data import Split
    from study.training import Training


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for the n images of a split.

    Attributes:
        labels: True classes (n,), int64.
        predicted: Most likely classes (n,), int64.
        losses: Cross entropies (n,), float32, in nats.
        classes: Number of classes.
    """

    labels: np.ndarray
    predicted: np.ndarray
    losses: np.ndarray
    classes: int

    @property
    def accuracy(self) -> float:
        """Return the share of right answers, in 0..1."""
        return float((self.labels == self.predicted).mean())

    def confusion(self) -> np.ndarray:
        """Return counts (classes, classes), int64: a row for each true class, a column for each predicted one."""
        cells = self.labels * self.classes + self.predicted
        return np.bincount(cells, minlength=self.classes**2).reshape(self.classes, self.classes)

    def worst(self, count: int) -> np.ndarray:
        """Return the indices of the `count` images with the highest losses, highest first; ties keep their order."""
        return np.argsort(-self.losses, kind="stable")[:count]


def predict(training: "Training", split: "Split") -> Predictions:
    """Predict a split with a training's current model.

    For a stored model, use `experiment.training(data)`.
    """
    import torch
    from torch.nn import functional

    logits = training.logits(split).cpu()
    losses = functional.cross_entropy(logits, torch.tensor(split.labels), reduction="none")
    return Predictions(split.labels, logits.argmax(1).numpy(), losses.numpy(), logits.shape[1])
