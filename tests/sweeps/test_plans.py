"""Tests of plans: a baseline per model, and ablations in which each cell changes one factor and nothing else."""

import pytest

from search_spaces import SpaceError, preset, preset_names
from study.config import TrialConfig
from sweeps.plans import ablation_cells, baseline_cells, factors

# What changes along with a factor: its dependents by their conditions, and the rate that fits an optimizer.
WITH = {"optimizer": {"learning_rate", "momentum", "beta1", "beta2"}, "schedule": {"warmup_epochs", "step_epochs"}}
WITH["schedule"] |= {"step_gamma"}
WITH |= {"dropout": {"dropout_rate"}, "rotation": {"rotation_degrees"}, "color_jitter": {"color_jitter_strength"}}
WITH |= {"perspective": {"perspective_distortion"}}


@pytest.mark.parametrize("model", preset_names())
def test_each_cell_of_an_ablation_changes_one_factor_of_the_baseline(model: str) -> None:
    reference, *cells = ablation_cells(model)
    base = TrialConfig(**reference.params).model_dump()

    assert reference.params == {"model": model, **preset(model).defaults()}
    for cell in cells:
        factor = cell.name.partition("=")[0]
        config = TrialConfig(**cell.params).model_dump()
        changed = {knob for knob, value in config.items() if value != base[knob]}
        assert factor in changed
        assert changed - {factor} <= WITH.get(factor, set()), cell.name


def test_an_ablation_covers_every_factor_of_the_study() -> None:
    wanted = {"optimizer", "schedule", "init", "label_smoothing", "dropout", "weight_decay", "batch_size"}
    wanted |= {"rotation", "color_jitter", "perspective"}

    assert set(factors(preset("custom_cnn"))) == wanted
    assert {cell.name.partition("=")[0] for cell in ablation_cells("custom_cnn")[1:]} == wanted
    names = [cell.name for cell in ablation_cells("custom_cnn", ["dropout", "label_smoothing"])]
    assert names == ["baseline", "dropout=on", "label_smoothing=0.1"]


def test_what_is_named_twice_is_trained_once() -> None:
    assert len(baseline_cells(["vgg", "vgg"])) == 1
    assert len(ablation_cells("custom_cnn", ["dropout", "dropout"])) == 2


def test_adam_comes_with_a_rate_of_its_own() -> None:
    rates = {cell.name: cell.params["learning_rate"] for cell in ablation_cells("custom_cnn", ["optimizer"])}

    assert rates["optimizer=sgd"] == rates["baseline"]
    assert rates["optimizer=adam"] == rates["optimizer=adamw"] == rates["baseline"] / 50


def test_a_baseline_is_every_default_of_each_model() -> None:
    cells = baseline_cells(["vgg", "custom_cnn"])

    assert [cell.name for cell in cells] == ["vgg", "custom_cnn"]
    assert cells[0].params == {"model": "vgg", **preset("vgg").defaults()}


@pytest.mark.parametrize(
    ("model", "chosen", "message"),
    [("custom_cmn", None, "did you mean 'custom_cnn'"), ("custom_cnn", ["dropuot"], "did you mean 'dropout'")],
)
def test_an_unknown_model_or_factor_names_the_nearest(model: str, chosen: list[str] | None, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        ablation_cells(model, chosen)
