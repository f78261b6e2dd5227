"""Tests of training: a function of its config, to the bit, in any process and however often it is stopped."""

import multiprocessing
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_data import small_digits

from study.config import ConfigError, TrialConfig
from study.data import Dataset, Split
from study.measurement import Measurement
from study.training import CheckpointError, Plan, Training, train

DATA = small_digits()
EVERYTHING: dict[str, Any] = {"dropout": True, "rotation": True, "color_jitter": True, "perspective": True}
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 30, "learning_rate": 0.01, "threads": 1}


def outcome(config: TrialConfig, data: Dataset = DATA, **options: Any) -> list[dict[str, Any]]:
    """Return all that a run reports, except its times."""
    return [comparable(measurement) for measurement in train(config, data, **options)]


def comparable(measurement: Measurement) -> dict[str, Any]:
    return asdict(replace(measurement, seconds=0.0))


def outcomes_in_one_process(configs: list[TrialConfig]) -> list[list[dict[str, Any]]]:
    return [outcome(config) for config in configs]


# A knob that affects bits → a configuration in which it is active, and another value for it.
KNOBS: dict[str, tuple[dict[str, Any], Any]] = {
    "model": ({}, "alexnet"),
    "seed": ({}, 1),
    "optimizer": ({"momentum": 0.9, "optimizer": "sgd"}, "nesterov"),
    "learning_rate": ({}, 0.011),
    "weight_decay": ({}, 6e-4),
    "momentum": ({"optimizer": "sgd"}, 0.8),
    "beta1": ({"optimizer": "adam"}, 0.8),
    "beta2": ({"optimizer": "adamw"}, 0.99),
    "batch_size": ({}, 40),
    "label_smoothing": ({}, 0.1),
    "schedule": ({"schedule": "cosine"}, "one_cycle"),
    "warmup_epochs": ({"schedule": "constant_warmup"}, 1.5),
    "step_epochs": ({"schedule": "step", "step_epochs": 2}, 1),
    "step_gamma": ({"schedule": "step", "step_epochs": 1}, 0.5),
    "init": ({}, "xavier"),
    "dropout": ({}, True),
    "dropout_rate": ({"dropout": True}, 0.4),
    "rotation": ({}, True),
    "rotation_degrees": ({"rotation": True}, 12.0),
    "color_jitter": ({}, True),
    "color_jitter_strength": ({"color_jitter": True}, 0.3),
    "perspective": ({}, True),
    "perspective_distortion": ({"perspective": True}, 0.3),
    "epochs": ({}, 3),
    "precision": ({"precision": "float32"}, "bfloat16"),
}
ELSEWHERE = {"dataset", "seconds"}  # tested below, with their own data and clocks
WITHOUT_EFFECT = {
    "reports_per_epoch",
    "first_report",
    "device",
    "threads",
}  # how a run is made; the last two are recorded with it


def test_every_knob_is_in_one_of_these_tests() -> None:
    assert set(KNOBS) | ELSEWHERE | WITHOUT_EFFECT == set(TrialConfig.model_fields)


@pytest.mark.parametrize("knob", KNOBS)
def test_one_knob_changed_alone_changes_the_digest(knob: str) -> None:
    active, other = KNOBS[knob]
    base = TrialConfig(**{**SHORT, **active})
    # An optimizer or schedule may bring its own defaults, but nothing else may differ.
    changed = TrialConfig(**{**SHORT, **active, knob: other})
    differing = {name for name in TrialConfig.model_fields if getattr(base, name) != getattr(changed, name)}
    assert knob in differing
    assert all(name == knob or name.startswith((knob, "momentum")) for name in differing)
    digests = [outcome(config)[-1]["digest"] for config in (base, base, changed)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("init", ["kaiming", "xavier", "orthogonal"])
@pytest.mark.parametrize("other", ["kaiming", "xavier", "orthogonal"])
def test_each_initialization_is_a_run_of_its_own(init: str, other: str) -> None:
    first, second = (Training(TrialConfig(**SHORT, init=name), DATA).digest() for name in (init, other))
    assert (first == second) == (init == other)


@pytest.mark.parametrize("knob", ["optimizer", "schedule"])
def test_no_two_optimizers_or_schedules_train_alike(knob: str) -> None:
    choices = {"optimizer": ["sgd", "nesterov", "adam", "adamw"]}.get(
        knob, ["constant_warmup", "step", "cosine", "one_cycle"]
    )
    digests = {outcome(TrialConfig(**{**SHORT, knob: choice}))[-1]["digest"] for choice in choices}
    assert len(digests) == 4


def test_the_data_decide_the_digest() -> None:
    config = TrialConfig(**SHORT)
    images = DATA.train.images.copy()
    images[7, 0, 14, 14] ^= 1
    other = Dataset("mnist_sample", Split(images, DATA.train.labels), DATA.validation, 10)
    assert outcome(config)[-1]["digest"] != outcome(config, other)[-1]["digest"]


def test_reports_within_an_epoch_change_no_weights() -> None:
    often, seldom = (outcome(TrialConfig(**SHORT, reports_per_epoch=n, **EVERYTHING)) for n in (4, 1))
    assert [row["step"] for row in often] == list(range(1, 9))
    assert [row["digest"] for row in often if row["step"] in (4, 8)] == [row["digest"] for row in seldom]


def test_a_used_process_and_a_fresh_one_give_equal_bits() -> None:
    config = TrialConfig(**SHORT, **EVERYTHING, optimizer="adam", precision="bfloat16")
    others = [
        TrialConfig(**{**SHORT, "epochs": 1, "threads": 2}, init="orthogonal"),
        TrialConfig(**{**SHORT, "epochs": 1}, model="alexnet", dropout=True, seed=9, precision="float32"),
    ]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as used, ProcessPoolExecutor(1, mp_context=spawn) as fresh:
        after_others = used.submit(outcomes_in_one_process, [*others, config])
        alone = fresh.submit(outcomes_in_one_process, [config])
        assert after_others.result()[-1] == alone.result()[-1] == outcome(config)


def test_a_run_ends_as_planned_and_fidelity_counts_epochs() -> None:
    rows = outcome(TrialConfig(epochs=3, batch_size=50))  # 120 images: steps of 50, 50 and 20
    assert [(row["report"], row["step"], row["fidelity"]) for row in rows] == [(1, 3, 1.0), (2, 6, 2.0), (3, 9, 3.0)]


def test_the_objective_is_smoothed_and_the_validation_loss_is_not() -> None:
    plain, smoothed = (
        outcome(TrialConfig(**{**SHORT, "epochs": 1, "learning_rate": 1e-12}, label_smoothing=share))[-1]["values"]
        for share in (0.0, 0.5)
    )
    assert plain["train_loss"] != pytest.approx(smoothed["train_loss"], rel=1e-3)
    assert plain["validation_loss"] == pytest.approx(smoothed["validation_loss"], rel=1e-3)


def test_digits_are_learnt() -> None:
    config = TrialConfig(epochs=4, batch_size=50, optimizer="adam", learning_rate=1e-3)
    assert outcome(config, small_digits(1000, 500))[-1]["values"]["validation_accuracy"] > 0.85


def test_a_diverged_loss_is_reported_as_it_is() -> None:
    rows = outcome(TrialConfig(**{**SHORT, "learning_rate": 1e30}, optimizer="sgd", momentum=0.0))
    assert not all(np.isfinite(row["values"]["train_loss"]) for row in rows)
    assert len(rows) == 2


# --- stopped and continued ------------------------------------------------------------------------------------------


@st.composite
def configs(draw: st.DrawFn, models: tuple[str, ...] = ("custom_cnn",)) -> TrialConfig:
    knobs: dict[str, Any] = {flag: draw(st.booleans()) for flag in EVERYTHING}
    choices = {
        "model": models,
        "optimizer": ("sgd", "nesterov", "adam", "adamw"),
        "schedule": ("constant_warmup", "step", "cosine", "one_cycle"),
        "init": ("kaiming", "xavier", "orthogonal"),
        "precision": ("float32", "bfloat16"),
        "batch_size": (32, 50),
        "reports_per_epoch": (1, 2),
        "first_report": (None, 0.5),
    }
    knobs |= {knob: draw(st.sampled_from(values)) for knob, values in choices.items()}
    return TrialConfig(**knobs, epochs=2, learning_rate=0.01, seed=draw(st.integers(0, 5)))


def assert_continues_exactly(config: TrialConfig, cuts: set[int]) -> None:
    """Stop at each cut, continue from the file in a new Training, and compare with a run that never stopped."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        training, rows = Training(config, DATA), []
        for cut in [*sorted(cuts), None]:
            rows += [comparable(m) for m in training.run(lambda cut=cut, it=training: it.step == cut)]  # type: ignore[misc]
            training.save(path)
            training = Training(config, DATA, checkpoint=path)
    assert rows == outcome(config)


@given(config=configs(), cuts=st.sets(st.integers(0, 8), max_size=3))
def test_stopped_at_any_step_and_continued_gives_equal_bits(config: TrialConfig, cuts: set[int]) -> None:
    assert_continues_exactly(config, cuts)


def combinations() -> Iterator[Any]:
    """Yield all combinations; those of the large models, which take seconds each, are slow except for one per model."""
    schedules = ("constant_warmup", "step", "cosine", "one_cycle")
    for model, *rest in product(("custom_cnn", "alexnet", "vgg"), ("sgd", "nesterov", "adam", "adamw"), schedules):
        is_slow = model != "custom_cnn" and rest != ["nesterov", "cosine"]
        yield pytest.param(model, *rest, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize(("model", "optimizer", "schedule"), combinations())
def test_every_model_optimizer_and_schedule_continues_exactly(model: str, optimizer: str, schedule: str) -> None:
    knobs = {"model": model, "optimizer": optimizer, "schedule": schedule, **EVERYTHING}
    config = TrialConfig(**knobs, epochs=2, batch_size=50, learning_rate=0.01)
    # A cut within each epoch, at different steps in different cases.
    place = len(optimizer) + len(schedule)
    assert_continues_exactly(config, {1 + place % 2, 4 + place % 2})


def test_a_run_that_is_finished_early_replays_to_where_it_ended() -> None:
    config = TrialConfig(**SHORT)
    training = Training(config, DATA)
    rows = [comparable(m) for m in training.run(lambda: training.step == 6)]
    last = training.finish()
    assert last is not None
    assert training.is_done
    assert list(training.run()) == []
    assert training.finish() is None
    assert [*rows, comparable(last)] == outcome(config, plan=training.plan)
    assert last.step == 6


def test_a_run_that_made_no_step_has_nothing_to_finish() -> None:
    assert Training(TrialConfig(**SHORT), DATA).finish() is None


def test_an_interrupted_run_says_so_and_goes_on_where_it_was() -> None:
    config = TrialConfig(**SHORT)
    training = Training(config, DATA)
    assert [m.step for m in training.run(lambda: training.step == 5)] == [4]
    assert training.interrupted
    assert [comparable(m) for m in training.run()] == outcome(config)[1:]
    assert not training.interrupted


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    training = Training(TrialConfig(**SHORT), DATA)
    next(training.run())
    training.save(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.mark.parametrize(("knob", "value"), [("seed", 1), ("learning_rate", 0.02), ("epochs", 3), ("threads", 2)])
def test_a_checkpoint_of_another_run_is_refused_by_the_knob_that_differs(
    checkpoint: Path, knob: str, value: Any
) -> None:
    with pytest.raises(CheckpointError, match=rf"belongs to another run: {knob} is .* there and {value} here"):
        Training(TrialConfig(**{**SHORT, knob: value}), DATA, checkpoint=checkpoint)


def test_a_checkpoint_of_other_data_is_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="belongs to another run: fingerprint of the data is"):
        Training(TrialConfig(**SHORT), small_digits(130), checkpoint=checkpoint)


def test_a_checkpoint_with_one_changed_weight_is_refused(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["model"]["0.weight"][0, 0, 0, 0] += 1e-6
    torch.save(content, checkpoint)
    with pytest.raises(CheckpointError, match="its weights don't match its digest"):
        Training(TrialConfig(**SHORT), DATA, checkpoint=checkpoint)


def test_a_checkpoint_that_is_cut_short_or_gone_is_refused(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=rf"{re.escape(str(checkpoint))} can't be read: it is cut short"):
        Training(TrialConfig(**SHORT), DATA, checkpoint=checkpoint)
    checkpoint.unlink()
    with pytest.raises(CheckpointError, match="there is no such file"):
        Training(TrialConfig(**SHORT), DATA, checkpoint=checkpoint)


# --- fixed wall-clock -----------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """A clock on which each reading takes an eighth of a second, since sums of eighths are exact."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 0.125
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    fake = Clock()
    monkeypatch.setattr("study.training.perf_counter", fake)
    return fake


WALL_CLOCK = TrialConfig(seconds=0.875, batch_size=30, learning_rate=0.01, **EVERYTHING)


def test_a_wall_clock_run_ends_within_an_epoch_when_its_time_is_over(clock: Clock) -> None:
    training = Training(WALL_CLOCK, DATA)
    last = list(training.run())[-1]
    # A step takes one tick of the clock, and so does the report after step 4, which the horizon did not foresee.
    assert training.plan.horizon_steps == 7
    assert training.plan.stop_steps == last.step == 6
    assert last.fidelity == 180 / 120


def test_validation_is_not_on_the_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = list(Training(WALL_CLOCK, DATA).run())
    original = Training._evaluate

    def slow(self: Training, *split: torch.Tensor) -> dict[str, float]:
        clock.now += 1000.0
        return original(self, *split)

    monkeypatch.setattr(Training, "_evaluate", slow)
    assert [m.step for m in Training(WALL_CLOCK, DATA).run()] == [m.step for m in quick]


def test_the_warm_up_that_is_timed_leaves_no_trace_in_the_run(clock: Clock) -> None:
    timed = Training(WALL_CLOCK, DATA)
    told = Training(WALL_CLOCK, DATA, plan=Plan(timed.plan.horizon_steps))
    assert timed.digest() == told.digest()
    assert [comparable(m) for m in timed.run()] == [comparable(m) for m in told.run()]


def test_a_wall_clock_run_replays_by_its_recorded_steps_without_a_clock(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(WALL_CLOCK, DATA)
    recorded = [comparable(m) for m in training.run()]
    monkeypatch.undo()
    assert outcome(WALL_CLOCK, plan=training.plan) == recorded
    # Another horizon is another schedule, and therefore another run.
    assert outcome(WALL_CLOCK, plan=replace(training.plan, horizon_steps=20))[-1]["digest"] != recorded[-1]["digest"]


def test_seconds_that_hold_no_step_are_refused(clock: Clock) -> None:
    too_short = TrialConfig(**{**WALL_CLOCK.model_dump(), "seconds": 0.1})
    with pytest.raises(
        ConfigError, match=r"seconds=0\.1 is shorter than one step of training, which takes 0\.12 s here"
    ):
        Training(too_short, DATA)


def test_more_seconds_are_more_steps(clock: Clock) -> None:
    longer = outcome(TrialConfig(**{**WALL_CLOCK.model_dump(), "seconds": 1.75}))
    assert longer[-1]["step"] > outcome(WALL_CLOCK)[-1]["step"]


def test_a_wall_clock_run_goes_on_from_its_checkpoint_with_horizon_and_time(clock: Clock, tmp_path: Path) -> None:
    whole = Training(WALL_CLOCK, DATA)
    expected = [comparable(m) for m in whole.run()]
    part = Training(WALL_CLOCK, DATA, plan=Plan(whole.plan.horizon_steps))
    rows = [comparable(m) for m in part.run(lambda: part.step == 3)]
    part.save(tmp_path / "checkpoint")
    rest = Training(WALL_CLOCK, DATA, checkpoint=tmp_path / "checkpoint")
    rows += [comparable(m) for m in rest.run()]
    assert rest.plan == whole.plan
    assert rows == expected


def test_a_plan_with_another_horizon_than_the_checkpoint_is_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="schedule ends at step 8, but the plan given says 9"):
        Training(TrialConfig(**SHORT), DATA, plan=Plan(9), checkpoint=checkpoint)


@pytest.mark.parametrize("steps", [(0, None), (5, 0)])
def test_a_plan_without_steps_is_refused(steps: tuple[int, int | None]) -> None:
    with pytest.raises(ValueError, match="a plan's steps must be at least 1"):
        Plan(*steps)
