"""Data sets as arrays in memory: the embedded digits, and full sets through torchvision; the test set apart."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

EMBEDDED = "mnist_sample"

# The class of torchvision.datasets and the images per class that are held back from its train split for validation.
_FULL = {
    "mnist": ("MNIST", 1000),
    "fashion_mnist": ("FashionMNIST", 1000),
    "kmnist": ("KMNIST", 1000),
    "cifar10": ("CIFAR10", 500),
}
NAMES = (EMBEDDED, *_FULL)


class DataError(RuntimeError):
    """A data set can't be had; one line that says why and what to do."""


@dataclass(frozen=True)
class Split:
    """images: (n, channels, height, width), uint8; labels: (n,), int64."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """What a search may see of a data set: train and validation. The test split comes from `load_test` alone."""

    name: str
    train: Split
    validation: Split
    classes: int

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shapes, types and bytes of both splits, hex."""
        digest = hashlib.sha256()
        for array in (self.train.images, self.train.labels, self.validation.images, self.validation.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @cached_property
    def mean(self) -> tuple[float, ...]:
        """Per channel, of the train split, in 0..1."""
        return tuple(float(m) / 255 for m in self._counts @ np.arange(256))

    @cached_property
    def std(self) -> tuple[float, ...]:
        """Per channel, of the train split, in units of 0..1."""
        squares = self._counts @ np.arange(256) ** 2
        return tuple(float(np.sqrt(max(s / 255**2 - m**2, 0.0))) for s, m in zip(squares, self.mean, strict=True))

    @cached_property
    def _counts(self) -> np.ndarray:
        """The share of each of 256 values in each channel: exact, without a float copy of the images."""
        channels = self.train.images.shape[1]
        counts = [np.bincount(self.train.images[:, c].ravel(), minlength=256) for c in range(channels)]
        return np.stack(counts) / self.train.images[:, 0].size


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """Train and validation of a data set; DataError if it can't be had. Never reads the test set.

    data_dir: where full sets lie as torchvision lays them out, or are downloaded to; a cache folder by default.
    """
    if name == EMBEDDED:
        return Dataset(name, _embedded("train"), _embedded("validation"), 10)
    images, labels, classes = _full(name, data_dir, train=True)
    held_back = _held_back(labels, _FULL[name][1])
    train, validation = (Split(images[mask], labels[mask]) for mask in (~held_back, held_back))
    return Dataset(name, train, validation, classes)


def load_test(name: str, data_dir: Path | None = None) -> Split:
    """The test split; DataError if it can't be had. Only the selected model reads it."""
    if name == EMBEDDED:
        return _embedded("test")
    images, labels, _ = _full(name, data_dir, train=False)
    return Split(images, labels)


def _embedded(part: str) -> Split:
    with resources.files("study").joinpath("digits", f"{part}.npz").open("rb") as file, np.load(file) as arrays:
        return Split(arrays["images"], arrays["labels"].astype(np.int64))


def _held_back(labels: np.ndarray, per_class: int) -> np.ndarray:
    """A mask of the last images of each class: fixed, and balanced whatever the file's order."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        # A tiny set, such as a mirror in a test, keeps most of its images for training.
        mask[places[-min(per_class, max(1, len(places) // 6)) :]] = True
    return mask


def default_data_dir() -> Path:
    """The cache folder of this user for full data sets."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nn-training-study" / "data"


def _full(name: str, data_dir: Path | None, *, train: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Images, labels and the number of classes of one split, downloaded if it isn't there."""
    if name not in _FULL:
        raise DataError(f"no data set named {name!r}: choose from {', '.join(NAMES)}")
    import torchvision

    kind = getattr(torchvision.datasets, _FULL[name][0])
    root = Path(data_dir) if data_dir else default_data_dir()
    dataset = _there(kind, root, train)
    if dataset is None:
        dataset = _downloaded(kind, root, train, name)
    images = np.asarray(dataset.data)
    # torchvision holds one channel as (n, height, width), three as (n, height, width, 3).
    images = images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    labels = np.asarray(dataset.targets, dtype=np.int64)
    return images.astype(np.uint8, copy=False), labels, len(dataset.classes)


def _there(kind: Any, root: Path, train: bool) -> Any:
    """The data set if its files lie in root and fit their checksums, else None."""
    try:
        return kind(str(root), train=train, download=False)
    except (RuntimeError, OSError, ValueError, EOFError):
        return None


def _downloaded(kind: Any, root: Path, train: bool, name: str) -> Any:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / f".{name}.lock"):
            # Does nothing where another process has fetched it while this one waited.
            return kind(str(root), train=train, download=True)
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"the data set {name!r} is not in {root} and can't be downloaded ({reason}): give the folder that has it "
            f'with --data-dir, or use the embedded digits with dataset = "{EMBEDDED}"'
        ) from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time; the kernel frees it when its holder dies."""
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
