"""Statistics of signals and gradients in a model before its first step, layer by layer, on one batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.batches import Batches
from study.config import TrialConfig
from study.models import parameter_count
from study.seeds import derive_seed
from study.training import Training

if TYPE_CHECKING:
    from study.data import Dataset


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of one convolution or dense layer at initialization.

    Attributes:
        name: Kind and number, such as "conv 2".
        kind: "conv" or "dense".
        shape: Shape of the layer's output for one image.
        parameters: Number of parameters of the layer itself.
        activation_mean: Mean over all units and images, before batch norm and ReLU.
        activation_std: Standard deviation over all units and images, before batch norm and ReLU.
        gradient_std: Standard deviation of the derivative of the batch's mean loss (nats) by the layer's weights.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    activation_mean: float
    activation_std: float
    gradient_std: float


def layer_statistics(config: TrialConfig, data: "Dataset") -> tuple[LayerStatistics, ...]:
    """Compute the statistics of the config's untrained model on its first batch, in order of the forward pass.

    The passes run in float32, whatever the precision of training. Ideally the spread neither grows nor shrinks from
    layer to layer: this is the aim of Glorot and Bengio 2010 and He et al. 2015.

    Raises:
        ConfigError: As in `Training`.
    """
    model = Training(config, data).model
    images, labels = Batches(config, data, next(model.parameters()).device).at(0)
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    outputs: list[tuple[tuple[int, ...], float, float]] = []
    hooks = [layer.register_forward_hook(_noting(outputs)) for layer in layers]
    if config.dropout:
        torch.manual_seed(derive_seed(config.seed, "dropout", 0))  # as in the first step of training
    loss = functional.cross_entropy(model.train()(images), labels, label_smoothing=config.label_smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    return tuple(
        LayerStatistics(name, name.split()[0], shape, parameter_count(layer), mean, std, _spread(layer.weight.grad))
        for name, layer, (shape, mean, std) in zip(_names(layers), layers, outputs, strict=True)
    )


def _noting(outputs: list[tuple[tuple[int, ...], float, float]]) -> Callable[[nn.Module, object, Tensor], None]:
    """Return a hook that appends the statistics at once, since the next ReLU overwrites the output in place."""

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs.append((tuple(output.shape[1:]), output.mean().item(), output.std().item()))

    return note


def _spread(gradient: Tensor | None) -> float:
    assert gradient is not None
    return gradient.std().item()


def _names(layers: list[nn.Conv2d | nn.Linear]) -> list[str]:
    """Return the kind and number of each layer, counted within its kind."""
    kinds = ["conv" if isinstance(layer, nn.Conv2d) else "dense" for layer in layers]
    return [f"{kind} {kinds[: place + 1].count(kind)}" for place, kind in enumerate(kinds)]
