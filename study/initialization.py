"""Initial weights: Kaiming, Xavier or orthogonal, drawn from one generator."""

import torch
from torch import Tensor, nn


def initialize(model: nn.Module, init: str, generator: torch.Generator) -> None:
    """Draw the weights of every convolution and dense layer.

    Biases start at 0, and batch norms as the identity. Sources: He et al. 2015; Glorot and Bengio 2010; Saxe et al.
    2014.

    Args:
        model: A model on the CPU, so all devices start from equal bits. Its weights must be contiguous, since torch's
            orthogonal_ fails on channels_last weights.
        init: "kaiming", "xavier" or "orthogonal".
        generator: A generator on the CPU.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            _draw(module.weight, init, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def _draw(weight: Tensor, init: str, generator: torch.Generator) -> None:
    gain = nn.init.calculate_gain("relu")
    if init == "kaiming":
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    elif init == "xavier":
        nn.init.xavier_normal_(weight, generator=generator)
    else:
        nn.init.orthogonal_(weight, gain=gain, generator=generator)
