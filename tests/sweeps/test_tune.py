"""Tests of sweeps on a real Ray: warm actors, shares of GPUs, and trials that raise, diverge, lie or die."""

import functools
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import callables
import functions
import pandas as pd
import pytest
from simulation import TABLE

import sweeps
from sweeps.errors import ResourceError, SpecError, SweepError
from sweeps.terminal.progress import Form


def run(results: Path, form: Form = "none", **changes: Any) -> sweeps.Result:
    table = {**TABLE, "selection": {"candidates": 1, "seeds": 1, "published_seeds": 1}, **changes}
    return sweeps.run(table, results=results, progress=form)


@pytest.fixture(scope="module")
def bowl(ray_with_gpus: Path, tmp_path_factory: pytest.TempPathFactory) -> sweeps.Result:
    return run(tmp_path_factory.mktemp("results"), trials=15)


def test_a_sweep_over_a_function_ends_with_a_winner(bowl: sweeps.Result) -> None:
    assert len(bowl.trials) == 15
    assert bowl.best is not None
    assert abs(bowl.best["x"] - 0.3) < 0.25
    assert not bowl.trials["state"].isin(["running", "failed"]).any()


def test_asha_spends_less_than_full_fidelity_on_each(bowl: sweeps.Result) -> None:
    assert len(bowl.measurements[bowl.measurements["replicate"] == 0]) < 15 * 9 * 0.7


def test_the_tables_of_a_function_open_in_pandas(bowl: sweeps.Result) -> None:
    trials = pd.read_parquet(bowl.folder.table("trials"))

    assert str(trials["y"].dtype) == "Int64"
    assert trials.loc[trials["kind"] == "a", "y"].isna().all()
    assert trials.loc[trials["kind"] == "b", "y"].notna().all()
    pd.testing.assert_frame_equal(trials, bowl.trials)


@pytest.mark.parametrize("trial", ["best", 0, 3])
def test_any_trial_of_a_function_replays_identically(bowl: sweeps.Result, trial: int | str) -> None:
    replay = bowl.reproduce(trial)

    assert replay.identical, replay.difference
    assert replay.compared == len(bowl.trial(trial).measurements)


def test_a_function_that_raises_makes_failed_rows_with_reason_and_traceback(
    ray_with_gpus: Path, tmp_path: Path
) -> None:
    result = run(tmp_path, target="functions:raises_at_half", pruning={"name": "none"}, trials=8)
    failed = result.trials[result.trials["x"] > 0.5]

    assert len(failed) > 0
    assert (failed["state"] == "failed").all()
    assert failed["reason"].str.fullmatch(r"ValueError: the loss escaped \(.*functions\.py:\d+\)").all()
    assert failed["error"].str.contains("functions.py").all()
    assert (result.trials[result.trials["x"] <= 0.5]["state"] == "complete").all()
    assert result.best is not None


def test_a_function_that_leaves_the_process_is_a_failed_row_and_the_actor_stays(
    ray_with_gpus: Path, tmp_path: Path
) -> None:
    result = run(tmp_path, target="functions:leaves_at_half", pruning={"name": "none"}, trials=8)
    failed = result.trials[result.trials["x"] > 0.5]

    assert len(failed) > 0
    assert failed["reason"].str.fullmatch(r"SystemExit: 3 \(.*functions\.py:\d+\)").all()
    assert not any(trial.losses for trial in result.history.trials.values())


def test_nan_prunes_a_trial_and_is_kept_as_it_was(ray_with_gpus: Path, tmp_path: Path) -> None:
    result = run(tmp_path, target="functions:nan_at_half", trials=8)
    diverged = result.trials[result.trials["x"] > 0.5]

    assert len(diverged) > 0
    assert set(diverged["state"]) == {"pruned"}
    assert set(diverged["reason"]) == {"diverged: loss is nan"}
    assert set(diverged["reports"]) == {1}


def test_a_trial_whose_process_dies_goes_on_in_another(
    ray_with_gpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changes: dict[str, Any] = {"target": "functions:dies_once", "pruning": {"name": "none"}, "trials": 2}
    result = run(tmp_path, **changes, form="json")
    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]

    assert "raylet" not in err
    # Ray's own messages about a dead worker must not mix with ours.
    assert [line for line in lines if line.get("reason") == "lost"]

    assert set(result.trials["state"]) == {"complete"}
    assert set(result.trials["reports"]) == {10 - 1}
    assert any(trial.losses for trial in result.history.trials.values())


def test_a_module_that_the_workers_lack_is_named(
    ray_with_gpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_the_driver.py").write_text("def bowl(params, seed):\n    yield {'loss': params['x']}\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # in this process alone
    spec = {**TABLE, "name": "lacking", "target": "of_the_driver:bowl", "trials": 1, "retries": {"lost": 0}}
    with pytest.raises(sweeps.OutcomeError, match="ended without a winner") as caught:
        sweeps.run(spec, results=tmp_path / "results", progress="none")
    result = caught.value.result

    assert result.trial(0).state == "failed"
    assert result.trial(0).reason.endswith("1 in all: ModuleNotFoundError: No module named 'of_the_driver'")
    assert "No module named 'of_the_driver'" in result.history.outcome["reason"]


def test_a_hung_trial_is_killed_and_goes_on_in_another_worker(ray_with_gpus: Path, tmp_path: Path) -> None:
    retries = {"report_timeout": 6, "wait": 0.1}
    result = run(tmp_path, target="functions:hangs_once", pruning={"name": "none"}, trials=1, retries=retries)

    assert {trial.state for trial in result.history.trials.values()} == {"complete"}
    assert [trial.losses for trial in result.history.trials.values()] == [1, 1]  # each seed hangs once


def test_half_gpu_trials_pack_two_a_device_and_what_does_not_fit_waits(ray_with_gpus: Path, tmp_path: Path) -> None:
    run(
        tmp_path,
        target="functions:meets_others",
        trials=12,
        pruning={"name": "none"},
        resources={"cpus_per_trial": 0.5, "gpus_per_trial": 0.5},
    )
    looks = [json.loads(path.read_text()) for path in ray_with_gpus.glob("look-*")]

    assert len(looks) >= 12
    assert {look["mine"] for look in looks} == {"0", "1"}
    most = {device: max(look["beside"].count(device) for look in looks) for device in ("0", "1")}
    assert most == {"0": 2, "1": 2}
    assert max(len(look["beside"]) for look in looks) == 4


def test_runs_on_fresh_seeds_have_the_resources_that_the_selection_says(ray_with_gpus: Path, tmp_path: Path) -> None:
    once = {"candidates": 2, "seeds": 2, "published_seeds": 2}
    result = run(
        tmp_path,
        target="functions:says_its_devices",
        trials=6,
        resources={"gpus_per_trial": 1},
        selection={**once, "resources": {"cpus_per_trial": 2}},
    )
    given = result.measurements.assign(is_fresh=result.measurements["replicate"] > 0).groupby("is_fresh")

    assert given["gpus"].agg(["min", "max"]).to_numpy().tolist() == [[1, 1], [0, 0]]
    assert given["cpus"].agg(["min", "max"]).to_numpy().tolist() == [[1, 1], [2, 2]]
    assert result.best is not None
    assert sweeps.verify("bowl", results=tmp_path).holds


@pytest.mark.slow
def test_a_model_of_other_resources_is_made_by_them_and_replays(ray_with_gpus: Path, tmp_path: Path) -> None:
    once = {"candidates": 1, "seeds": 1, "published_seeds": 1}
    table = {
        "name": "one",
        "trials": 1,
        "training": {"batch_size": 512, "epochs": 1},
        "space": {"learning_rate": {"float": [0.01, 0.1], "default": 0.05}},
        "resources": {"gpus_per_trial": 1},
        "selection": {**once, "resources": {"cpus_per_trial": 2}},
    }
    result = sweeps.run(table, results=tmp_path, progress="none")

    assert tomllib.loads(result.folder.best.read_text())["threads"] == 2
    assert result.reproduce().identical
    assert result.reproduce(0).identical


def test_what_the_selection_asks_for_and_no_node_has_is_refused_before_the_search(
    ray_with_gpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(ResourceError, match="a trial asks for 64 CPUs"):
        run(tmp_path, selection={"resources": {"cpus_per_trial": 64}})
    assert list(tmp_path.rglob("ledger*")) == []


def test_actors_are_reused_and_no_more_than_slots_are_made(ray_with_gpus: Path, tmp_path: Path) -> None:
    result = run(
        tmp_path,
        target="functions:process",
        trials=12,
        pruning={"name": "none"},
        resources={"cpus_per_trial": 2.0},
    )

    assert result.measurements["process"].nunique() <= 2


def test_the_drivers_credentials_stay_with_the_driver(
    ray_with_gpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ray does not treat what an actor is started with as a secret: its agents log it.
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-nothing-may-keep")
    result = run(tmp_path, target="functions:has_credentials", trials=3)

    assert set(result.measurements["has"]) == {0}


def test_a_damaged_data_set_is_one_clear_line_and_leaves_no_sweep(ray_with_gpus: Path, tmp_path: Path) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(b"no images")
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"no labels")
    table = {
        "name": "digits",
        "trials": 1,
        "training": {"dataset": "mnist", "epochs": 1},
        "space": {"learning_rate": {"float": [0.01, 0.1]}},
    }
    with pytest.raises(SpecError, match=r"^the data set 'mnist' in .* is damaged") as caught:
        sweeps.run(table, results=tmp_path / "results", data_dir=tmp_path / "data", progress="none")

    assert len(str(caught.value).splitlines()) == 1
    assert list((tmp_path / "results" / "sweeps").iterdir()) == []


def test_more_gpus_than_there_are_is_refused_before_anything_is_asked(ray_with_gpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"3 GPUs, but no node has so many .*or gpus_per_trial"):
        run(tmp_path, resources={"gpus_per_trial": 3.0})

    assert list((tmp_path / "sweeps").iterdir()) == []
    assert run(tmp_path, trials=1).name == "bowl"


def test_a_wall_clock_budget_cuts_the_search_and_leaves_time_to_choose(ray_with_gpus: Path, tmp_path: Path) -> None:
    # The search has 18 s of the 90 s, workers take a few seconds to start, and there is always another trial.
    selection = {"candidates": 1, "seeds": 1, "published_seeds": 1, "time_share": 0.8}
    changes: dict[str, Any] = {"time": "90s", "pruning": {"name": "none"}, "selection": selection}
    result = run(tmp_path, target="functions:slower", trials=10_000, **changes)
    cut = result.trials[result.trials["state"] == "cut"]

    assert result.best is not None
    assert result.selection["row"].eq("seed").sum() >= 1
    assert len(cut) > 0
    assert set(cut["reason"]) == {"time"}
    assert not result.trials["state"].eq("running").any()


def test_a_callable_can_be_passed_and_an_existing_name_gets_a_number(ray_with_gpus: Path, tmp_path: Path) -> None:
    table = {key: value for key, value in TABLE.items() if key != "target"}
    options: dict[str, Any] = {"target": functions.bowl, "results": tmp_path, "progress": "none", "trials": 3}
    first = sweeps.run(table, **options)
    second = sweeps.run(table, **options)

    assert (first.name, second.name) == ("bowl", "bowl-2")
    assert first.spec.target == "functions:bowl"
    assert next(first.history.noted("session")).body["source_hash"] is not None


def test_a_function_without_checkpoints_is_pruned_by_stop_and_that_is_said_once(
    ray_with_gpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path, "auto", target="functions:bowl", pruning={"reduction_factor": 2, "max_fidelity": 9})
    warnings = [note.body["text"] for note in result.history.noted("warning")]

    assert result.spec.pruning.variant == "stop"
    assert set(result.trials["state"]) == {"complete", "pruned"}
    assert [text for text in warnings if "functions:bowl takes no checkpoint" in text] == warnings
    assert capsys.readouterr().out.count("takes no checkpoint") == 1
    assert sweeps.verify(result.name, results=tmp_path).holds
    assert sweeps.resume(result.name, results=tmp_path, trials=2, progress="none").spec.pruning.variant == "stop"


def test_threads_seeds_and_the_order_of_sets_are_those_of_the_trial_and_are_recorded(
    ray_with_gpus: Path, tmp_path: Path
) -> None:
    result = run(tmp_path, target="functions:says_its_process", trials=3, resources={"cpus_per_trial": 2.0})

    assert set(result.measurements["threads"]) == {2}
    assert result.measurements["hash"].nunique() == 1
    assert result.measurements["seed"].between(0, 2**32 - 1).all()
    assert (result.trials["trial_seed"] < 2**32).all()
    assert all(result.reproduce(number).identical for number in range(3))


@pytest.mark.parametrize("target", [callables.closing_over(callables.lock), functools.partial(callables.plain, seed=1)])
def test_what_cannot_be_sent_or_called_is_refused_before_anything_trains(
    ray_with_gpus: Path, tmp_path: Path, target: Any
) -> None:
    table = {key: value for key, value in TABLE.items() if key != "target"}
    with pytest.raises(SpecError, match="target"):
        sweeps.run(table, target=target, results=tmp_path, progress="none")

    assert list(tmp_path.rglob("ledger.sqlite")) == []


def test_a_checkpoint_that_would_not_come_back_equal_stops_the_sweep_with_its_place(
    ray_with_gpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(SweepError, match=r"\d trials failed .* alike: CheckpointError: checkpoint\['model'\] is a Odd"):
        run(tmp_path, target="functions:keeps_an_object", pruning="none")


def test_untracked_metrics_are_left_out_of_a_reproduction(ray_with_gpus: Path, tmp_path: Path) -> None:
    tracked = run(tmp_path, target="functions:times_itself", trials=1, pruning="none")
    untracked = run(tmp_path, target="functions:times_itself", trials=1, pruning="none", untracked=["started"])

    assert "started was" in str(tracked.reproduce(0).difference)
    assert untracked.reproduce(0).identical


def test_resuming_a_finished_sweep_does_nothing(bowl: sweeps.Result) -> None:
    again = sweeps.resume("bowl", results=bowl.folder.results, progress="none")

    assert again.history.last == bowl.history.last


def test_ray_stays_up_where_it_was_up(bowl: sweeps.Result) -> None:
    import ray

    assert ray.is_initialized()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
