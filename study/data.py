"""Data sets as arrays in memory: train and validation splits for the search, and the test split by a separate call."""

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

# One in this many images of a full set's published train split is held back for validation, equally many per class:
# 10,000 of 60,000, and 5,000 of CIFAR-10's 50,000.
_ONE_IN = {"mnist": 6, "fashion_mnist": 6, "kmnist": 6, "cifar10": 10}
NAMES = (EMBEDDED, *_ONE_IN)


class DataError(RuntimeError):
    """Raised for a data set that is unavailable or invalid; one line says why and what to do."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Arrays that are not contiguous or have negative strides, as flipped arrays do, are copied once.

    Attributes:
        images: Images of shape (n, channels, height, width), uint8.
        labels: Labels of shape (n,), int64.

    Raises:
        DataError: If an array has another dtype or shape.
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
    """Return an array in a layout that torch accepts: without gaps and without a negative stride on any axis."""
    is_plain = array.flags.c_contiguous and all(stride >= 0 for stride in array.strides)
    return array if is_plain else array.copy(order="C")


@dataclass(frozen=True, eq=False)
class Dataset:
    """The train and validation splits, which are all that a search may see of a data set.

    Only `load_test` returns the test split.
    """

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
        """Return the SHA-256 over shapes, types and bytes of both splits, in hex."""
        digest = hashlib.sha256()
        for array in (self.train.images, self.train.labels, self.validation.images, self.validation.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @cached_property
    def mean(self) -> tuple[float, ...]:
        """Return the mean of each channel of the train split, in 0..1."""
        return tuple(float(m) / 255 for m in self._shares @ np.arange(256))

    @cached_property
    def std(self) -> tuple[float, ...]:
        """Return the standard deviation of each channel of the train split, in units of 0..1."""
        squares = self._shares @ np.arange(256) ** 2
        return tuple(float(np.sqrt(max(s / 255**2 - m**2, 0.0))) for s, m in zip(squares, self.mean, strict=True))

    @cached_property
    def _shares(self) -> np.ndarray:
        """Return the share of each of 256 values in each channel, counted in parts because bincount copies to int64."""
        images = self.train.images
        counts = np.zeros((images.shape[1], 256), dtype=np.int64)
        for start in range(0, len(images), 1000):
            for channel in range(images.shape[1]):
                counts[channel] += np.bincount(images[start : start + 1000, channel].ravel(), minlength=256)
        return counts / images[:, 0].size


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """Load the train and validation splits of a data set, without reading the test set.

    Args:
        name: One of `NAMES`.
        data_dir: The folder that holds full data sets in torchvision's layout, and to which they are downloaded.
            Without it, $NN_TRAINING_STUDY_DATA is used, or else a folder in the user's cache.

    Raises:
        DataError: If the data set is unavailable.
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
    # Computed once here, so a copy sent to a worker already has them.
    _ = data.fingerprint, data.mean, data.std
    return data


def load_test(name: str, data_dir: Path | None = None) -> Split:
    """Load the test split of a data set, which only the selected model reads.

    Args:
        name: One of `NAMES`.
        data_dir: The folder of full data sets, as for `load`.

    Raises:
        DataError: If the data set is unavailable.
    """
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
    """Return a mask of the last images of each class, equally many per class and the same in every run."""
    per_class = max(1, len(labels) // one_in // classes)
    mask = np.zeros(len(labels), dtype=bool)
    for label in range(classes):
        mask[np.flatnonzero(labels == label)[-per_class:]] = True
    return mask
