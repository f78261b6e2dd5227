"""How weights start: Kaiming, Xavier or orthogonal, drawn from one generator."""

import torch
from torch import Tensor, nn


def initialize(model: nn.Module, init: str, generator: torch.Generator) -> None:
    """Draw every convolution and dense weight; biases start at 0, batch norms as the identity.

    Call it while the model is on the CPU (all devices then start from equal bits) and contiguous: torch's
    orthogonal_ fails on channels_last weights. Sources: He et al. 2015; Glorot and Bengio 2010; Saxe et al. 2014.
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
