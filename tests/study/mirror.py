"""A mirror of a data set on this machine: an HTTP server that counts the downloads from it."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np


@dataclass
class Mirror:
    """A mirror's address, the files that it serves by name, and how often each was downloaded."""

    url: str
    files: dict[str, bytes]
    downloads: Counter[str] = field(default_factory=Counter)


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Mirror]:
    """Yield a mirror that serves files on a free port of this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            # torchvision checks for redirects with a GET that says "Method: HEAD".
            is_question = self.headers.get("Method") == "HEAD"
            body = b"" if is_question else mirror.files.get(name, b"")
            mirror.downloads[name] += not is_question
            self.send_response(200 if name in mirror.files else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        mirror = Mirror(f"http://127.0.0.1:{server.server_address[1]}/", dict(files))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """Return an array in the file format of MNIST: magic number, shape in big-endian 32-bit integers, bytes."""
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def tiny_images(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *shape), dtype=np.uint8)


def tiny_mnist() -> dict[str, bytes]:
    """Return the four archives: 120 images for training and 20 for the test, with the classes in turn."""
    files = {}
    for part, n in (("train", 120), ("t10k", 20)):
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(tiny_images(n, 28, 28)), 1)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(n) % 10), 1)
    return files


def tiny_cifar10() -> tuple[bytes, dict[str, bytes]]:
    """Return the archive and the files in it: 100 images for training and 20 for the test."""
    files = {"batches.meta": pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})}
    for name, n in (("data_batch_1", 100), ("test_batch", 20)):
        files[name] = pickle.dumps({"data": tiny_images(n, 3072), "labels": [i % 10 for i in range(n)]})
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue(), files
