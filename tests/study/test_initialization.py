"""Tests of initialization: the spreads are those of the papers, and one generator decides everything."""

import math

import pytest
import torch
from torch import nn

from study.initialization import initialize


def drawn(init: str, seed: int = 1) -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.Linear(512, 256))
    initialize(model, init, torch.Generator().manual_seed(seed))
    return model


@pytest.mark.parametrize(
    ("init", "convolution", "dense"),
    [
        ("kaiming", math.sqrt(2 / (32 * 9)), math.sqrt(2 / 512)),
        ("xavier", math.sqrt(2 / ((32 + 64) * 9)), math.sqrt(2 / (512 + 256))),
    ],
)
def test_weights_have_the_spread_of_the_paper(init: str, convolution: float, dense: float) -> None:
    model = drawn(init)
    assert model[0].weight.std().item() == pytest.approx(convolution, rel=0.03)
    assert model[2].weight.std().item() == pytest.approx(dense, rel=0.03)


def test_orthogonal_rows_are_orthogonal_and_scaled_for_relu() -> None:
    model = drawn("orthogonal")
    for weight in (model[0].weight.flatten(1), model[2].weight):
        assert torch.allclose(weight @ weight.T, 2 * torch.eye(len(weight)), atol=1e-4)


@pytest.mark.parametrize("init", ["kaiming", "xavier", "orthogonal"])
def test_biases_start_at_zero_and_batch_norm_as_the_identity(init: str) -> None:
    model = drawn(init)
    assert not model[0].bias.any()
    assert not model[2].bias.any()
    assert torch.equal(model[1].weight, torch.ones(64))


@pytest.mark.parametrize("init", ["kaiming", "xavier", "orthogonal"])
def test_weights_are_a_function_of_the_generator_alone(init: str) -> None:
    one = drawn(init)
    torch.rand(10)
    two, three = drawn(init), drawn(init, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one[0].weight, three[0].weight)
