"""Measurement: what one report of a training run holds."""

from collections.abc import Mapping
from dataclasses import dataclass

METRICS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")


@dataclass(frozen=True)
class Measurement:
    """One report.

    values: train_loss (mean of the objective over the samples since the last report, label smoothing included),
    train_accuracy (of the same forward passes: augmented images, dropout on), validation_loss (cross entropy
    without smoothing), validation_accuracy (both accuracies in 0..1), learning_rate (of the last step).
    """

    report: int  # 1, 2, … within the trial
    step: int  # optimizer steps made
    fidelity: float  # epochs of the training set seen: samples / training samples
    seconds: float  # training time so far without validation, s
    values: Mapping[str, float]
    digest: str | None = None  # SHA-256 of the weights, hex
