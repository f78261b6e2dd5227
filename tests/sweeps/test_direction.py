"""Tests of a metric's direction: it is known, or it is asked for, but never guessed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import TABLE

from study.measurement import METRICS
from sweeps.cautions import cautions
from sweeps.direction import direction_by_name
from sweeps.errors import SpecError
from sweeps.spec import load_spec

MINIMIZED = """
    loss valLoss val/loss eval_loss train.loss test-loss val_loss_epoch LOSS losses MSELoss logLoss log_loss error
    top1_error error_rate validation_err RMSE valRMSE mse mae mean_squared_error max_error nll test_nll perplexity
    eval/perplexity PPL wer CER fid brier ece bpb regret crossentropy focal_loss triplet_loss
    value_loss word_error_rate loss_0 loss_per_token errors_per_word mean_absolute_error mean_error_rate
"""
MAXIMIZED = """
    accuracy validation_accuracy val_acc acc acc1 acc@1 top-1-accuracy top1Accuracy balanced_accuracy AUC auroc valAUC
    roc_auc pr_auc F1 f1 F1Score f1-score macro_f1 score r2_score test/score reward reward/mean episodeReturn return
    precision precision@k recall recall_at_5 map mAP mAP@0.5 mAP50 bleu BLEU4 rouge-1 iou IoU mIoU dice psnr ssim
    log_likelihood elbo top_1_accuracy
"""
BOTH_TURNED_OR_NEITHER = """
    error_score fid_score brier_score accuracy_loss loss_at_best_accuracy score-loss
    neg_mean_squared_error negative_loss negMSE neg_log_loss minus_error inverse_loss 1-accuracy -loss
    loss_reduction accuracy_drop accuracy_gap loss_std accuracy_variance time_to_accuracy loss_scale
    1.0-accuracy 100-accuracy (1-accuracy) val/1-accuracy val_1-acc reverse_accuracy missed_recall fpr_at_recall95
    quantile_score log_score mean_log_score mean_error avg_error median_err tokens_per_cost samplesPerCost
    acc⁻¹ loss⁻¹ 1÷loss 1⁄loss —loss ‐loss ¬accuracy 1,0-acc accuracy×loss
    davies_bouldin_score penalty_score toxicity_score distance_score val/-loss exp(-loss) loss*-1 log(1/loss)
    opposite_loss profit_loss win_loss error_free_rate loss_free_share errors_prevented errors_handled errors_fixed
    error_detection_rate error_recovery_rate cost_savings cost_efficiency HTTPError hidden_loss accuracy_2x
    x value objective metric learning_rate lr latency glossary closs lossy returned mapping scored cross_entropy
"""
UNSAID = [
    *BOTH_TURNED_OR_NEITHER.split(),
    *(
        "",
        " ",
        "1 - accuracy",
        "1.0 - error",
        "accuracy / 2",
        "1/loss",
        "\N{MINUS SIGN}accuracy",
        "perplexité",
        "Verlust",
    ),
]


@pytest.mark.parametrize("name", MINIMIZED.split())
def test_a_name_that_says_less_is_better_is_minimized(name: str) -> None:
    assert direction_by_name(name) == "minimize"


@pytest.mark.parametrize("name", MAXIMIZED.split())
def test_a_name_that_says_more_is_better_is_maximized(name: str) -> None:
    assert direction_by_name(name) == "maximize"


@pytest.mark.parametrize("name", UNSAID)
def test_a_name_that_says_neither_or_both_is_asked_about(name: str) -> None:
    assert direction_by_name(name) is None


@given(
    other=st.text("abcdefghijklmnopqrstuvwxyz", min_size=3).filter(
        lambda word: direction_by_name(f"{word}_loss") is None
    ),
    word=st.sampled_from(["accuracy", "rmse", "reward", "nll"]),
)
def test_a_word_that_is_not_known_may_turn_a_measure_round(other: str, word: str) -> None:
    assert direction_by_name(f"{word}_{other}") is direction_by_name(f"{other}_{word}") is None


@given(
    before=st.sampled_from(["val", "eval", "best", "epoch", "dev"]),
    sign=st.sampled_from("_-./ :@"),
    word=st.sampled_from(["loss", "nll", "RMSE", "accuracy", "f1", "AUC", "mAP", "Reward"]),
)
def test_only_whole_words_count_whatever_separates_them(before: str, sign: str, word: str) -> None:
    own = direction_by_name(word)

    assert own is not None
    assert direction_by_name(f"{before}{sign}{word}") == direction_by_name(f"{word}{sign}{before}") == own
    assert direction_by_name(f"{before}{word.lower()}") is None


def without_direction(**changes: Any) -> dict[str, Any]:
    return {**{key: value for key, value in TABLE.items() if key != "direction"}, **changes}


@pytest.mark.parametrize(("metric", "direction"), [("val_loss", "minimize"), ("f1", "maximize")])
def test_what_was_taken_from_the_name_is_part_of_the_stored_spec(metric: str, direction: str) -> None:
    spec = load_spec(without_direction(metric=metric))

    assert spec.direction == spec.to_table()["direction"] == direction
    assert spec.hash == load_spec(without_direction(metric=metric, direction=direction)).hash
    assert cautions(spec) == []


@pytest.mark.parametrize("metric", ["x", "error_score", "neg_mean_squared_error", "errors_fixed"])
def test_the_direction_of_a_function_is_asked_for_where_the_name_does_not_say_it(metric: str) -> None:
    with pytest.raises(
        SpecError, match=rf"direction: the name of the metric '{metric}' doesn't say .*: give direction"
    ):
        load_spec(without_direction(metric=metric))
    for direction in ("minimize", "maximize"):
        assert load_spec(without_direction(metric=metric, direction=direction)).direction == direction


def test_a_misspelt_direction_is_named_and_not_asked_for_again() -> None:
    with pytest.raises(SpecError, match="unknown key 'directoin', did you mean 'direction'"):
        load_spec(without_direction(metric="x", directoin="minimize"))


def test_a_function_may_go_against_the_name_of_its_metric_and_that_is_said() -> None:
    spec = load_spec(without_direction(metric="loss", direction="maximize"))

    assert spec.direction == "maximize"
    assert cautions(spec) == ["loss is maximized, as the spec says and its name does not: is that meant?"]


def test_a_metric_without_a_name_is_refused_for_that() -> None:
    table = {"name": "t", "trials": 2, "target": "a:b", "metric": "", "space": {"x": {"float": [0.0, 1.0]}}}
    with pytest.raises(SpecError, match="metric must be text of at least one character, but got ''"):
        load_spec(table)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("direction", [None, "minimize", "maximize"])
def test_the_metrics_of_the_study_have_one_direction(metric: str, direction: str | None) -> None:
    own = {"loss": "minimize", "accuracy": "maximize"}.get(metric.partition("_")[2])
    table = {"name": "t", "trials": 2, "metric": metric, "space": {"preset": "custom_cnn"}}
    table |= {} if direction is None else {"direction": direction}

    if own is None:
        with pytest.raises(SpecError, match=f"metric: {metric} says nothing about how good a model is: take one of"):
            load_spec(table)
    elif direction not in (None, own):
        remedy = f"direction: {metric} is {own}d: leave direction out or give '{own}', but got '{direction}'"
        with pytest.raises(SpecError, match=remedy):
            load_spec(table)
    else:
        assert load_spec(table).direction == own


def test_a_design_takes_the_direction_of_its_metric_too() -> None:
    design = {"name": "d", "metric": "validation_loss", "design": {"cells": [{"name": "a"}]}}

    assert load_spec(design).direction == "minimize"
    assert load_spec(load_spec(design).to_table()) == load_spec(design)
