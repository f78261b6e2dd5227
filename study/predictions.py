"""What a trained model says of each image of a split: classes, losses, confusions and its worst answers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from study.data import Split
    from study.training import Training


@dataclass(frozen=True, eq=False)
class Predictions:
    """labels and predicted: (n,), int64, true and most likely class; losses: (n,), float32, cross entropy in nats."""

    labels: np.ndarray
    predicted: np.ndarray
    losses: np.ndarray
    classes: int

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0..1."""
        return float((self.labels == self.predicted).mean())

    def confusion(self) -> np.ndarray:
        """Counts (classes, classes), int64: a row for each true class, a column for each predicted one."""
        cells = self.labels * self.classes + self.predicted
        return np.bincount(cells, minlength=self.classes**2).reshape(self.classes, self.classes)

    def worst(self, count: int) -> np.ndarray:
        """Places of the `count` images with the highest loss, highest first; the earlier of two equals first."""
        return np.argsort(-self.losses, kind="stable")[:count]


def predict(training: "Training", split: "Split") -> Predictions:
    """Predictions of a training's model as it is now; of a stored one with `experiment.training(data)`."""
    import torch
    from torch.nn import functional

    logits = training.logits(split).cpu()
    losses = functional.cross_entropy(logits, torch.tensor(split.labels), reduction="none")
    return Predictions(split.labels, logits.argmax(1).numpy(), losses.numpy(), logits.shape[1])
