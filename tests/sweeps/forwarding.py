"""A port that forwards to another one and can stop forwarding: a server as other machines see it."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Forward:
    """A forwarder from a port at an address to a port on this machine's loopback."""

    def __init__(self, host: str, port: int) -> None:
        self._target = port
        self._listener = socket.create_server((host, 0))
        self._passes = threading.Event()
        self._passes.set()
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self) -> None:
        """Accept connections from now on, but send nothing on them."""
        self._passes.clear()

    def pass_on(self) -> None:
        self._passes.set()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(2**16):
                self._passes.wait()
                target.sendall(part)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def forward(host: str, port: int) -> Iterator[Forward]:
    """Yield a Forward from `host` to the loopback port, and close it when the block ends."""
    made = Forward(host, port)
    try:
        yield made
    finally:
        made.close()
