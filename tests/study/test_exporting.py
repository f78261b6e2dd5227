"""Tests of an exported model: it answers as the model does, in a process that does not import this package."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import small_digits

from study.config import TrialConfig
from study.exporting import ExportError, export_model
from study.training import Training

OTHER_PROCESS = """
import sys, numpy, torch
answers = torch.export.load(sys.argv[1]).module()(torch.from_numpy(numpy.load(sys.argv[2])))
assert not any(name.split(".")[0] in ("study", "sweeps") for name in sys.modules)
numpy.save(sys.argv[3], answers.detach().numpy())
"""


def trained(**knobs: object) -> Training:
    training = Training(TrialConfig(epochs=1, batch_size=16, dropout=True, **knobs), small_digits())
    for _ in training.run():
        pass
    return training


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_the_file_answers_bit_for_bit_in_a_process_of_its_own(tmp_path: Path, precision: str) -> None:
    training, validation = trained(precision=precision), small_digits().validation
    export_model(training, validation, tmp_path / "model.pt2")
    np.save(tmp_path / "images.npy", validation.images)
    paths = [str(tmp_path / name) for name in ("model.pt2", "images.npy", "answers.npy")]
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, *paths], check=True, cwd=tmp_path)

    assert np.array_equal(np.load(tmp_path / "answers.npy"), training.logits(validation).numpy())


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_images_is_answered(tmp_path: Path, count: int) -> None:
    training, validation = trained(), small_digits().validation
    export_model(training, validation, tmp_path / "model.pt2")
    found = torch.export.load(tmp_path / "model.pt2").module()(torch.tensor(validation.images[:count]))

    assert found.shape == (count, small_digits().classes)


def test_exporting_leaves_the_training_as_it_was(tmp_path: Path) -> None:
    training = trained()
    before, mode = training.digest(), training.model.training
    export_model(training, small_digits().validation, tmp_path / "model.pt2")

    assert (training.digest(), training.model.training) == (before, mode)


def test_a_file_that_answers_otherwise_is_refused_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, validation = trained(), small_digits().validation
    monkeypatch.setattr(training, "logits", lambda _split: -Training.logits(training, _split))

    with pytest.raises(ExportError, match=r"model\.pt2 finds another class than the model for \d+ of"):
        export_model(training, validation, tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []
