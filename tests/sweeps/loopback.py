"""A Ray cluster of one node on loopback, with a token of its own, started and ended by the commands of this project."""

import os
import socket
import subprocess
import sys
from pathlib import Path

SWEEPS = str(Path(sys.executable).with_name("sweeps"))


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


class Loopback:
    """The cluster, and what a user of it has in the environment. folder: short, since sockets lie below it."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.token = folder / "token"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SWEEPS_"))}
        self.environment = {
            **kept,
            "TMPDIR": str(folder),
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "SWEEPS_ADDRESS": self.url,
        }
        self.told = self.sweeps(
            "cluster",
            "start",
            "--port",
            str(free_port()),
            "--dashboard-port",
            self.url.rpartition(":")[2],
            "--cpus",
            "2",
        )

    def sweeps(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a user of the cluster."""
        return subprocess.run(
            [SWEEPS, *words],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def stop(self) -> None:
        self.sweeps("cluster", "stop")
