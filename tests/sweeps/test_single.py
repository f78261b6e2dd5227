"""One run from a file: stored as an experiment that gives its recorded accuracy back."""

from pathlib import Path

import pytest

from study.data import load
from study.experiments import load_experiment
from sweeps.errors import SpecError
from sweeps.terminal.single import read_config, train_one


def test_a_config_is_trained_shown_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.toml").write_text("epochs = 1\nbatch_size = 128\nlearning_rate = 0.05\n")
    train_one(tmp_path / "one.toml", tmp_path / "results", None)
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith("epoch 1: train_loss ")
    assert lines[-1] == f"stored in {tmp_path / 'results/custom_cnn/exp_1'}, figure curves.png"
    assert (tmp_path / "results/custom_cnn/exp_1/curves.png").read_bytes().startswith(b"\x89PNG")
    stored = load_experiment(tmp_path / "results/custom_cnn/exp_1")
    data = load("mnist_sample")
    accuracy = stored.evaluate(data, data.validation)["accuracy"]
    assert f"validation_accuracy {accuracy:.4f}" in lines[0]
    assert accuracy > 0.8


@pytest.mark.parametrize(
    ("text", "message"),
    [("target = 'a:b'\n", "belongs to a user's function"), ("epochs = 0\n", "epochs"), ("x =", "not valid TOML")],
)
def test_a_file_that_is_no_config_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "one.toml").write_text(text)
    with pytest.raises(SpecError, match=rf"one\.toml.*{message}"):
        read_config(tmp_path / "one.toml")
