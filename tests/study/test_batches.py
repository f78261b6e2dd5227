"""Tests of batches: they are functions of the step, with each image once per epoch."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_data import small_digits

from study.batches import Batches, on_device
from study.config import ConfigError, TrialConfig

DATA = small_digits(100, 10)
CPU = torch.device("cpu")


def images_of(batches: Batches, epoch: int) -> torch.Tensor:
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    return torch.cat([batches.at(step)[0] for step in steps]).flatten(1)


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    batches = Batches(TrialConfig(batch_size=32), DATA, CPU)
    first, second = images_of(batches, 0), images_of(batches, 1)
    assert len(first) == 100
    assert not torch.equal(first, second)
    assert torch.equal(first.sum(1).sort().values, second.sum(1).sort().values)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_a_batch_is_a_function_of_its_step_whatever_was_asked_before(steps: list[int]) -> None:
    config = TrialConfig(batch_size=32, rotation=True, color_jitter=True, perspective=True)
    used = Batches(config, DATA, CPU)
    for step in steps:
        images, labels = used.at(step)
        fresh_images, fresh_labels = Batches(config, DATA, CPU).at(step)
        assert torch.equal(images, fresh_images)
        assert torch.equal(labels, fresh_labels)


def test_images_are_standardized_with_the_training_set_and_labels_stay_theirs() -> None:
    batches = Batches(TrialConfig(batch_size=100), DATA, CPU)
    images, labels = batches.at(0)
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    back = {image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    for raw, label in zip(DATA.train.images, DATA.train.labels, strict=True):
        assert back[batches.normalized(torch.from_numpy(raw[None]))[0].numpy().tobytes()] == label


def test_a_device_gets_one_copy_of_the_data_whatever_is_trained_on_it() -> None:
    device = torch.device("meta")  # a device without memory, other than the CPU
    assert on_device(DATA.train, device)[0] is on_device(DATA.train, device)[0]
    assert on_device(DATA.train, device)[0] is not on_device(DATA.validation, device)[0]
    assert on_device(DATA.train, CPU)[0].data_ptr() == DATA.train.images.ctypes.data


@given(batch_size=st.integers(1, 100), data=st.data())
def test_reports_are_spread_over_an_epoch_and_the_last_is_at_its_end(batch_size: int, data: st.DataObject) -> None:
    steps = -(-100 // batch_size)
    reports = data.draw(st.integers(1, steps))
    batches = Batches(TrialConfig(batch_size=batch_size, reports_per_epoch=reports), DATA, CPU)
    due = [step for step in range(1, 3 * steps + 1) if batches.report_is_due(step)]
    assert len(due) == 3 * reports
    assert {steps, 2 * steps, 3 * steps} <= set(due)
    gaps = {b - a for a, b in itertools.pairwise(due)}
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


@given(batch_size=st.integers(1, 100))
def test_samples_after_whole_epochs_are_whole_training_sets(batch_size: int) -> None:
    batches = Batches(TrialConfig(batch_size=batch_size), DATA, CPU)
    assert batches.samples_after(3 * batches.steps_per_epoch) == 300


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"batch_size": 101}, "batch_size=101 is larger than the training set of 100 images .*at most 100"),
        ({"batch_size": 50, "reports_per_epoch": 3}, "reports_per_epoch=3 is more than the 2 steps .*at most 2"),
    ],
)
def test_a_config_that_does_not_fit_the_data_is_refused(knobs: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batches(TrialConfig(**knobs), DATA, CPU)
