"""Measurement: the content of one report of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass

METRICS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")


@dataclass(frozen=True)
class Measurement:
    """One report of a training run.

    Attributes:
        report: Number of the report within the trial, from 1.
        step: Optimizer steps made.
        fidelity: Epochs of the training set seen: samples / training samples.
        seconds: Training time so far without validation, in s.
        values: The metrics. train_loss is the mean of the objective over the samples since the last report, including
            label smoothing. train_accuracy is of the same forward passes: augmented images, dropout on.
            validation_loss is the cross entropy without smoothing, in nats. validation_accuracy, like train_accuracy,
            is in 0..1. learning_rate is that of the last step.
        digest: SHA-256 of the weights, in hex.
    """

    report: int
    step: int
    fidelity: float
    seconds: float
    values: Mapping[str, float]
    digest: str | None = None
