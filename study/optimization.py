"""The optimizers, whose learning rate is set at each step."""

import inspect
from functools import cache
from typing import Any

import torch
from torch import nn

from study.config import TrialConfig


def build_optimizer(config: TrialConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build the config's optimizer over all parameters of the model.

    Weight decay is an L2 term, but decoupled for adamw. The optimizer is `fused`: one pass over each tensor, element by
    element, which is deterministic and the fastest on a CPU.
    """
    common = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "fused": True}
    kind: type[torch.optim.Optimizer]
    own: dict[str, Any]
    if config.optimizer in ("sgd", "nesterov"):
        kind, own = torch.optim.SGD, {"momentum": config.momentum or 0.0, "nesterov": config.optimizer == "nesterov"}
    else:
        kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
        own = {"betas": (config.beta1 or 0.0, config.beta2 or 0.0)}
    optimizer: torch.optim.Optimizer = _plain(kind)(model.parameters(), **common, **own)
    return optimizer


@cache
def _plain(kind: type[torch.optim.Optimizer]) -> Any:
    """Return the optimizer class without the wrappers that disable torch's compiler for it and import the compiler."""
    # Importing the compiler would cost a second and 80 MiB in every process, and no process compiles anything.
    names = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    plain["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), plain)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
