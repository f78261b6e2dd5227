"""Tests of experiment folders: race-free numbers, whole or refused, and weights that give the recorded accuracy."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from study.config import TrialConfig
from study.data import Dataset, Split, load
from study.experiments import SEAL, Experiment, ExperimentError, _sealed, claim, load_experiment, replay, store
from study.measurement import Measurement
from study.reproducibility import environment, weights_digest
from study.training import Plan, Training


@dataclass(frozen=True)
class Run:
    data: Dataset
    training: Training
    measurements: list[Measurement]

    def store(self, results: Path, extra: Mapping[str, Any] | None = None) -> Experiment:
        facts = environment(self.training.config, self.data)
        return store(results, self.training, self.measurements, facts, exit_reason="complete", extra=extra or {})


@pytest.fixture(scope="module")
def run() -> Run:
    """Return a run of two epochs on a small part of the digits."""
    digits = load("mnist_sample")
    first, second = (Split(s.images[:n], s.labels[:n]) for s, n in ((digits.train, 400), (digits.validation, 700)))
    data = Dataset("mnist_sample", first, second, 10)
    training = Training(TrialConfig(epochs=2, batch_size=100, seed=3, precision="float32"), data)
    return Run(data, training, list(training.run()))


@pytest.fixture
def stored(run: Run, tmp_path: Path) -> Experiment:
    return run.store(tmp_path, {"test_accuracy": 0.5})


def change(path: Path, **entries: Any) -> None:
    """Change entries of a file, and seal it again."""
    content = json.loads(path.read_text())
    content.pop(SEAL)
    path.write_text(json.dumps(_sealed({**content, **entries})))


def test_a_stored_run_is_read_back_as_it_was(run: Run, stored: Experiment) -> None:
    again = load_experiment(stored.folder)
    assert again.config == run.training.config
    assert again.measurements == tuple(run.measurements)
    assert Plan(**again.metadata["plan"]) == run.training.plan
    assert again.metadata["seed"] == 3
    assert again.metadata["digest"] == run.measurements[-1].digest
    assert again.metadata["environment"] == environment(run.training.config, run.data)
    assert again.metadata["exit_reason"] == "complete"
    assert again.metadata["test_accuracy"] == 0.5
    assert weights_digest(again.weights()) == run.training.digest()


def test_a_folder_holds_three_files_and_no_temporary_one(stored: Experiment, tmp_path: Path) -> None:
    assert stored.folder == tmp_path / "custom_cnn" / "exp_1"
    assert sorted(os.listdir(stored.folder)) == ["metadata.json", "metrics.json", "model.pth"]


def test_every_report_has_loss_accuracy_rate_and_time(stored: Experiment) -> None:
    reports = json.loads((stored.folder / "metrics.json").read_text())["measurements"]
    assert [report["report"] for report in reports] == [1, 2]
    names = {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate"}
    assert all(set(report["values"]) == names and report["seconds"] > 0 for report in reports)


def test_reloaded_weights_give_the_recorded_loss_and_accuracy_to_the_bit(run: Run, stored: Experiment) -> None:
    recorded = run.measurements[-1].values
    evaluated = load_experiment(stored.folder).evaluate(run.data, run.data.validation)
    assert evaluated == {"loss": recorded["validation_loss"], "accuracy": recorded["validation_accuracy"]}


def test_a_reloaded_model_gives_the_recorded_accuracy(run: Run, stored: Experiment) -> None:
    model = stored.model(run.data)
    mean, std = torch.tensor(run.data.mean).view(1, -1, 1, 1), torch.tensor(run.data.std).view(1, -1, 1, 1)
    images = (torch.from_numpy(run.data.validation.images).float() / 255 - mean) / std
    with torch.inference_mode():
        right = model(images).argmax(1) == torch.from_numpy(run.data.validation.labels)
    assert right.double().mean().item() == run.measurements[-1].values["validation_accuracy"]


def test_weights_are_not_judged_with_the_normalisation_of_other_data(run: Run, stored: Experiment) -> None:
    other = Dataset("mine", run.data.validation, run.data.train, 10)
    with pytest.raises(ExperimentError, match=r"was trained on data with fingerprint .* but 'mine' here has"):
        stored.evaluate(other, run.data.validation)


def test_a_loss_that_is_not_finite_is_read_back(run: Run, tmp_path: Path) -> None:
    diverged = [Measurement(1, 4, 1.0, 0.5, {"train_loss": float("nan"), "validation_loss": float("inf")})]
    values = Run(run.data, run.training, diverged).store(tmp_path).measurements[0].values
    assert values["train_loss"] != values["train_loss"]
    assert values["validation_loss"] == float("inf")


def test_extra_facts_do_not_replace_what_is_recorded(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="extra must not hold digest, seed"):
        run.store(tmp_path, {"digest": "0", "seed": 1, "note": ""})
    assert not list(tmp_path.rglob("exp_*"))


def test_a_store_that_fails_leaves_no_folder(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        run.store(tmp_path, {"not JSON": object()})
    assert not list(tmp_path.rglob("exp_*"))


def test_numbers_go_on_after_the_highest(tmp_path: Path) -> None:
    for name in ("exp_2", "exp_10", "exp_020", "exp_11.old", "other"):
        (tmp_path / name).mkdir()
    assert claim(tmp_path).name == "exp_11"
    assert claim(tmp_path).name == "exp_12"


def test_processes_never_share_a_number(tmp_path: Path) -> None:
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawned) as pool:
        folders = list(pool.map(claim, [tmp_path] * 400))
    assert sorted(int(folder.name.removeprefix("exp_")) for folder in folders) == list(range(1, 401))


def test_a_folder_whose_writer_was_killed_is_refused(tmp_path: Path) -> None:
    """Check a writer that dies once weights and metrics are there, and before metadata.json has its name."""
    program = f"""
import os, signal
from pathlib import Path
import study.experiments as experiments
from study import TrialConfig, Training, load, Dataset, Split
digits = load("mnist_sample")
part = Split(digits.train.images[:20], digits.train.labels[:20])
training = Training(TrialConfig(epochs=1, batch_size=10), Dataset("mnist_sample", part, part, 10))
rename = os.replace
def die_at_metadata(source, target):
    if Path(target).name == "metadata.json":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = die_at_metadata
experiments.store(Path({str(tmp_path)!r}), training, [], {{}}, exit_reason="complete", extra={{}})
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = tmp_path / "custom_cnn" / "exp_1"
    assert {"model.pth", "metrics.json"} < set(os.listdir(folder))
    with pytest.raises(ExperimentError, match=r"exp_1 is no whole experiment: metadata\.json is missing"):
        load_experiment(folder)
    assert claim(folder.parent).name == "exp_2"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"there is no experiment in .*exp_7: the folder is missing"):
        load_experiment(tmp_path / "exp_7")


@pytest.mark.parametrize("name", ["metadata.json", "metrics.json"])
@pytest.mark.parametrize("content", ["", '{"schema', "[]", "\ud800"])
def test_a_damaged_file_is_refused_by_name(name: str, content: str, stored: Experiment) -> None:
    (stored.folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ExperimentError, match=name):
        load_experiment(stored.folder)


@pytest.mark.parametrize("name", ["metadata.json", "metrics.json"])
def test_a_file_edited_by_hand_is_refused_by_its_digest(name: str, stored: Experiment) -> None:
    path = stored.folder / name
    edited = path.read_text().replace('"learning_rate": ', '"learning_rate": 1')
    path.write_text(edited)
    with pytest.raises(
        ExperimentError, match=rf"{name} was changed after it was written: what it holds has digest \w+"
    ):
        load_experiment(stored.folder)
    assert path.read_text() == edited


def test_weights_of_another_run_do_not_pass_with_a_digest_of_their_own(stored: Experiment) -> None:
    digest = stored.metadata["digest"]
    change(stored.folder / "metadata.json", digest="0" * 64)
    with pytest.raises(ExperimentError, match=f"metadata.json says digest {'0' * 64}, the last measurement {digest}"):
        load_experiment(stored.folder)


def test_a_config_and_seed_from_metadata_replay_the_run(run: Run, stored: Experiment) -> None:
    again = replay(load_experiment(stored.folder), run.data)
    assert again.identical
    assert again.compared == 2
    assert again.environment == ()


def test_a_replay_names_the_first_measurement_that_differs(run: Run, stored: Experiment) -> None:
    metrics = json.loads((stored.folder / "metrics.json").read_text())
    metrics["measurements"][1]["values"]["train_loss"] += 1e-12
    change(stored.folder / "metrics.json", measurements=metrics["measurements"])
    again = replay(load_experiment(stored.folder), run.data)
    assert again.compared == 1
    assert str(again.difference).startswith("report 2: train_loss was")


def test_another_schema_version_is_refused_by_number(stored: Experiment) -> None:
    change(stored.folder / "metadata.json", schema_version=2)
    with pytest.raises(ExperimentError, match="has schema version 2, this package reads 1"):
        load_experiment(stored.folder)


@pytest.mark.parametrize("config", [None, {"learning_rate": -1}, {"unknown": 1}])
def test_a_config_that_breaks_a_rule_is_refused(config: object, stored: Experiment) -> None:
    change(stored.folder / "metadata.json", config=config)
    with pytest.raises(ExperimentError, match="exp_1 is no experiment of this package"):
        load_experiment(stored.folder)


def test_weights_of_another_run_are_refused(stored: Experiment) -> None:
    weights = stored.weights()
    next(iter(weights.values())).view(-1)[0] += 1e-3
    torch.save(weights, stored.folder / "model.pth")
    with pytest.raises(ExperimentError, match=r"the weights of .*exp_1 are damaged: their digest is"):
        stored.weights()


def test_weights_that_are_cut_short_are_refused(run: Run, stored: Experiment) -> None:
    path = stored.folder / "model.pth"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ExperimentError, match=r"the weights of .*exp_1 can't be read"):
        stored.weights()
    with pytest.raises(ExperimentError, match=r"the weights of .*exp_1 can't be read"):
        replay(stored, run.data)


def test_loading_weights_runs_no_code_of_theirs(stored: Experiment, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    for write in (torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb, protocol=2))):
        write(Bomb(), stored.folder / "model.pth")
        with pytest.raises(ExperimentError, match="can't be read"):
            stored.weights()
    assert not (tmp_path / "exploded").exists()
