"""Tests of augmentation: geometry and colour do what they say, drawn separately for each image."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from study.augmentation import augment, is_on, jitter, perspective_maps, resample, rotation_maps
from study.config import TrialConfig

CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
ALL = TrialConfig(rotation=True, color_jitter=True, perspective=True)


def some_images(n: int = 3, channels: int = 1, size: int = 28) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0))


def augmented(images: torch.Tensor, config: TrialConfig, seed: int = 0) -> torch.Tensor:
    return augment(images, config, torch.Generator().manual_seed(seed))


def test_a_quarter_turn_is_rot90() -> None:
    images = some_images(3)
    angles = torch.tensor([0.0, math.pi / 2, math.pi])
    turned = resample(images, rotation_maps(angles))
    for image, result, quarters in zip(images, turned, (0, 1, 2), strict=True):
        assert torch.allclose(result, torch.rot90(image, quarters, (1, 2)), atol=1e-5)


@given(st.lists(st.floats(-0.49, 0.49), min_size=8, max_size=8))
def test_perspective_moves_the_four_corners_where_it_says(numbers: list[float]) -> None:
    shifts = torch.tensor(numbers).view(1, 4, 2)
    mapped = torch.cat([CORNERS, torch.ones(4, 1)], dim=1) @ perspective_maps(shifts)[0].T
    assert torch.allclose(mapped[:, :2] / mapped[:, 2:], CORNERS + shifts[0], atol=1e-4)


def test_perspective_without_a_shift_changes_nothing() -> None:
    images = some_images()
    assert torch.allclose(resample(images, perspective_maps(torch.zeros(3, 4, 2))), images, atol=1e-5)


def test_what_moves_in_from_outside_is_black() -> None:
    turned = resample(torch.ones(1, 1, 28, 28), rotation_maps(torch.tensor([math.pi / 4])))
    assert turned[0, 0, 0, 0] == 0
    assert turned[0, 0, 14, 14] == pytest.approx(1.0)


def test_jitter_on_one_channel_is_brightness_and_contrast() -> None:
    images = torch.tensor([0.2, 0.6]).view(1, 1, 1, 2)
    brighter = jitter(images, torch.tensor([[1.5], [1.0], [9.0]]))
    assert torch.allclose(brighter.flatten(), torch.tensor([0.3, 0.9]))
    flatter = jitter(images, torch.tensor([[1.0], [0.5], [9.0]]))
    assert torch.allclose(flatter.flatten(), torch.tensor([0.3, 0.5]))


def test_jitter_on_three_channels_also_changes_saturation() -> None:
    images = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    gray = jitter(images, torch.tensor([[1.0], [1.0], [0.0]]))
    assert torch.allclose(gray.flatten(), torch.full((3,), 0.299))


@pytest.mark.parametrize("kind", ["rotation", "color_jitter", "perspective"])
def test_each_image_has_its_own_strength(kind: str) -> None:
    one = some_images(1).expand(2, 1, 28, 28)
    first, second = augmented(one, TrialConfig(**{kind: True}))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("channels", [1, 3])
def test_augmented_images_stay_images_and_are_a_function_of_the_generator(channels: int) -> None:
    images = some_images(8, channels, 32)
    once, again, other = augmented(images, ALL), augmented(images, ALL), augmented(images, ALL, seed=1)
    assert once.shape == images.shape
    assert 0 <= once.min() <= once.max() <= 1
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_without_augmentation_images_are_left_alone() -> None:
    assert not is_on(TrialConfig())
    images = some_images()
    assert augmented(images, TrialConfig()) is images


def test_a_larger_strength_changes_images_more() -> None:
    images = some_images(64)
    for kind, knob, strengths in (
        ("rotation", "rotation_degrees", (2.0, 25.0)),
        ("color_jitter", "color_jitter_strength", (0.05, 0.5)),
        ("perspective", "perspective_distortion", (0.05, 0.5)),
    ):
        weak, strong = (
            (augmented(images, TrialConfig(**{kind: True, knob: strength})) - images).abs().mean()
            for strength in strengths
        )
        assert weak < strong


class Copies(TorchDispatchMode):
    """A counter of the numbers that go from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._to_copy.default and (kwargs or {}).get("device") is not None:
            self.numbers.append(args[0].numel())
        return func(*args, **(kwargs or {}))


def test_only_a_few_numbers_of_each_image_go_to_the_device() -> None:
    """Check this on the meta device, which needs no GPU: a grid of all pixels would be 784 times as many numbers."""
    images = torch.zeros(16, 1, 28, 28, device="meta")
    with Copies() as copies:
        augment(images, ALL, torch.Generator().manual_seed(0))

    assert sorted(copies.numbers) == [3 * 16, 9 * 16]
