"""Tests of the end of a design: each trained model is scored once and stored, and tables and figures are written."""

from contextlib import closing
from pathlib import Path

import functions
import pandas as pd
import pytest
from simulation import open_driver

import sweeps
from study.data import EMBEDDED, load
from study.experiments import load_experiment
from study.exporting import ExportError
from sweeps.errors import OutcomeError, SweepError
from sweeps.execution.conclusion import _Final, _score_in_worker, conclude
from sweeps.running import go_on
from sweeps.search.extension import Changes
from sweeps.search.history import Noted, TrialKey
from sweeps.store.ledger import Ledger
from sweeps.terminal.showing import tell_sweep

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def baselines(ray_with_gpus: Path, tmp_path_factory: pytest.TempPathFactory) -> sweeps.Result:
    """Return the result of two cells under both protocols, on two seeds, with test scores."""
    cells = [{"name": "plain"}, {"name": "dropout", "params": {"dropout": True}}]
    # Small batches: a step must fit many times into the seconds even on a slow machine, or the trial is refused.
    design = {"cells": cells, "seeds": 2, "epochs": 1, "seconds": 0.2, "test": True}
    table = {"name": "both", "training": {"batch_size": 32}, "design": design}
    return sweeps.run(table, results=tmp_path_factory.mktemp("design"), progress="none")


def test_each_model_is_stored_with_the_scores_of_one_read_of_the_test_set(baselines: sweeps.Result) -> None:
    history = baselines.history
    scored = {note.key: note.body for note in history.noted("scored")}

    assert set(scored) == {TrialKey(number) for number in range(8)}
    assert sorted(note.key for note in history.noted("test_read")) == sorted(scored)
    for key, body in scored.items():
        experiment = load_experiment(baselines.folder.results / body["experiment"])
        assert experiment.metadata["trial"] == key.label
        assert experiment.metadata["test_accuracy"] == body["test_accuracy"]
        assert experiment.metadata["digest"] == history.trials[key].last.digest
    assert list(baselines.folder.checkpoints.iterdir()) == []


def test_no_more_models_are_scored_at_a_time_than_trials_train(baselines: sweeps.Result) -> None:
    """Check that a kill leaves no more recorded reads that were never made than trials train at a time."""
    history = baselines.history
    (session,) = history.noted("session")
    kinds = [note.kind for _, note in history.notes if note.kind in ("test_read", "scored")]
    pending = [kinds[:at].count("test_read") - kinds[:at].count("scored") for at in range(len(kinds) + 1)]

    assert max(pending) <= session.body["slots"] < len(history.search)


def test_a_row_for_each_cell_and_protocol_with_typed_columns(baselines: sweeps.Result) -> None:
    cells = pd.read_parquet(baselines.folder.table("cells"))

    assert list(zip(cells["cell"], cells["protocol"], strict=True)) == [
        ("plain", "epochs"),
        ("dropout", "epochs"),
        ("plain", "wall-clock"),
        ("dropout", "wall-clock"),
    ]
    assert cells["difference"].isna().tolist() == [True, False, True, False]
    assert (cells["n"] == 2).all()
    assert cells["test_accuracy"].between(0.05, 1).all()
    trials = pd.read_parquet(baselines.folder.table("trials"))
    assert trials["replicate"].tolist() == [0] * 4 + [1] * 4
    assert trials.loc[trials["protocol"] == "wall-clock", "seconds"].min() >= 0.2
    assert not baselines.folder.table("selection").exists()


def test_the_figures_are_written(baselines: sweeps.Result) -> None:
    assert sorted(path.name for path in baselines.folder.path.glob("*.png")) == [
        "differences.png",
        "ranks.png",
        "runs.png",
    ]
    for path in baselines.folder.path.glob("*.png"):
        assert path.read_bytes().startswith(PNG)
    with pytest.raises(sweeps.SpecError, match="no figure 'rank': choose from differences, ranks, runs"):
        baselines.figure("rank")


@pytest.mark.parametrize("trial", [1, 6])
def test_a_trial_of_either_protocol_replays_bit_for_bit(baselines: sweeps.Result, trial: int) -> None:
    assert baselines.reproduce(trial).identical


def test_a_model_stored_before_a_kill_is_not_tested_again(baselines: sweeps.Result, tmp_path: Path) -> None:
    # As after a kill between storing the last experiment and recording it: the ledger lacks the last two rows.
    results = baselines.folder.results
    with_all = Ledger.open(baselines.folder.ledger)
    rows = [row for _, row in with_all.rows()]
    with_all.close()
    at = max(i for i, row in enumerate(rows) if isinstance(row, Noted) and row.kind == "scored")
    before = len(list((results / "custom_cnn").iterdir()))
    driver = open_driver(type(baselines.folder)(results, "both-again"), baselines.spec)
    for row in rows[:at]:
        driver.record(row)

    conclude(driver, None, None)

    assert len(list((results / "custom_cnn").iterdir())) == before
    again = {note.key: note.body for note in driver.history.noted("scored")}
    assert again == {note.key: note.body for note in baselines.history.noted("scored")}


def test_a_read_of_the_test_set_that_a_kill_left_without_a_model_is_counted_beside_the_next(
    ray_with_gpus: Path, tmp_path: Path
) -> None:
    once = {"candidates": 1, "seeds": 1, "published_seeds": 1}
    table = {"name": "one", "trials": 1, "training": {"batch_size": 512, "epochs": 1}, "selection": once}
    space = {"learning_rate": {"float": [0.01, 0.1], "default": 0.05}}
    result = sweeps.run({**table, "space": space}, results=tmp_path / "whole", progress="none")
    with closing(Ledger.open(result.folder.ledger, read_only=True)) as ledger:
        rows = [row for _, row in ledger.rows()]
    read = next(i for i, row in enumerate(rows) if isinstance(row, Noted) and row.kind == "test_read")
    # As after a kill between recording the intention and storing the model.
    driver = open_driver(type(result.folder)(tmp_path / "killed", "one"), result.spec)
    for row in rows[: read + 1]:
        driver.record(row)

    conclude(driver, load(EMBEDDED), None)

    again = driver.history.outcome
    assert (result.history.outcome["test_reads"], again["test_reads"]) == (1, 2)
    assert again["test_accuracy"] == result.history.outcome["test_accuracy"]
    assert again["note"].startswith("trained again, since")


def test_a_worker_that_dies_at_the_test_is_not_replaced_without_a_record(
    ray_with_gpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.execution.conclusion._score_in_worker", functions.dies_at_the_test)
    once = {"candidates": 1, "seeds": 1, "published_seeds": 1}
    table = {"name": "dies", "trials": 1, "training": {"batch_size": 512, "epochs": 1}, "selection": once}
    space = {"learning_rate": {"float": [0.01, 0.1], "default": 0.05}}
    with pytest.raises(
        SweepError, match=r"could not be scored.*; mend the cause, then `sweeps resume dies --results .*`"
    ):
        sweeps.run({**table, "space": space}, results=tmp_path, progress="none")

    assert (ray_with_gpus / "tests").read_text() == "read\n"
    assert len(list(sweeps.load("dies", results=tmp_path).history.noted("test_read"))) == 1


def test_a_model_that_cannot_be_exported_is_stored_without_that_file_and_the_test_set_is_read_once(
    baselines: sweeps.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ExportError("model.pt2 finds another class than the model for 3 of 9 images")

    trial = next(trial for trial in baselines.history.search if trial.state == "complete")
    plan = baselines.history.plan(trial.key)
    monkeypatch.setattr("study.exporting.export_model", refuse)
    final = _Final(baselines.spec, trial, (tmp_path / "gone.pt",), plan, tmp_path, None)
    scores = _score_in_worker(final, load(EMBEDDED))

    stored = load_experiment(tmp_path / scores["experiment"])
    assert scores["note"].endswith("no model.pt2: model.pt2 finds another class than the model for 3 of 9 images")
    assert stored.metadata["test_accuracy"] == scores["test_accuracy"]
    assert {path.name for path in stored.folder.iterdir()} == {"metadata.json", "metrics.json", "model.pth"}
    assert len(list((tmp_path / "custom_cnn").iterdir())) == 1


def test_figures_and_checkpoints_that_a_kill_left_are_put_right(baselines: sweeps.Result) -> None:
    for path in baselines.folder.path.glob("*.png"):
        path.unlink()
    go_on(baselines.folder, None, None, "none", verbose=False, changes=Changes())

    assert len(list(baselines.folder.path.glob("*.png"))) == 3


def test_a_design_that_is_over_stays_over(baselines: sweeps.Result) -> None:
    rows = len(Ledger.open(baselines.folder.ledger, read_only=True).rows())
    go_on(baselines.folder, None, None, "none", verbose=False, changes=Changes())

    assert len(Ledger.open(baselines.folder.ledger, read_only=True).rows()) == rows


def test_a_cell_that_diverges_is_missing_and_brackets_are_no_markup(
    ray_with_gpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [{"name": "sound [/x]"}, {"name": "mad", "params": {"learning_rate": 1e30, "optimizer": "sgd"}}]
    design = {"cells": cells, "seeds": 1, "epochs": 2, "test": True}
    with pytest.raises(OutcomeError, match="the sweep 'diverges' is not whole: 1 of 2 trials") as caught:
        sweeps.run({"name": "diverges", "design": design}, results=tmp_path, progress="none")
    result = caught.value.result
    tell_sweep(result, as_json=False)

    assert result.cells["n"].tolist() == [1, 0]
    assert result.cells["missing"][1] == "seed 0: pruned: diverged: train_loss is nan"
    assert len(result.trial(1).measurements) == 1
    assert "sound [/x]" in capsys.readouterr().out


def test_a_failed_cell_is_told_and_the_others_are_compared(ray_with_gpus: Path, tmp_path: Path) -> None:
    cells = [{"name": "low", "params": {"x": 0.2}}, {"name": "high", "params": {"x": 0.9}}]
    table = {"name": "one-fails", "target": "functions:raises_at_half", "metric": "loss", "direction": "minimize"}
    with pytest.raises(OutcomeError, match="the sweep 'one-fails' is not whole: 2 of 4 trials") as caught:
        sweeps.run({**table, "design": {"cells": cells, "seeds": 2}}, results=tmp_path, progress="none")
    result = caught.value.result

    assert result.history.outcome["complete"] == 2
    assert result.cells["n"].tolist() == [2, 0]
    assert "failed: ValueError: the loss escaped" in result.cells["missing"][1]
    assert (result.folder.path / "differences.png").exists()


def test_seconds_that_hold_no_step_fail_every_cell_and_say_why(ray_with_gpus: Path, tmp_path: Path) -> None:
    design = {"cells": [{"name": "plain"}], "seeds": 1, "seconds": 1e-6}
    why = r"0 of 1 trials are complete \(trial 0: failed: ConfigError: seconds=1e-06 is shorter than one step"
    with pytest.raises(OutcomeError, match=why):
        sweeps.run({"name": "short", "design": design}, results=tmp_path, progress="none")
