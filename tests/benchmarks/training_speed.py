"""Benchmark of one trial's training speed against a DataLoader loop, a bare loop and the processor's peak.

    uv run python tests/benchmarks/training_speed.py --out training_speed

It measures images per second on one thread, for three models and three batch sizes. Arms take turns, and each round
has all sizes. The arms are:

- this project's training in float32 and in bfloat16 (fast only where the processor multiplies bfloat16),
- the loop that tutorials write (peers/digits.py),
- the shortest loop, which indexes images that were normalized before, in the same process and so with the same
  allocator: once as it is first written, and once with this project's memory format and optimizer.

The share of the peak compares the model's operations (forward and backward, as torch counts them) with the speed of a
product of two matrices. It may exceed 1 if a convolution needs fewer multiplications than are counted.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from machine import in_turn, provenance
from peers.digits import Digits, initialized, optimizer_of, transforms_of
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from study import TrialConfig
from study.data import Dataset, Split, load
from study.optimization import build_optimizer
from study.reproducibility import prepare_process
from study.training import Training

MODELS = ("custom_cnn", "alexnet", "vgg")
STEPS = {32: 10, 128: 10, 512: 5}  # of one measurement, by batch size; the small model trains a whole epoch instead
COMPARED = 128  # the batch size with whose speed the others are compared
EPOCH = 8000  # images
WARM = 3  # steps before the clock runs


def first(data: Dataset, images: int) -> Dataset:
    """Return the data set with only its first `images` training images, and 100 images for validation."""
    train, validation = (
        Split(split.images[:n], split.labels[:n]) for split, n in ((data.train, images), (data.validation, 100))
    )
    return replace(data, train=train, validation=validation)


def ours(config: TrialConfig, data: Dataset) -> float:
    """Return images per second, by the clock of the training's own report."""
    warm = Training(config.model_copy(update={"epochs": 1}), first(data, WARM * config.batch_size))
    list(warm.run())
    (measured,) = Training(config, data).run()
    return len(data.train) / measured.seconds


def loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[], Iterator[tuple[Tensor, Tensor]]],
    images: int,
) -> float:
    """Return images per second of a plain loop over batches."""
    criterion = nn.CrossEntropyLoss()

    def learn(part: Iterator[tuple[Tensor, Tensor]]) -> None:
        for inputs, labels in part:
            optimizer.zero_grad()
            criterion(model(inputs), labels).backward()
            optimizer.step()

    learn(batch for batch, _ in zip(batches(), range(WARM), strict=False))
    start = time.perf_counter()
    learn(batches())
    return images / (time.perf_counter() - start)


def data_loader(config: TrialConfig, data: Dataset) -> float:
    loader = DataLoader(Digits(data.train, transforms_of(config)[0]), batch_size=config.batch_size, shuffle=True)
    model = initialized(config)
    return loop(model, optimizer_of(config, model), lambda: iter(loader), len(data.train))


def bare(config: TrialConfig, data: Dataset, *, tuned: bool) -> float:
    model = initialized(config)
    optimizer = optimizer_of(config, model)
    if tuned:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = build_optimizer(config, model)
    images = ((torch.tensor(data.train.images) / 255) - data.mean[0]) / data.std[0]
    labels = torch.tensor(data.train.labels)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.randperm(len(labels)).split(config.batch_size):
            yield images[chosen], labels[chosen]

    return loop(model, optimizer, batches, len(labels))


def peak(precision: torch.dtype) -> float:
    """Return the operations per second of a product of two square matrices on one thread, at the fastest size."""
    return max(product(precision, size) for size in (1024, 2048, 4096))


def product(precision: torch.dtype, size: int) -> float:
    left, right = torch.randn(size, size, dtype=precision), torch.randn(size, size, dtype=precision)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def operations(config: TrialConfig) -> float:
    """Return the number of operations for one image, forward and backward."""
    model, images = initialized(config), torch.randn(config.batch_size, 1, 28, 28)
    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(model(images), torch.zeros(config.batch_size, dtype=torch.int64)).backward()
    return float(counter.get_total_flops()) / config.batch_size


def arms_of(config: TrialConfig, data: Dataset) -> dict[str, Callable[[], float]]:
    """Return the arms that are timed for one model and batch size."""
    half = config.model_copy(update={"precision": "bfloat16"})
    return {
        "ours, float32": partial(ours, config, data),
        "ours, bfloat16": partial(ours, half, data),
        "DataLoader loop": partial(data_loader, config, data),
        "bare loop": partial(bare, config, data, tuned=False),
        "bare loop, tuned": partial(bare, config, data, tuned=True),
    }


Speeds = dict[str, list[float]]  # images a second by arm, one for each round


def measured(model: str, data: Mapping[int, Dataset], rounds: int) -> list[dict[str, Any]]:
    """Time all arms, and return a row for each batch size.

    Args:
        model: The name of the model.
        data: A data set for each batch size. Every round times all of them.
        rounds: The number of rounds.
    """
    configs = {size: TrialConfig(model=model, batch_size=size, epochs=1, precision="float32") for size in data}
    arms = {size: arms_of(config, data[size]) for size, config in configs.items()}
    speeds: dict[int, Speeds] = {size: {name: [] for name in arms[size]} for size in data}
    peaks = []
    for turn in range(rounds):
        for size in data:
            for name in in_turn(arms[size], turn):
                speeds[size][name].append(arms[size][name]())
        peaks.append((peak(torch.float32), peak(torch.bfloat16)))
    single, double = (statistics.median(column) for column in zip(*peaks, strict=True))
    of = speeds[COMPARED]["ours, float32"]
    return [row(configs[size], speeds[size], of, single, double) for size in data]


def median_ratio(over: list[float], under: list[float]) -> float:
    """Return the median ratio of two series that were measured in the same rounds."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def row(config: TrialConfig, speeds: Speeds, of: list[float], single: float, double: float) -> dict[str, Any]:
    """Return median images per second, with their ratios to other arms and to the peak.

    Args:
        config: The model and batch size.
        speeds: The speeds of each arm.
        of: The speeds of our float32 arm with batch size `COMPARED`.
        single: Operations per second of the peak in float32.
        double: Operations per second of the peak in bfloat16.
    """
    each = operations(config)
    found = {name: statistics.median(values) for name, values in speeds.items()}

    def ratio(over: str, under: str) -> float:
        return median_ratio(speeds[over], speeds[under])

    return {
        "model": config.model,
        "batch": config.batch_size,
        **found,
        f"float32 to batch {COMPARED}": median_ratio(speeds["ours, float32"], of),
        "float32 to bare": ratio("ours, float32", "bare loop"),
        "float32 to tuned": ratio("ours, float32", "bare loop, tuned"),
        "float32 to DataLoader": ratio("ours, float32", "DataLoader loop"),
        "bfloat16 to DataLoader": ratio("ours, bfloat16", "DataLoader loop"),
        "float32 of peak": found["ours, float32"] * each / single,
        "bfloat16 of peak": found["ours, bfloat16"] * each / double,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    prepare_process(1)
    full, rows = load("mnist_sample"), list[dict[str, Any]]()
    for model in given.models:
        images = {size: EPOCH if model == "custom_cnn" else steps * size for size, steps in STEPS.items()}
        found = measured(model, {size: first(full, count) for size, count in images.items()}, given.rounds)
        rows += found
        table = pa.Table.from_pylist(rows).replace_schema_metadata(provenance() | {"rounds": str(given.rounds)})
        pq.write_table(table, given.out / "training_speed.parquet")
        for each in found:
            print(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{v}" for k, v in each.items()), flush=True)


if __name__ == "__main__":
    main()
