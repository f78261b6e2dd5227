"""Results in an object store (s3://bucket/folder): each machine works on a copy and sends what others need.

A copy is what a process on one machine reads and writes, in the user's cache; the store is what stays. Nothing is
locked there: of a sweep in a store the ledger is in PostgreSQL, whose lease keeps a second driver away.
Source: pyarrow.fs, whose stores take credentials and endpoint from the usual environment (AWS_ACCESS_KEY_ID, …).
"""

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from study.files import replacing
from sweeps.errors import LedgerError, SpecError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

SCHEMES = ("s3", "gs", "abfs", "abfss")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)", re.DOTALL)  # a Path makes one slash of two
_CHUNK = 2**22  # bytes
PATIENCE = 60.0  # s that a worker waits for a store, as a driver for its ledger's server
_PAUSE = 1.0  # s between two tries
# What Arrow says of a store that may be back in a moment.
_PASSING = re.compile(
    "NETWORK_CONNECTION|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|THROTTLING|REQUEST_TIMEOUT|HTTP status 50[0-4]"
)
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class ObjectStore:
    """A results folder in an object store. LedgerError where the store does not answer or refuses.

    copy: where each machine keeps its copy, the same on all that work on a sweep. patience: for how long it may be away
    or ask for less while a file is sent or fetched, s.
    """

    url: str
    copy: Path
    patience: float = 0.0

    def check(self) -> None:
        """Find out whether objects can be written and removed."""
        key = self._key(self.copy / f".writable-{secrets.token_hex(4)}")
        with self._worded("written"), self._files.open_output_stream(key) as stream:
            stream.write(b"")
        with self._worded("written"):
            self._files.delete_file(key)

    def send(self, *paths: Path) -> None:
        """Put files of the copy at their places, in order; after a kill or an outage each is whole, or as before."""
        for path in paths:
            self._send(path)

    def _send(self, path: Path) -> None:
        # In a thread, since an interrupt between the two calls would close the stream and put half a file there.
        with self._worded("written"), ThreadPoolExecutor(1) as thread:
            self._patiently(lambda: thread.submit(self._put, path).result())

    def _patiently(self, act: Callable[[], _Given]) -> _Given:
        """Do it, and again until patience ends where the store does not answer, or asks for less."""
        last = time.monotonic() + self.patience
        while True:
            try:
                return act()
            except OSError as error:
                if error.errno is not None or not _PASSING.search(str(error)) or time.monotonic() >= last:
                    raise
            time.sleep(_PAUSE)

    def _put(self, path: Path) -> None:
        from pyarrow import memory_map

        with memory_map(str(path)) as file:
            content = file.read_buffer()
            with self._files.open_output_stream(self._key(path)) as stream:
                stream.write(content)

    def fetch(self, path: Path) -> bool:
        """Bring a file of the copy up to date; False where the store has none, and then there is none here."""
        with self._worded("read"):
            return self._patiently(lambda: self._get(path))

    def _get(self, path: Path) -> bool:
        try:
            stream = self._files.open_input_stream(self._key(path))
        except FileNotFoundError:
            self._require_bucket()
            path.unlink(missing_ok=True)
            return False
        with stream, replacing(path) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(stream, file, _CHUNK)
        return True

    def _require_bucket(self) -> None:
        """FileNotFoundError where the bucket itself is not there: then nothing is known of what it held."""
        from pyarrow.fs import FileType

        bucket = _opened(self.url)[1].partition("/")[0]
        if self._files.get_file_info(bucket).type is FileType.NotFound:
            raise FileNotFoundError(f"there is no bucket {bucket!r}")

    def complete(self, folder: Path, *names: str) -> None:
        """Bring what the copy lacks below a folder of what never changes: all, or the files of these names."""
        for info in self._found(folder, recursive=True):
            place = PurePosixPath(info.path).relative_to(self._key(folder))
            if ".." in place.parts:  # a store has no folders, and takes any key
                raise LedgerError(f"{self.url} holds a key that leaves its folder ({place}): remove it")
            path = folder / place
            if info.is_file and not path.exists() and (not names or path.name in names):
                self.fetch(path)

    def names(self, folder: Path) -> list[str]:
        """What lies in a folder, by name."""
        return sorted(info.base_name for info in self._found(folder))

    def size(self, folder: Path) -> int:
        """Of all below a folder, bytes."""
        return sum(info.size or 0 for info in self._found(folder, recursive=True))

    def _found(self, folder: Path, *, recursive: bool = False) -> "list[FileInfo]":
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._key(folder), recursive=recursive, allow_not_found=True)
        with self._worded("read"):
            return list(self._files.get_file_info(selector))

    def delete(self, path: Path) -> None:
        """Take away one file."""
        with self._worded("written"):
            try:
                self._files.delete_file(self._key(path))
            except FileNotFoundError:
                return

    def remove(self, folder: Path) -> None:
        """Take away all below a folder."""
        with self._worded("written"):
            try:
                self._files.delete_dir(self._key(folder))
            except FileNotFoundError:
                return

    @property
    def _files(self) -> "FileSystem":
        return _opened(self.url)[0]

    def _key(self, path: Path) -> str:
        return str(PurePosixPath(_opened(self.url)[1], path.relative_to(self.copy)))

    @contextmanager
    def _worded(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno is None:
                raise _refusal(self.url, verb, error) from error
            # The system's own word, since what a store says has no number.
            raise LedgerError(
                f"the copy of {self.url} on {socket.gethostname()}, {self.copy}, can't be used "
                f"({os.strerror(error.errno)}): free space or mend permissions there; nothing is lost"
            ) from error


def object_store(results: Path | str) -> ObjectStore | None:
    """The store that a results folder's URL names, None for a folder; SpecError for a URL that can't be used."""
    found = _URL.fullmatch(str(results))
    if found is None:
        return None
    scheme, place = found[1].lower(), found[2].strip("/")
    if scheme not in SCHEMES:
        raise SpecError(f"results: {scheme}:// is no object store: give s3://BUCKET/FOLDER, or a folder")
    # Azure's own form has the container before the @. A secret stands behind a colon, and may hold a slash.
    bare = re.sub(r"^[\w-]+@", "", place) if scheme.startswith("abfs") else place
    if any(sign in bare for sign in "?@#") or ":" in bare.partition("/")[0]:
        raise SpecError("results: a URL has no user, password or options: give them in the environment")
    if not place or any(part in ("", ".", "..") for part in place.split("/")):
        raise SpecError(f"results: the URL names no bucket and folder, but {str(results)!r}: give s3://BUCKET/FOLDER")
    url = f"{scheme}://{place}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return ObjectStore(url, cache / "sweeps" / "results" / hashlib.sha256(url.encode()).hexdigest()[:16])


_OPEN: dict[str, tuple["FileSystem", str]] = {}


def _opened(url: str) -> tuple["FileSystem", str]:
    """The store's client, once a process, and the bucket and folder that every key begins with."""
    if url not in _OPEN:
        from pyarrow.fs import FileSystem

        try:
            _OPEN[url] = FileSystem.from_uri(url)
        except (OSError, ValueError, NotImplementedError) as error:  # pyarrow may be built without a kind of store
            raise _refusal(url, "opened", error) from error
    return _OPEN[url]


def _refusal(url: str, verb: str, error: Exception) -> LedgerError:
    return LedgerError(
        f"the object store {url} can't be {verb} ({' '.join(str(error).split())[:300]}): look after the bucket, the "
        "network and the credentials (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …); nothing is lost"
    )
