"""The full data sets through torchvision: downloaded once, whole or not at all, by however many processes."""

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

# Our name of a full set → its class in torchvision.datasets.
CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST", "cifar10": "CIFAR10"}
DATA_DIR_VARIABLE = "NN_TRAINING_STUDY_DATA"

_PATIENCE = 60.0  # s without a byte; torchvision itself would wait for ever
_USE_EMBEDDED = f'or use the embedded digits with dataset = "{EMBEDDED}"'
# What torchvision is seen to raise for files that are cut short or hold something else.
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
    """The folder of full sets: $NN_TRAINING_STUDY_DATA, else one in this user's cache (XDG base directories)."""
    if given := os.environ.get(DATA_DIR_VARIABLE):
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nn-training-study" / "data"


def read_full(name: str, data_dir: Path | None, *, train: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Images (n, channels, height, width), labels (n,) and the number of classes of one published split.

    Reads the files of that split alone. DataError if they are not there and can't be downloaded, or are damaged.
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
    # torchvision holds one channel as (n, height, width), three as (n, height, width, 3).
    images = images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images, np.asarray(dataset.targets, dtype=np.int64), len(dataset.classes)


def _files(kind: Any) -> list[Path]:
    """The files that torchvision reads, below the data folder."""
    if hasattr(kind, "resources"):
        return [path.with_suffix("") for path in _archives(kind)]
    names = [name for name, _ in (*kind.train_list, *kind.test_list)]
    return [Path(kind.base_folder, name) for name in (*names, kind.meta["filename"])]


def _archives(kind: Any) -> list[Path]:
    """The files as published, below the data folder."""
    if hasattr(kind, "resources"):
        return [Path(kind.__name__, "raw", name) for name, _ in kind.resources]
    return [Path(kind.filename)]


def _is_there(kind: Any, root: Path) -> bool:
    return all((root / path).is_file() for path in _files(kind))


def _download(name: str, kind: Any, root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / f".{name}.lock"):
            # Another process may have fetched it while this one waited.
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
    """Download and unpack beside the data, then move each file in: killed half-way, it leaves none cut short.

    Archives that the user put where torchvision keeps them are unpacked, and not downloaded again.
    """
    shutil.rmtree(staging, ignore_errors=True)  # what a killed process left
    try:
        for archive in _archives(kind):
            if (root / archive).is_file():
                (staging / archive).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / archive, staging / archive)
        with _patient_sockets():
            kind(str(staging), train=True, download=True)
        for path in _files(kind):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / path, root / path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time; the kernel frees it when its holder dies."""
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _patient_sockets() -> Iterator[None]:
    """New sockets of this process give up after a minute of silence; torchvision takes no timeout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
