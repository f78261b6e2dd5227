"""Tests of the networks: their sizes, the images they take, and the effect of dropout."""

import pytest
import torch

from study.config import ConfigError, TrialConfig
from study.models import build_model, parameter_count

MODELS = ["custom_cnn", "alexnet", "vgg"]


@pytest.mark.parametrize(
    ("model", "mnist", "cifar"),
    [("custom_cnn", 98_810, 156_954), ("alexnet", 4_557_514, 4_560_714), ("vgg", 9_749_770, 9_750_922)],
)
def test_parameter_counts(model: str, mnist: int, cifar: int) -> None:
    config = TrialConfig(model=model)  # type: ignore[arg-type]
    assert parameter_count(build_model(config, (1, 28, 28), 10)) == mnist
    assert parameter_count(build_model(config, (3, 32, 32), 10)) == cifar


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("size", "channels", "classes"), [(28, 1, 10), (30, 1, 2), (32, 3, 100)])
def test_images_of_28_to_32_pixels_give_one_logit_for_each_class(
    model: str, size: int, channels: int, classes: int
) -> None:
    network = build_model(TrialConfig(model=model), (channels, size, size), classes)  # type: ignore[arg-type]
    assert network(torch.zeros(2, channels, size, size)).shape == (2, classes)


def test_layers_are_those_of_the_papers() -> None:
    def count(model: str, kind: type[torch.nn.Module]) -> int:
        network = build_model(TrialConfig(model=model), (1, 28, 28), 10)  # type: ignore[arg-type]
        return sum(isinstance(module, kind) for module in network)  # type: ignore[arg-type]

    assert (count("alexnet", torch.nn.Conv2d), count("alexnet", torch.nn.Linear)) == (5, 3)
    assert (count("vgg", torch.nn.Conv2d), count("vgg", torch.nn.Linear)) == (8, 3)


@pytest.mark.parametrize("shape", [(1, 27, 27), (1, 33, 33), (2, 28, 28), (1, 28, 32)])
def test_other_images_are_refused_in_one_line(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="takes square images of 28 to 32 pixels with 1 or 3 channels, but got"):
        build_model(TrialConfig(), shape, 10)


@pytest.mark.parametrize("model", MODELS)
def test_dropout_acts_while_training_only(model: str) -> None:
    network = build_model(TrialConfig(model=model, dropout=True), (1, 28, 28), 10)  # type: ignore[arg-type]
    images = torch.rand(4, 1, 28, 28)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))
