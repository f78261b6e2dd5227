"""An engineer's training code, written without regard to reproducibility, which a sweep makes reproducible."""

import io
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def digits(rows: int = 256) -> TensorDataset:
    """Return a fixed problem of two classes in 20 dimensions."""
    draw = torch.Generator().manual_seed(7)
    inputs = torch.randn(rows, 20, generator=draw)
    return TensorDataset(inputs, (inputs[:, :5].sum(1) > 0).long())


def mlp(params, seed, checkpoint):
    """Train a small network with dropout, shuffled batches and noise from all global generators; save each epoch."""
    model = nn.Sequential(nn.Linear(20, 129), nn.ReLU(), nn.Dropout(0.3), nn.Linear(129, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=params["lr"])
    loader = DataLoader(digits(), batch_size=32, shuffle=True)
    start = 0
    if checkpoint:
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        start = checkpoint["epoch"]
    for epoch in range(start, 6):
        loss = trained(model, optimizer, loader)
        kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}
        yield {"loss": loss, "checkpoint": kept}


def trained(model, optimizer, loader):
    """Train for one epoch, and return the mean loss."""
    total = 0.0
    for inputs, labels in loader:
        noisy = inputs + 0.01 * float(np.random.randn()) + 0.01 * random.gauss(0, 1)
        loss = nn.functional.cross_entropy(model(noisy), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


def mlp_in_bytes(params, seed, checkpoint):
    """Train a small network after setting the seed, with checkpoints in the format that torch writes to files."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(20, 33), nn.ReLU(), nn.Dropout(0.3), nn.Linear(33, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=params["lr"], momentum=0.9)
    loader = DataLoader(digits(), batch_size=64, shuffle=True)
    state = torch.load(io.BytesIO(checkpoint)) if checkpoint else {"epoch": 0}
    if checkpoint:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    for epoch in range(state["epoch"], 6):
        loss = trained(model, optimizer, loader)
        file = io.BytesIO()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}, file)
        yield {"loss": loss, "checkpoint": file.getvalue()}


def mlp_read_early(params, seed, checkpoint):
    """Train a small network after setting the seed, with a checkpoint that is unpacked before the model is made."""
    state, momenta, start = checkpoint or (None, None, 0)
    torch.manual_seed(seed)
    model, copy = (nn.Sequential(nn.Linear(20, 9), nn.Dropout(0.3), nn.Linear(9, 2)) for _ in range(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=params["lr"], momentum=0.9)
    loader = DataLoader(digits(), batch_size=64, shuffle=True)
    if state:
        model.load_state_dict(state)
        optimizer.load_state_dict(momenta)
    for epoch in range(start, 6):
        loss = trained(model, optimizer, loader)
        copy.load_state_dict(model.state_dict())  # in the middle of training, so no generator is set back
        loss += trained(model, optimizer, loader)
        yield {"loss": loss, "checkpoint": (model.state_dict(), optimizer.state_dict(), epoch + 1)}
