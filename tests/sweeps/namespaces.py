"""Machines on one machine: network namespaces on a bridge, each with its own address, that can be cut off."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_BRIDGE = "swbr0"
_NET = "10.77.0"
GATEWAY = f"{_NET}.1"  # the test's own address there


def why_not() -> str:
    """Why this machine has none, "" where it does."""
    if os.geteuid():
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2: `apt-get install iproute2`"
    probe = subprocess.run(["ip", "netns", "add", "swprobe"], capture_output=True, text=True, check=False)
    if probe.returncode:
        return f"this machine makes no network namespace ({probe.stderr.strip()})"
    _ip("netns", "del", "swprobe")
    return ""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Machine:
    """A namespace with an address; what runs in it sees the bridge and its own loopback, and nothing else."""

    def __init__(self, number: int) -> None:
        self.name, self.address = f"swn{number}", f"{_NET}.{number + 1}"
        self._outer = f"swv{number}"
        _ip("netns", "add", self.name)
        _ip("link", "add", self._outer, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self._outer, "master", _BRIDGE, "up")
        for words in (("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            _ip("-n", self.name, *words)
        _ip("-n", self.name, "link", "set", "lo", "up")

    def words(self, *command: str) -> list[str]:
        """A command, as one that runs on this machine."""
        return ["ip", "netns", "exec", self.name, *command]

    def cut_off(self) -> None:
        """Pull its cable."""
        _ip("link", "set", self._outer, "down")

    def connect(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self._outer, "up")

    def kill(self) -> None:
        """As by its power switch: every process on it at once."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        if pids := found.stdout.split():
            subprocess.run(["kill", "-9", *pids], check=False, capture_output=True)

    def remove(self) -> None:
        self.kill()
        subprocess.run(["ip", "link", "del", self._outer], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many machines on one network, which also the test's own processes reach."""
    subprocess.run(["ip", "link", "del", _BRIDGE], check=False, capture_output=True)  # an earlier test's, if killed
    for number in range(count):
        subprocess.run(["ip", "netns", "del", f"swn{number + 1}"], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"swv{number + 1}"], check=False, capture_output=True)
    _ip("link", "add", _BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{GATEWAY}/24", "dev", _BRIDGE)
    _ip("link", "set", _BRIDGE, "up")
    made: list[Machine] = []
    try:
        for number in range(1, count + 1):
            made.append(Machine(number))
        yield made
    finally:
        for machine in made:
            machine.remove()
        subprocess.run(["ip", "link", "del", _BRIDGE], check=False, capture_output=True)
