"""Tests of predictions: they agree with the recorded accuracy, and confusions and worst answers are counted right."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import small_digits as small

from study.config import TrialConfig
from study.experiments import ExperimentError, store
from study.predictions import Predictions, predict
from study.reproducibility import environment
from study.training import Training

DATA = small(train=240, validation=700)  # more than one batch of an evaluation


@pytest.fixture(scope="module")
def training() -> Training:
    training = Training(TrialConfig(epochs=2, batch_size=40, dropout=True), DATA)
    list(training.run())
    return training


def by_hand(labels: list[int], predicted: list[int], losses: list[float]) -> Predictions:
    return Predictions(np.array(labels), np.array(predicted), np.array(losses, dtype=np.float32), 3)


def test_they_give_the_accuracy_and_the_loss_of_an_evaluation(training: Training) -> None:
    evaluated = training.evaluate(DATA.validation)
    predictions = predict(training, DATA.validation)

    assert predictions.accuracy == evaluated["accuracy"]
    assert predictions.losses.mean() == pytest.approx(evaluated["loss"], rel=1e-5)


def test_those_of_a_stored_experiment_are_those_of_its_training(training: Training, tmp_path: Path) -> None:
    facts = environment(training.config, DATA)
    stored = store(tmp_path, training, [], facts, exit_reason="complete", extra={})
    again = predict(stored.training(DATA), DATA.validation)

    assert np.array_equal(again.losses, predict(training, DATA.validation).losses)
    with pytest.raises(ExperimentError, match="give the data set that it was trained on"):
        stored.training(small())


def test_asking_for_logits_leaves_a_run_as_it_is(training: Training) -> None:
    before = training.digest()
    training.model.train()
    first, second = training.logits(DATA.validation), training.logits(DATA.validation)

    assert torch.equal(first, second)  # dropout is off
    assert training.model.training
    assert training.digest() == before


def test_confusions_have_true_classes_in_rows() -> None:
    counts = by_hand([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 0], [0.0] * 6).confusion()

    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 1]]


def test_the_worst_have_the_highest_losses_first() -> None:
    predictions = by_hand([0, 1, 2, 0], [0, 1, 0, 1], [0.1, 2.0, 5.0, 2.0])

    assert predictions.worst(3).tolist() == [2, 1, 3]
    assert predictions.worst(9).tolist() == [2, 1, 3, 0]
