"""Results in an object store (s3://bucket/folder): each machine works on a copy and sends what others need.

Processes of a machine read and write its copy, in the user's cache; only the store is permanent. Nothing is locked in
the store. The ledger of a sweep there is in PostgreSQL, whose lease keeps a second driver away.
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
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)", re.DOTALL)  # a Path collapses two slashes into one
_CHUNK = 2**22  # bytes
PATIENCE = 60.0  # s that a worker waits for a store, like a driver for its ledger's server
_PAUSE = 1.0  # s between two attempts
# Arrow's words for a store that may be back in a moment.
_PASSING = re.compile(
    "NETWORK_CONNECTION|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|THROTTLING|REQUEST_TIMEOUT|HTTP status 50[0-4]"
)
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class ObjectStore:
    """A results folder in an object store.

    Every method raises LedgerError if the store does not answer or refuses.

    Attributes:
        url: The URL of the folder.
        copy: The folder of a machine's copy; its path is the same on all machines that work on a sweep.
        patience: For how long, in seconds, the store may be away or ask for fewer requests while a file is transferred.
    """

    url: str
    copy: Path
    patience: float = 0.0

    def check(self) -> None:
        """Check that objects can be written and removed, with an empty one."""
        key = self._key(self.copy / f".writable-{secrets.token_hex(4)}")
        with self._worded("written"), self._files.open_output_stream(key) as stream:
            stream.write(b"")
        with self._worded("written"):
            self._files.delete_file(key)

    def send(self, *paths: Path) -> None:
        """Send files of the copy to the store, in order.

        After a kill or an outage, each object is either complete or as it was before.
        """
        for path in paths:
            self._send(path)

    def _send(self, path: Path) -> None:
        # In a thread: an interrupt between the two calls would close the stream and leave half a file in the store.
        with self._worded("written"), ThreadPoolExecutor(1) as thread:
            self._patiently(lambda: thread.submit(self._put, path).result())

    def _patiently(self, act: Callable[[], _Given]) -> _Given:
        """Call `act`; retry until patience ends while the store does not answer or asks for fewer requests."""
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
        """Update a file of the copy from the store.

        Returns:
            Whether the store has the file. If it has none, the file is removed from the copy.
        """
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
        """Raise FileNotFoundError if the bucket itself is missing, since its contents are then unknown."""
        from pyarrow.fs import FileType

        bucket = _opened(self.url)[1].partition("/")[0]
        if self._files.get_file_info(bucket).type is FileType.NotFound:
            raise FileNotFoundError(f"there is no bucket {bucket!r}")

    def complete(self, folder: Path, *names: str) -> None:
        """Fetch the files below a folder that the copy lacks; files that exist must never change.

        Args:
            folder: A folder of the copy.
            *names: Names of the files to fetch, or none to fetch all.

        Raises:
            LedgerError: The store holds a key that leaves the folder.
        """
        for info in self._found(folder, recursive=True):
            place = PurePosixPath(info.path).relative_to(self._key(folder))
            if ".." in place.parts:  # a store has no folders and accepts any key
                raise LedgerError(f"{self.url} holds a key that leaves its folder ({place}): remove it")
            path = folder / place
            if info.is_file and not path.exists() and (not names or path.name in names):
                self.fetch(path)

    def names(self, folder: Path) -> list[str]:
        """Return the names of all entries in a folder, sorted."""
        return sorted(info.base_name for info in self._found(folder))

    def size(self, folder: Path) -> int:
        """Return the size of all objects below a folder, in bytes."""
        return sum(info.size or 0 for info in self._found(folder, recursive=True))

    def _found(self, folder: Path, *, recursive: bool = False) -> "list[FileInfo]":
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._key(folder), recursive=recursive, allow_not_found=True)
        with self._worded("read"):
            return list(self._files.get_file_info(selector))

    def delete(self, path: Path) -> None:
        """Delete one file, if it exists."""
        with self._worded("written"):
            try:
                self._files.delete_file(self._key(path))
            except FileNotFoundError:
                return

    def remove(self, folder: Path) -> None:
        """Delete everything below a folder, if it exists."""
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
            # An error with a number is the operating system's, about the copy; a store's errors have none.
            raise LedgerError(
                f"the copy of {self.url} on {socket.gethostname()}, {self.copy}, can't be used "
                f"({os.strerror(error.errno)}): free space or mend permissions there; nothing is lost"
            ) from error


def object_store(results: Path | str) -> ObjectStore | None:
    """Return the store that a results URL names, or None for a folder; raise SpecError for a URL that can't be used."""
    found = _URL.fullmatch(str(results))
    if found is None:
        return None
    scheme, place = found[1].lower(), found[2].strip("/")
    if scheme not in SCHEMES:
        raise SpecError(f"results: {scheme}:// is no object store: give s3://BUCKET/FOLDER, or a folder")
    # Azure's own form has the container before the @. A secret follows a colon and may contain a slash.
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
    """Return the store's client, created once per process, and the bucket and folder that every key begins with."""
    if url not in _OPEN:
        from pyarrow.fs import FileSystem

        try:
            _OPEN[url] = FileSystem.from_uri(url)
        except (OSError, ValueError, NotImplementedError) as error:  # pyarrow may be built without some kind of store
            raise _refusal(url, "opened", error) from error
    return _OPEN[url]


def _refusal(url: str, verb: str, error: Exception) -> LedgerError:
    return LedgerError(
        f"the object store {url} can't be {verb} ({' '.join(str(error).split())[:300]}): look after the bucket, the "
        "network and the credentials (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …); nothing is lost"
    )
