"""The optimizers, with the learning rate written into them at each step."""

import torch
from torch import nn

from study.config import TrialConfig


def build_optimizer(config: TrialConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The config's optimizer over all parameters; weight decay is an L2 term, but decoupled for adamw.

    `fused` is one pass over each tensor, element by element: deterministic, and the fastest on a CPU.
    """
    parameters = model.parameters()
    if config.optimizer in ("sgd", "nesterov"):
        return torch.optim.SGD(
            parameters,
            lr=config.learning_rate,
            momentum=config.momentum or 0.0,
            weight_decay=config.weight_decay,
            nesterov=config.optimizer == "nesterov",
            fused=True,
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    betas = (config.beta1 or 0.0, config.beta2 or 0.0)
    return kind(parameters, lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """The rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
