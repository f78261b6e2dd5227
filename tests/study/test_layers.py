"""Tests of layer statistics: they match a computation by hand, and the papers' claims about initial weights."""

import pytest
from small_data import small_digits as small
from torch.nn import functional

from study.batches import Batches
from study.config import TrialConfig
from study.layers import LayerStatistics, layer_statistics
from study.models import parameter_count
from study.training import Training

DATA = small()


def statistics(**knobs: object) -> tuple[LayerStatistics, ...]:
    return layer_statistics(TrialConfig(batch_size=64, **knobs), DATA)


def test_the_numbers_are_those_of_a_computation_by_hand() -> None:
    config = TrialConfig(model="vgg", batch_size=64)
    model = Training(config, DATA).model
    images, labels = Batches(config, DATA, next(model.parameters()).device).at(0)
    first = model[0](images)
    functional.cross_entropy(model(images), labels).backward()

    layer = layer_statistics(config, DATA)[0]
    assert layer.activation_mean == pytest.approx(first.mean().item(), abs=1e-6)
    assert layer.activation_std == pytest.approx(first.std().item(), rel=1e-5)
    assert layer.gradient_std == pytest.approx(model[0].weight.grad.std().item(), rel=1e-4)


def test_layers_come_in_order_with_their_kind_number_and_shape() -> None:
    layers = statistics()

    assert [layer.name for layer in layers] == ["conv 1", "conv 2", "conv 3", "dense 1", "dense 2"]
    assert [layer.kind for layer in layers] == ["conv", "conv", "conv", "dense", "dense"]
    assert [layer.shape for layer in layers] == [(16, 24, 24), (32, 10, 10), (64, 3, 3), (128,), (10,)]


def test_their_parameters_are_all_of_a_model_without_batch_norm() -> None:
    model = Training(TrialConfig(model="vgg", batch_size=64), DATA).model

    assert sum(layer.parameters for layer in statistics(model="vgg")) == parameter_count(model)


def test_kaiming_keeps_the_spread_where_xavier_loses_it() -> None:
    kaiming, xavier = statistics(model="vgg", init="kaiming"), statistics(model="vgg", init="xavier")

    assert kaiming[-1].activation_std > 0.5 * kaiming[0].activation_std
    assert xavier[-1].activation_std < 0.1 * xavier[0].activation_std


@pytest.mark.parametrize("knobs", [{}, {"dropout": True, "rotation": True}])
def test_the_same_config_gives_the_same_statistics(knobs: dict[str, object]) -> None:
    assert statistics(**knobs) == statistics(**knobs)
