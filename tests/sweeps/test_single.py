"""Tests of one run from a file or knobs: it is stored as an experiment that gives its recorded accuracy and replays."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from study.config import TrialConfig
from study.data import load
from study.experiments import SEAL, _sealed, load_experiment
from sweeps.design import with_defaults
from sweeps.errors import SpecError
from sweeps.terminal.single import read_config, reproduce_one, train_one


def test_a_config_is_trained_shown_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.toml").write_text("epochs = 1\nbatch_size = 128\nlearning_rate = 0.05\n")
    train_one(read_config([str(tmp_path / "one.toml")]), tmp_path / "results", None)
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith("epoch 1: loss ")
    assert lines[-1] == f"stored in {tmp_path / 'results/custom_cnn/exp_1'}, figure curves.png"
    assert (tmp_path / "results/custom_cnn/exp_1/curves.png").read_bytes().startswith(b"\x89PNG")
    stored = load_experiment(tmp_path / "results/custom_cnn/exp_1")
    data = load("mnist_sample")
    accuracy = stored.evaluate(data, data.validation)["accuracy"]
    assert f" train {accuracy:.4f} validation, rate" in lines[0]
    assert accuracy > 0.8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target = 'a:b'\n", "belongs to a user's function"),
        ("trials = 3\n", "describes a sweep"),
        ("epochs = 0\n", "epochs"),
        ("x =", "not valid TOML"),
        ("# nothing\n", "is empty: name a knob in it"),
    ],
)
def test_a_file_that_is_no_config_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "one.toml").write_text(text)
    with pytest.raises(SpecError, match=rf"one\.toml.*{message}"):
        read_config([str(tmp_path / "one.toml")])


def test_knobs_change_the_file_and_without_one_the_models_baseline(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("epochs = 3\noptimizer = 'adam'\n")

    from_file = read_config([str(tmp_path / "one.toml"), "epochs=1", "dropout=true"])
    assert from_file == TrialConfig(optimizer="adam", epochs=1, dropout=True)
    assert read_config([]) == TrialConfig()
    assert read_config(["model=vgg", "seed=7"]) == TrialConfig(**with_defaults("vgg", {"seed": 7}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer=adma"], "knobs: optimizer: unknown choice 'adma', did you mean 'adam'"),
        (["epochz=2"], "knobs: unknown knob 'epochz', did you mean 'epochs'"),
        (["dropout_rate=0.5"], "dropout_rate=0.5 has no effect: it needs dropout=True"),
        (["epochs=1", "epochs=2"], "the knob 'epochs' is given twice: keep one"),
        (["a=b/one.toml"], r"a=b/one\.toml can't be read"),
        (["a.toml", "b.toml"], "one file at most, but got a.toml, b.toml"),
    ],
)
def test_a_wrong_knob_names_the_nearest_or_the_rule(words: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_config(words)


@pytest.mark.parametrize("words", [["train", "epochs=1"], ["lr-range"]])
def test_results_that_cannot_be_kept_are_refused_before_any_step(call, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    code, out, err = call(*words, "--results", "taken")

    assert code == 4
    assert "can't be written" in err
    assert out.count("\n") == 1
    assert out.endswith(": starting\n")


def test_a_models_folder_that_cannot_be_written_is_refused_before_any_step(call, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "custom_cnn").write_text("a file")
    code, out, err = call("train", "epochs=1")

    assert (code, out) == (4, "one training run: starting\n")
    assert "custom_cnn can't be written" in err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    train_one(TrialConfig(epochs=1, batch_size=512), results, None)
    return results / "custom_cnn/exp_1"


def test_a_stored_experiment_replays_from_its_folder(call, trained: Path) -> None:
    code, out, _ = call("reproduce", str(trained))
    assert code == 0
    assert "weights: digest as recorded; validation accuracy" in out
    assert ", as recorded" in out
    assert f"identical: experiment {trained}, 1 measurement and the weights" in out
    assert reproduce_one(trained, None).identical


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_by_a_signal_is_stored_to_its_step_and_replays(tmp_path: Path, number: signal.Signals) -> None:
    command = [str(Path(sys.executable).with_name("sweeps")), "train", "epochs=1000", "batch_size=512"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(": starting\n")
        assert process.stdout.readline().startswith("epoch 1: ")
        process.send_signal(number)
        out, err = process.communicate()

    assert process.returncode == 130
    assert re.fullmatch(r"error: stopped at step \d+ of 16000: what is stored is the run so far, .*\n", err)
    assert "stored in " in out
    stored = load_experiment(tmp_path / "results/custom_cnn/exp_1")
    assert stored.metadata["exit_reason"] == "interrupted"
    assert stored.metadata["plan"]["stop_steps"] == stored.measurements[-1].step
    assert reproduce_one(stored.folder, None).identical


def test_a_run_that_diverges_ends_and_says_what_to_do(call, tmp_path: Path) -> None:
    code, out, err = call("train", "learning_rate=1e30", "optimizer=sgd", "batch_size=512", "epochs=50")

    assert code == 1
    assert "lower learning_rate" in err
    stored = load_experiment(tmp_path / "results/custom_cnn/exp_1")
    assert len(stored.measurements) == 1
    assert stored.metadata["exit_reason"].startswith("diverged: train_loss is")
    assert "stored in results/custom_cnn/exp_1" in out


def test_weights_that_give_another_accuracy_are_not_identical(trained: Path, tmp_path: Path, call) -> None:
    folder = tmp_path / "exp_1"
    shutil.copytree(trained, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["measurements"][-1]["values"]["validation_accuracy"] += 0.001
    metrics.pop(SEAL)
    (folder / "metrics.json").write_text(json.dumps(_sealed(metrics)))
    code, out, _ = call("reproduce", str(folder))

    assert code == 1
    assert "different: experiment" in out
    assert "the stored weights give accuracy" in out


def test_a_trial_of_an_experiment_is_refused(call, trained: Path) -> None:
    code, _, err = call("reproduce", str(trained), "--trial", "7")

    assert code == 2
    assert "--trial belongs to a sweep" in err


@pytest.mark.parametrize(
    ("file", "message"),
    [("model.pth", "the weights of .* can't be read"), ("metadata.json", "metadata.json was changed after")],
)
def test_a_damaged_experiment_is_refused_in_one_line_and_kept(
    call, trained: Path, tmp_path: Path, file: str, message: str
) -> None:
    folder = tmp_path / "exp_1"
    shutil.copytree(trained, folder)
    content = (folder / file).read_bytes()
    damaged = content[:-200] if file == "model.pth" else content.replace(b'"seed": 0', b'"seed": 1')
    (folder / file).write_bytes(damaged)

    code, _, err = call("reproduce", str(folder))
    assert code == 4
    assert re.search(message, err)
    assert err.count("\n") == 1
    assert (folder / file).read_bytes() == damaged
