"""One training of the small CNN as tutorials write it: torchvision's transforms in a DataLoader, and a plain loop."""

from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms

from study import TrialConfig
from study.data import Split, load
from study.models import build_model


class Digits(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Digits in the form of torchvision's MNIST: a PIL image passed through a transform, and a label."""

    def __init__(self, split: Split, transform: Any) -> None:
        self.images, self.labels, self.transform = torch.tensor(split.images[:, 0]), split.labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.images[index].numpy(), mode="L")
        return self.transform(image), int(self.labels[index])


def transforms_of(config: TrialConfig) -> tuple[Any, Any]:
    """Return the transforms for training and for validation."""
    end = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    start: list[Any] = []
    if config.rotation_degrees:
        start.append(transforms.RandomRotation(config.rotation_degrees))
    if config.perspective_distortion:
        start.append(transforms.RandomPerspective(config.perspective_distortion, p=1.0))
    if strength := config.color_jitter_strength:
        start.append(transforms.ColorJitter(brightness=strength, contrast=strength))
    return transforms.Compose(start + end), transforms.Compose(end)


def optimizer_of(config: TrialConfig, model: nn.Module) -> torch.optim.Optimizer:
    if config.optimizer in ("sgd", "nesterov"):
        return torch.optim.SGD(
            model.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum or 0.0,
            weight_decay=config.weight_decay,
            nesterov=config.optimizer == "nesterov",
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    betas = (config.beta1 or 0.0, config.beta2 or 0.0)
    return kind(model.parameters(), lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay)


def scheduler_of(config: TrialConfig, optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """Return the scheduler of a whole run, which is stepped after each batch; `steps` is the number in an epoch."""
    schedulers, total = torch.optim.lr_scheduler, steps * (config.epochs or 1)
    if config.schedule == "one_cycle":
        return schedulers.OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=total)
    if config.schedule == "cosine":
        return schedulers.CosineAnnealingLR(optimizer, T_max=total)
    if config.schedule == "step":
        return schedulers.StepLR(optimizer, (config.step_epochs or 1) * steps, gamma=config.step_gamma or 1.0)
    return schedulers.LinearLR(optimizer, 0.01, total_iters=max(1, round((config.warmup_epochs or 0.0) * steps)))


def initialized(config: TrialConfig) -> nn.Module:
    model = build_model(config, (1, 28, 28), 10)
    draw = {"kaiming": nn.init.kaiming_normal_, "xavier": nn.init.xavier_normal_, "orthogonal": nn.init.orthogonal_}
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            draw[config.init](module.weight)
    return model


def train(params: dict[str, Any]) -> Iterator[float]:
    """Train with `params`, the knobs of a TrialConfig, and yield the validation accuracy after each epoch."""
    config = TrialConfig(**params)
    torch.manual_seed(config.seed)
    data, (augmented, plain) = load("mnist_sample"), transforms_of(config)
    training = DataLoader(Digits(data.train, augmented), batch_size=config.batch_size, shuffle=True)
    validation = DataLoader(Digits(data.validation, plain), batch_size=512)
    model = initialized(config)
    optimizer = optimizer_of(config, model)
    scheduler = scheduler_of(config, optimizer, len(training))
    criterion = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    for _ in range(config.epochs or 1):
        model.train()
        for images, labels in training:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
            scheduler.step()
        model.eval()
        right = 0
        with torch.no_grad():
            for images, labels in validation:
                right += int((model(images).argmax(1) == labels).sum())
        yield right / len(data.validation)
