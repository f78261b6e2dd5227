"""Tests of TrialConfig: knobs without effect are refused, active ones are filled in, and errors say what to do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from study.config import CONDITIONS, ConfigError, TrialConfig


@pytest.mark.parametrize("knob", CONDITIONS)
def test_a_conditional_knob_has_its_default_where_it_is_active(knob: str) -> None:
    parent, values, default = CONDITIONS[knob]
    for value in values:
        assert getattr(TrialConfig(**{parent: value}), knob) == default


@pytest.mark.parametrize("knob", CONDITIONS)
def test_a_conditional_knob_is_refused_where_it_has_no_effect(knob: str) -> None:
    parent, values, default = CONDITIONS[knob]
    other = False if True in values else next(v for v in ("adam", "sgd", "cosine") if v not in values)
    if parent == "schedule":
        other = "cosine"
    assert getattr(TrialConfig(**{parent: other}), knob) is None
    with pytest.raises(ConfigError, match=rf"^{knob}={default!r} has no effect: it needs {parent}="):
        TrialConfig(**{parent: other, knob: default})


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"learning_rat": 0.1}, "unknown knob 'learning_rat', did you mean 'learning_rate'"),
        ({"learning_rate": "fast"}, "learning_rate: .*valid number.*'fast'"),
        ({"learning_rate": 0}, "learning_rate: .*greater than 0, but got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: .*nan"),
        ({"weight_decay": -1e-4}, "weight_decay: .*greater than or equal to 0"),
        ({"optimizer": "adamW"}, "optimizer: unknown choice 'adamW', did you mean 'adamw'"),
        ({"schedule": "x"}, "schedule: unknown choice 'x': choose from constant_warmup, step, cosine, one_cycle"),
        ({"batch_size": 0}, "batch_size: .*greater than or equal to 1, but got 0"),
        ({"label_smoothing": 1.0}, "label_smoothing: .*less than 1"),
        ({"dropout": True, "dropout_rate": 1.0}, "dropout_rate: .*less than 1"),
        ({"seed": -1}, "seed: .*greater than or equal to 0"),
        ({"epochs": 3, "seconds": 10.0}, "give epochs or seconds, not both, but got epochs=3 and seconds=10"),
        ({"optimizer": "nesterov", "momentum": 0.0}, "momentum must be above 0 with optimizer='nesterov'"),
    ],
)
def test_a_broken_rule_is_named_with_knob_and_value_in_one_line(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        TrialConfig(**knobs)
    assert "\n" not in str(caught.value)


def test_a_config_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrialConfig().learning_rate = 1.0  # type: ignore[misc]


def test_without_a_protocol_it_is_nine_epochs_and_seconds_replace_them() -> None:
    assert (TrialConfig().epochs, TrialConfig().seconds) == (9, None)
    assert (TrialConfig(seconds=5.0).epochs, TrialConfig(seconds=5.0).seconds) == (None, 5.0)


@given(
    optimizer=st.sampled_from(["sgd", "nesterov", "adam", "adamw"]),
    schedule=st.sampled_from(["constant_warmup", "step", "cosine", "one_cycle"]),
    flags=st.tuples(*[st.booleans()] * 4),
)
def test_a_config_written_out_gives_the_same_config(optimizer: str, schedule: str, flags: tuple[bool, ...]) -> None:
    dropout, rotation, jitter, perspective = flags
    config = TrialConfig(
        optimizer=optimizer,  # type: ignore[arg-type]
        schedule=schedule,  # type: ignore[arg-type]
        dropout=dropout,
        rotation=rotation,
        color_jitter=jitter,
        perspective=perspective,
    )
    assert TrialConfig(**config.model_dump()) == config
    assert TrialConfig(**config.model_dump(exclude_none=True)) == config
