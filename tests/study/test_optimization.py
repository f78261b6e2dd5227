"""Tests of the optimizers: they take the steps of torch's own, in a process that never imports its compiler."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from study.config import TrialConfig
from study.optimization import build_optimizer

OWN = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=0.01, fused=True),
    "nesterov": lambda parameters: torch.optim.SGD(
        parameters, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True, fused=True
    ),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.05, weight_decay=0.01, fused=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.01, fused=True),
}
TRAINING = """
import sys
from pathlib import Path
from dataclasses import replace
from study import TrialConfig
from study.data import Split, load
from study.reproducibility import prepare_process
from study.training import Training

prepare_process(1)
full = load("mnist_sample")
train, validation = (Split(split.images[:64], split.labels[:64]) for split in (full.train, full.validation))
config = TrialConfig(optimizer=sys.argv[1], batch_size=32, epochs=1)
training = Training(config, replace(full, train=train, validation=validation))
assert len(list(training.run())) == 1
training.save(Path(sys.argv[2]))
Training(config, replace(full, train=train, validation=validation), checkpoint=Path(sys.argv[2]))
print([name for name in sys.modules if name in ("torch._dynamo", "torch._inductor")])
"""


def trained(optimizer: torch.optim.Optimizer, layer: nn.Linear) -> list[torch.Tensor]:
    for step in range(3):
        optimizer.zero_grad()
        layer(torch.full((4, 8), 0.1 * (step + 1))).square().sum().backward()
        optimizer.step()
    return [layer.weight.detach(), layer.bias.detach()]


@pytest.mark.parametrize("name", OWN)
def test_a_step_is_that_of_torchs_own_optimizer(name: str) -> None:
    layers = []
    for _ in range(2):
        torch.manual_seed(0)
        layers.append(nn.Linear(8, 3))
    config = TrialConfig(optimizer=name, learning_rate=0.05, weight_decay=0.01)
    ours, own = build_optimizer(config, layers[0]), OWN[name](layers[1].parameters())

    for mine, theirs in zip(trained(ours, layers[0]), trained(own, layers[1]), strict=True):
        assert torch.equal(mine, theirs)
    assert isinstance(ours, type(own))
    again = OWN[name](nn.Linear(8, 3).parameters())
    again.load_state_dict(ours.state_dict())  # its state has the same layout as that of torch's own
    assert [group["lr"] for group in again.param_groups] == [0.05]


@pytest.mark.parametrize("name", ["nesterov", "adam"])
def test_a_training_imports_no_compiler(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, name, f"{tmp_path}/checkpoint"], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
