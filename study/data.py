"""Data sets as arrays in memory: train and validation for the search, the test set by a call of its own."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from study.config import nearest

EMBEDDED = "mnist_sample"

# Of a full set's published train split, one image in so many is held back for validation, as many of each class:
# 10,000 of 60,000, and 5,000 of CIFAR-10's 50,000.
_ONE_IN = {"mnist": 6, "fashion_mnist": 6, "kmnist": 6, "cifar10": 10}
NAMES = (EMBEDDED, *_ONE_IN)


class DataError(RuntimeError):
    """A data set can't be had or isn't one; one line that says why and what to do."""


@dataclass(frozen=True, eq=False)
class Split:
    """images: (n, channels, height, width), uint8; labels: (n,), int64. DataError for other arrays.

    Arrays that are views with gaps or negative strides, as flipped ones are, are copied once.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                "images must be uint8 of shape (n, channels, height, width), "
                f"but are {self.images.dtype} of shape {self.images.shape}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"labels must be int64 of shape ({len(self.images)},), one for each image, "
                f"but are {self.labels.dtype} of shape {self.labels.shape}"
            )
        for name in ("images", "labels"):
            object.__setattr__(self, name, _contiguous(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.labels)


def _contiguous(array: np.ndarray) -> np.ndarray:
    """Return an array as torch takes it: without gaps, and without strides below zero even where an axis has one."""
    is_plain = array.flags.c_contiguous and all(stride >= 0 for stride in array.strides)
    return array if is_plain else array.copy(order="C")


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a search may see of a data set: train and validation. The test split comes from `load_test` alone."""

    name: str
    train: Split
    validation: Split
    classes: int

    def __post_init__(self) -> None:
        for split in (self.train, self.validation):
            if len(split) == 0:
                raise DataError(f"both splits of {self.name!r} must hold images, but one is empty")
            if split.labels.min() < 0 or split.labels.max() >= self.classes:
                raise DataError(
                    f"labels of {self.name!r} must be in 0 … {self.classes - 1}, "
                    f"but go from {split.labels.min()} to {split.labels.max()}"
                )

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
        return tuple(float(m) / 255 for m in self._shares @ np.arange(256))

    @cached_property
    def std(self) -> tuple[float, ...]:
        """Per channel, of the train split, in units of 0..1."""
        squares = self._shares @ np.arange(256) ** 2
        return tuple(float(np.sqrt(max(s / 255**2 - m**2, 0.0))) for s, m in zip(squares, self.mean, strict=True))

    @cached_property
    def _shares(self) -> np.ndarray:
        """The share of each of 256 values in each channel; in parts, since bincount makes an int64 copy."""
        images = self.train.images
        counts = np.zeros((images.shape[1], 256), dtype=np.int64)
        for start in range(0, len(images), 1000):
            for channel in range(images.shape[1]):
                counts[channel] += np.bincount(images[start : start + 1000, channel].ravel(), minlength=256)
        return counts / images[:, 0].size


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """Train and validation of a data set; DataError if it can't be had. Never reads the test set.

    data_dir: where full sets lie as torchvision lays them out, or are downloaded to; without it
    $NN_TRAINING_STUDY_DATA, else a folder in the user's cache.
    """
    _check_name(name)
    if name == EMBEDDED:
        data = Dataset(name, _embedded("train"), _embedded("validation"), 10)
    else:
        from study.downloads import read_full

        images, labels, classes = read_full(name, data_dir, train=True)
        held_back = _held_back(labels, _ONE_IN[name], classes)
        train, validation = (Split(images[mask], labels[mask]) for mask in (~held_back, held_back))
        data = Dataset(name, train, validation, classes)
    # Worked out here, once, so that a copy sent to a worker has them.
    _ = data.fingerprint, data.mean, data.std
    return data


def load_test(name: str, data_dir: Path | None = None) -> Split:
    """The test split; DataError if it can't be had. Only the selected model reads it."""
    _check_name(name)
    if name == EMBEDDED:
        return _embedded("test")
    from study.downloads import read_full

    images, labels, _ = read_full(name, data_dir, train=False)
    return Split(images, labels)


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise DataError(f"no data set is named {name!r}{nearest(name, NAMES)}")


def _embedded(part: str) -> Split:
    place = resources.files("study").joinpath("digits", f"{part}.npz")
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Split(arrays["images"], arrays["labels"].astype(np.int64))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"the embedded digits in {place} are damaged ({error}): install the package again") from error


def _held_back(labels: np.ndarray, one_in: int, classes: int) -> np.ndarray:
    """A mask of the last images of each class, equally many: fixed, and balanced whatever the file's order."""
    per_class = max(1, len(labels) // one_in // classes)
    mask = np.zeros(len(labels), dtype=bool)
    for label in range(classes):
        mask[np.flatnonzero(labels == label)[-per_class:]] = True
    return mask
