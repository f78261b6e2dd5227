"""Tests of the main job as a new user runs it, killed with `kill -9` in the middle and resumed: every promise holds."""

import json
import re
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from killed_job import KILL_AFTER, Job

import sweeps
from study.config import TrialConfig
from study.data import load
from study.experiments import load_experiment


def test_a_killed_sweep_is_resumed_to_its_end(job: Job) -> None:
    assert job.resumed.returncode == 0, job.resumed.stderr
    assert "winner: trial" in job.resumed.stdout
    assert "dashboard http://127.0.0.1:" in job.resumed.stdout


def test_every_acknowledged_measurement_is_there(job: Job) -> None:
    found = pd.read_parquet(job.results / "sweeps/quickstart/measurements.parquet").set_index("seq")

    assert len(job.acknowledged) >= KILL_AFTER
    for row in job.acknowledged:
        stored = found.loc[row["seq"]]
        for name in ("trial", "replicate", "report", "step", "fidelity", "seconds", "digest"):
            assert stored[name] == row[name]
        for name, value in row["values"].items():  # type: ignore[attr-defined]
            assert stored[name] == value


def test_no_trial_ends_twice_and_all_trials_asked_for_are_there(job: Job) -> None:
    result = sweeps.load("quickstart", results=job.results)
    reports = Counter((t.key, m.report) for t in result.history.trials.values() for m in t.measurements)

    assert [trial.key.number for trial in result.history.search] == list(range(result.spec.trials))
    assert set(reports.values()) == {1}
    assert not any(trial.state in ("running", "failed") for trial in result.history.trials.values())


def test_the_winner_is_good_and_is_tested_once(job: Job) -> None:
    result = sweeps.load("quickstart", results=job.results)

    assert result.best is not None
    assert result.best["mean"] > 0.97
    assert len(list(result.history.noted("test_read"))) == 1
    assert 0.95 < result.best["test_accuracy"] <= 1


@pytest.mark.parametrize("trial", ["best", "0", "a pruned one"])
def test_a_trial_replays_identically_in_a_fresh_process_without_its_weights(job: Job, trial: str) -> None:
    result = sweeps.load("quickstart", results=job.results)
    paused = [t.key.label for t in result.history.search if t.state == "paused" and len(t.measurements) == 1]
    away = job.results / "moved-away"
    shutil.move(job.results / "custom_cnn", away)
    try:
        replay = job.sweeps("reproduce", "quickstart", "--trial", paused[-1] if trial == "a pruned one" else trial)
    finally:
        shutil.move(away, job.results / "custom_cnn")

    assert replay.stdout.startswith("identical: trial"), replay.stdout + replay.stderr
    assert replay.returncode == 0


def test_the_search_of_a_killed_sweep_follows_from_its_ledger(job: Job) -> None:
    verified = job.sweeps("verify", "quickstart")

    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert re.fullmatch(r"verified: \d+ suggestions and \d+ decisions follow from the ledger\n", verified.stdout)


def test_the_tables_are_typed_and_carry_their_provenance(job: Job) -> None:
    folder = job.results / "sweeps/quickstart"
    trials = pd.read_parquet(folder / "trials.parquet")
    selection = pd.read_parquet(folder / "selection.parquet")
    schema = pq.read_schema(folder / "trials.parquet")

    result = sweeps.load("quickstart", results=job.results)
    assert set(result.spec.space.parameters) <= set(trials.columns)
    assert {str(trials[name].dtype) for name in ("learning_rate", "momentum", "warmup_epochs")} == {"float64"}
    assert str(trials["step_epochs"].dtype) == "Int64"
    assert str(trials["dropout"].dtype) == "boolean"
    adam = trials["optimizer"].isin(["adam", "adamw"])
    assert trials.loc[adam, "momentum"].isna().all()
    assert trials.loc[~adam, "momentum"].notna().all()
    assert trials["state"].notna().all()
    assert trials["reason"].notna().all()
    assert schema.metadata[b"spec_hash"].decode() == result.spec.hash
    assert schema.field("learning_rate").metadata[b"meaning"]
    assert selection["is_final"].sum() == 1
    assert (selection["row"] == "candidate").sum() in (3, 4)
    counted = selection.groupby("purpose")["trial"].value_counts()
    assert set(counted["choice"]) == {2}
    assert set(counted["publication"]) == {3}
    assert set(counted["publication"].index) == {0, result.history.outcome["winner"]}


def test_the_stored_model_is_the_selected_one_and_gives_its_recorded_accuracy(job: Job) -> None:
    result = sweeps.load("quickstart", results=job.results)
    assert result.experiment is not None
    experiment = load_experiment(result.experiment)
    final = result.trial("best")
    assert final.last is not None

    assert experiment.metadata["digest"] == final.last.digest
    data = load("mnist_sample")
    assert experiment.evaluate(data, data.validation)["accuracy"] == final.last.values["validation_accuracy"]
    confusion = np.array(experiment.metadata["confusion"])
    outcome = result.history.outcome
    assert confusion.sum() == outcome["test_images"] == 2000
    assert confusion.trace() / 2000 == outcome["test_accuracy"]


def test_the_exported_model_gives_the_predictions_of_the_stored_one(job: Job) -> None:
    result = sweeps.load("quickstart", results=job.results)
    data = load("mnist_sample")
    exported = torch.export.load(result.experiment / "model.pt2").module()
    with torch.no_grad():
        found = exported(torch.tensor(data.validation.images[:500]))

    training = load_experiment(result.experiment).training(data)
    assert torch.equal(found, training.logits(data.validation)[:500])


def test_best_toml_is_a_config_that_trains_the_final_model_again(job: Job) -> None:
    import tomllib

    result = sweeps.load("quickstart", results=job.results)
    config = TrialConfig(**tomllib.loads(result.folder.best.read_text()))

    assert config == result.spec.trial_config(result.trial("best").params, result.trial("best").seed)


def test_list_and_show_tell_the_outcome(job: Job) -> None:
    listed, shown = job.sweeps("list"), job.sweeps("show", "quickstart")

    assert "quickstart" in listed.stdout
    assert "validation_accuracy" in listed.stdout
    assert "winner: trial" in shown.stdout
    table = json.loads(job.sweeps("show", "quickstart", "--json").stdout)
    assert len(table["trials"]) == table["asked_for"]


def test_every_trial_has_its_log(job: Job) -> None:
    result = sweeps.load("quickstart", results=job.results)

    for trial in result.history.trials.values():
        log = result.folder.log(trial.key.label).read_text()
        assert f"trial {trial.key.label} report 1 " in log


def test_cleaning_a_finished_sweep_frees_its_checkpoints_alone(job: Job) -> None:
    cleaned = job.sweeps("clean", "quickstart")

    assert cleaned.returncode == 0, cleaned.stderr
    assert not (job.results / "sweeps/quickstart/checkpoints").exists()
    assert (job.results / "sweeps/quickstart/ledger.sqlite").exists()
