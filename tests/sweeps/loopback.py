"""A Ray cluster of one node on loopback with its own token, and projects whose sweeps run there as jobs."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil

import sweeps
from sweeps.errors import SweepNotFoundError
from sweeps.search.history import History

SWEEPS = str(Path(sys.executable).with_name("sweeps"))
BOWL = """
def distance(params, seed):
    for report in range(1, 10):
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / report}
"""
STEADY = """
import time
from pathlib import Path


def steady(params, seed, checkpoint):
    for report in range((checkpoint or {"report": 0})["report"] + 1, 101):
        time.sleep(0 if Path("{hurry}").exists() else 0.15 + params["x"] / 10)  # trials seldom end together
        yield {"loss": params["x"] + 1 / report, "checkpoint": {"report": report}}
"""
MEETING = """
def meeting(params, seed):
    other = {{"left": "right", "right": "left"}}[params["side"]]
    Path("{folder}", params["side"]).touch()
    end = time.monotonic() + 100
    while not Path("{folder}", other).exists():
        if time.monotonic() > end:
            raise RuntimeError("the other sweep was given no place")
        time.sleep(0.05)
    yield {{"loss": params["x"]}}
"""
SPEC = """
name = "{name}"
target = "far_targets:{function}"
trials = {trials}
concurrency = 2
metric = "loss"
direction = "minimize"
pruning = {{ name = "{pruning}", max_fidelity = {reports} }}
selection = {{ candidates = 1, seeds = 1, published_seeds = 1 }}
[space]
x = {{ float = [0.0, 1.0], default = 0.5 }}
"""


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def _is_in(process: psutil.Process, place: str) -> bool:
    return (process.info["environ"] or {}).get("TMPDIR") == place


class Loopback:
    """A cluster, and the environment of one of its users; `folder` must be short, since sockets are made below it."""

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

    def sweeps(self, *words: str, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a user of the cluster."""
        return subprocess.run(
            [SWEEPS, *words],
            cwd=cwd,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def python(self, script: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a script as a user of the cluster, in a separate process, since Ray reads the token only once."""
        command = [sys.executable, "-c", script, *words]
        mine = {**self.environment, "RAY_AUTH_MODE": "token"}
        return subprocess.run(command, env=mine, capture_output=True, text=True, check=False, timeout=300)

    def stop(self) -> None:
        """Stop the cluster, and check that none of its processes are left."""
        self.sweeps("cluster", "stop")
        place = self.environment["TMPDIR"]
        left = [process.info["name"] for process in psutil.process_iter(["name", "environ"]) if _is_in(process, place)]
        assert not left, left


def project(folder: Path, name: str, function: str, trials: int) -> Path:
    """Write a function and a spec into a folder as a user would, and return the path of the spec."""
    steady, meeting = STEADY.replace("{hurry}", str(folder / "hurry")), MEETING.format(folder=folder)
    (folder / "far_targets.py").write_text(BOWL + steady + meeting)
    spec = folder / f"{name}.toml"
    pruning, reports = {"steady": ("none", 100), "meeting": ("none", 1)}.get(function, ("asha", 9))
    spec.write_text(SPEC.format(name=name, function=function, trials=trials, pruning=pruning, reports=reports))
    return spec


def hurry(folder: Path) -> None:
    """Let steady trials of this project wait no more from now on."""
    (folder / "hurry").touch()


def history_of(name: str, results: Path) -> History:
    """Return the history that the ledger holds now, or an empty one if there is no ledger yet."""
    try:
        return sweeps.load(name, results=results).history
    except SweepNotFoundError:
        return History()
