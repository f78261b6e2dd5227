"""The full data sets of torchvision, each downloaded once and completely, by any number of processes."""

import http.client
import os
import pickle
import shutil
import socket
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from study.data import EMBEDDED, DataError

# Our name of a full data set → its class in torchvision.datasets.
CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST", "cifar10": "CIFAR10"}
DATA_DIR_VARIABLE = "NN_TRAINING_STUDY_DATA"

_PATIENCE = 60.0  # s without a byte; torchvision itself would wait forever
_USE_EMBEDDED = f'or use the embedded digits with dataset = "{EMBEDDED}"'
# Exceptions that torchvision was seen to raise for files that are truncated or hold other content.
_UNREADABLE = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AssertionError,
    pickle.UnpicklingError,
    tarfile.TarError,
    zlib.error,
)


def default_data_dir() -> Path:
    """Return the folder of full data sets.

    It is $NN_TRAINING_STUDY_DATA, or else a folder in this user's cache (XDG base directories).
    """
    if given := os.environ.get(DATA_DIR_VARIABLE):
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nn-training-study" / "data"


def read_full(name: str, data_dir: Path | None, *, train: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Read one published split, and download the data set first if it is missing.

    Only the files of that split are read.

    Args:
        name: The name of a full data set, a key of `CLASSES`.
        data_dir: The folder of full data sets; `default_data_dir()` without it.
        train: Whether to read the train split or the test split.

    Returns:
        Images (n, channels, height, width), labels (n,) and the number of classes.

    Raises:
        DataError: If the files are damaged, or are missing and can't be downloaded.
    """
    import torchvision

    kind = getattr(torchvision.datasets, CLASSES[name])
    root = Path(data_dir).expanduser() if data_dir else default_data_dir()
    if not _is_there(kind, root):
        _download(name, kind, root)
    try:
        dataset = kind(str(root), train=train, download=False)
    except _UNREADABLE as error:
        raise DataError(
            f"the data set {name!r} in {root} is damaged ({_reason(error)}): remove {root / _files(kind)[0].parts[0]} "
            f"and run again to download it, give another folder with --data-dir, {_USE_EMBEDDED}"
        ) from error
    images = np.asarray(dataset.data)
    # torchvision stores one channel as (n, height, width), and three as (n, height, width, 3).
    images = images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images, np.asarray(dataset.targets, dtype=np.int64), len(dataset.classes)


def _files(kind: Any) -> list[Path]:
    """Return the paths of the files that torchvision reads, relative to the data folder."""
    if hasattr(kind, "resources"):
        return [path.with_suffix("") for path in _archives(kind)]
    names = [name for name, _ in (*kind.train_list, *kind.test_list)]
    return [Path(kind.base_folder, name) for name in (*names, kind.meta["filename"])]


def _archives(kind: Any) -> list[Path]:
    """Return the paths of the published archives, relative to the data folder."""
    if hasattr(kind, "resources"):
        return [Path(kind.__name__, "raw", name) for name, _ in kind.resources]
    return [Path(kind.filename)]


def _is_there(kind: Any, root: Path) -> bool:
    return all((root / path).is_file() for path in _files(kind))


def _download(name: str, kind: Any, root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / f".{name}.lock"):
            # Another process may have fetched the data while this one waited.
            if not _is_there(kind, root):
                _fetch(kind, root, root / f".{name}.download")
    except (*_UNREADABLE, http.client.HTTPException) as error:
        ways_out = f"download it elsewhere and give its folder with --data-dir, {_USE_EMBEDDED}"
        if "corrupted" in str(error):
            raise DataError(
                f"the data set {name!r} is not in {root}, and what was downloaded has a wrong checksum and was thrown "
                f"away ({_reason(error)}): {ways_out}"
            ) from error
        raise DataError(
            f"the data set {name!r} is not in {root} and can't be downloaded ({_reason(error)}): {ways_out}"
        ) from error


def _fetch(kind: Any, root: Path, staging: Path) -> None:
    """Download and unpack into the staging folder, then move each file to its place."""
    shutil.rmtree(staging, ignore_errors=True)  # leftovers of a killed process
    try:
        # Archives that the user put where torchvision keeps them are unpacked instead of downloaded again.
        for archive in _archives(kind):
            if (root / archive).is_file():
                (staging / archive).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / archive, staging / archive)
        with _patient_sockets():
            kind(str(staging), train=True, download=True)
        # Whole files are moved in last, so a process that is killed half-way leaves no truncated file.
        for path in _files(kind):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / path, root / path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Admit one process at a time; the kernel releases the lock when its holder dies."""
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _patient_sockets() -> Iterator[None]:
    """Make new sockets of this process give up after a minute of silence, since torchvision takes no timeout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
