"""Tests of a sweep's spec: the TOML that users write, and one clear line for every rule that it breaks."""

from pathlib import Path
from typing import Any

import pytest
from simulation import TABLE, small_spec

from sweeps.errors import SpecError
from sweeps.sections import STAGES, parse_duration
from sweeps.spec import load_spec
from sweeps.spec_files import LARGEST_FILE, preset_names

TRAINING = {"name": "t", "trials": 4, "training": {"epochs": 3}, "space": {"preset": "custom_cnn"}}


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_survives_a_round_trip(name: str) -> None:
    spec = load_spec(name)

    assert load_spec(spec.to_table()) == spec
    assert load_spec(spec.to_table()).hash == spec.hash


def test_a_toml_file_is_named_after_itself(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("trials = 3\n[training]\nepochs = 2\n[space]\nlearning_rate = {float = [0.01, 0.1], log = true}\n")

    spec = load_spec(file)

    assert (spec.name, spec.trials, spec.max_fidelity) == ("mine", 3, 2)


def test_what_is_given_beside_the_file_wins() -> None:
    spec = load_spec("quickstart", trials=7, time="10m", seed=None, cpus_per_trial=0.5)

    assert (spec.trials, spec.time, spec.seed, spec.resources.cpus_per_trial) == (7, 600, 0, 0.5)


def test_a_preset_space_can_be_narrowed() -> None:
    spec = load_spec({**TRAINING, "space": {"preset": "custom_cnn", "optimizer": "adam"}})

    assert spec.space.defaults()["optimizer"] == "adam"
    assert "beta1" in spec.space.defaults()


def test_the_hash_changes_with_any_key() -> None:
    assert len({small_spec().hash, small_spec(seed=1).hash, small_spec(trials=13).hash}) == 3


def test_an_extension_changes_nothing_but_its_budget() -> None:
    spec = small_spec(time="60s")
    longer = spec.extended({"trials": 20, "time": 600})

    assert (longer.trials, longer.time) == (32, 660)
    assert {**longer.to_table(), "trials": 12, "time": 60.0} == spec.to_table()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": True}, "trials: must be a number, but got True"),
        ({"retries": {"lost": 10**400}}, "retries.lost: must be 1000000000 or less"),
        ({"selection": {"candidates": 10**30}}, "selection.candidates: must be 1000000000 or less"),
        ({"resources": {"cpus_per_trial": float("inf")}}, "resources.cpus_per_trial: must be finite"),
        ({"untracked": ["\ud800"]}, "untracked must be text that every table can hold"),
        ({"warm_start": ["a\0b"]}, "warm_start must be text that every table can hold"),
        ({"metric": "checkpoint"}, "a function's checkpoint is no metric"),
        ({"selection": {"cost": "checkpoint"}}, "a function's checkpoint is no metric"),
    ],
)
def test_what_could_not_be_counted_stored_or_reported_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        small_spec(**changes)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400)])
def test_durations_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


BAD: list[tuple[dict[str, Any], str]] = [
    ({"trails": 3}, r"spec: unknown key 'trails', did you mean 'trials'\?"),
    ({"trials": 0}, r"spec: trials: must be 1 or more, but got 0"),
    ({"trials": 10**21}, r"spec: trials: must be 1000000000 or less"),
    ({"target": "hill"}, r"spec: target: a target is written 'module:function', but got 'hill'"),
    ({"target": "..hill:height"}, r"spec: target: a target is written 'module:function'"),
    ({"trials": "many"}, r"spec: trials: must be a whole number, but got 'many'"),
    ({"time": "soon"}, r"spec: time: .*90s, 10m or 1h30m, but got 'soon'"),
    ({"time": -5}, r"spec: time: must be more than 0"),
    ({"direction": "up"}, r"spec: direction: .*'maximize' or 'minimize'.*but got 'up'"),
    ({"name": "../etc"}, r"a sweep's name .*'\.\./etc'"),
    ({"seed": -1}, r"spec: seed: "),
    ({"pruning": {"name": "asha", "reduction_factor": 1}}, r"spec: pruning.reduction_factor: .*but got 1"),
    ({"pruning": {"minfidelity": 1}}, r"unknown key 'pruning.minfidelity', did you mean 'min_fidelity'\?"),
    ({"sampler": {"name": "tpee"}}, r"spec: sampler.name: .*but got 'tpee'"),
    ({"resources": {"gpus_per_trial": 1.5}}, r"resources.*gpus_per_trial above 1 must be a whole number"),
    ({"resources": {"cpus_per_trial": 0}}, r"a trial needs a share of a CPU or of a GPU"),
    ({"space": {"x": {"float": [1.0, 0.0]}}}, r"spec: space: x: low < high must hold, but got low=1.0 and high=0.0"),
    ({"space": {"x": {"float": [0.0, 1.0], "log": True}}}, r"spec: space: x: log needs low > 0, but got low=0.0"),
    ({"space": {"preset": "custom_cnm"}}, r"no preset space named 'custom_cnm', did you mean 'custom_cnn'\?"),
    ({"space": 3}, r"spec: space: must be a table, but got 3"),
    (
        {"device_hours": 1, "selection": {"resources": {"cpus_per_trial": 2}}},
        r"selection.resources: device_hours counts trials of one kind alone: give `time`",
    ),
    ({"selection": {"resources": {"cpu_per_trial": 2}}}, r"'selection.resources.cpu_per_trial', did you mean 'cpus"),
    ({"training": {"epochs": 3}}, r"\[training\] belongs to the study's models"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[str(change) for change, _ in BAD])
def test_a_broken_rule_is_one_line_that_names_place_and_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        load_spec({**TABLE, **change})

    assert "\n" not in str(caught.value)


BAD_TRAINING: list[tuple[dict[str, Any], str]] = [
    ({"training": {"epoch": 3}}, r"'epoch' is no knob of a trial, did you mean 'epochs'\?"),
    ({"training": {"epochs": 0}}, r"epochs.*but got 0"),
    ({"training": {"dataset": "mnits"}}, r"dataset: unknown choice 'mnits', did you mean 'mnist'"),
    ({"training": {"optimizer": "adam"}}, r"'optimizer' stands in \[training\] and in \[space\]: keep one"),
    ({"space": {"dataset": {"choice": ["mnist", "kmnist"]}}}, r"a sweep has one data set"),
    ({"space": {"seed": {"int": [0, 9]}}}, r"'seed' is no knob"),
    ({"pruning": {"max_fidelity": 3}}, r"pruning.max_fidelity is for functions"),
    ({"space": {"momentum": {"float": [0.1, 0.9]}}, "training": {"optimizer": "adam"}}, r"momentum"),
]


@pytest.mark.parametrize(("change", "message"), BAD_TRAINING, ids=[str(change) for change, _ in BAD_TRAINING])
def test_a_sweep_over_models_checks_its_knobs_before_anything_runs(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        load_spec({**TRAINING, **change})

    assert "\n" not in str(caught.value)


def test_runs_on_fresh_seeds_may_have_resources_of_their_own_and_are_a_part_of_the_sweep_then() -> None:
    alike = small_spec(resources={"gpus_per_trial": 0.5})
    apart = small_spec(resources={"gpus_per_trial": 0.5}, selection={"resources": {"cpus_per_trial": 2}})

    assert (alike.parts, alike.for_stage("choice")) == ((STAGES,), alike)
    assert apart.parts == (("search",), ("choice", "publication"))
    assert [own.gpus_per_trial for own in apart.every_resources] == [0.5, 0.0]
    assert apart.for_stage("publication").resources.cpus_per_trial == 2
    assert (apart.devices("search"), apart.devices("choice")) == (0.5, 0.0)


def test_a_missing_file_and_a_missing_preset_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="can't be read"):
        load_spec(tmp_path / "none.toml")
    with pytest.raises(SpecError, match=r"no preset sweep has that name, did you mean 'quickstart'\?"):
        load_spec("quickstrat")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "large.toml"
    file.write_text("#" * (LARGEST_FILE + 1))

    with pytest.raises(SpecError, match=r"large\.toml has 1,000,001 bytes, of 1,000,000 at most: shorten the longest"):
        load_spec(file)


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("trials = = 3")

    with pytest.raises(SpecError, match=r"not valid TOML.*line 1"):
        load_spec(file)


@pytest.mark.parametrize("given", ["seconds", ["seconds", "rate"]])
def test_untracked_metrics_are_a_name_or_a_list_and_survive_a_round_trip(given: Any) -> None:
    spec = small_spec(untracked=given)

    assert spec.untracked[0] == "seconds"
    assert load_spec(spec.to_table()) == spec


def test_the_metric_itself_cannot_be_untracked() -> None:
    with pytest.raises(SpecError, match="untracked: 'loss' is the sweep's metric, which is always compared"):
        small_spec(untracked=["loss"])
