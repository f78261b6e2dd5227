"""Several machines on one: network namespaces on a bridge, each with its own address, that can be cut off."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_BRIDGE = "swbr0"
_NET = "10.77.0"
GATEWAY = f"{_NET}.1"  # the test's own address on the bridge


def why_not() -> str:
    """Return why this machine can make no network namespace, or an empty string if it can."""
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
    """A namespace with an address, whose processes see the bridge and their own loopback, and nothing else."""

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
        """Return the words of a command that runs on this machine."""
        return ["ip", "netns", "exec", self.name, *command]

    def cut_off(self) -> None:
        """Disconnect the machine from the network."""
        _ip("link", "set", self._outer, "down")

    def connect(self) -> None:
        """Connect the machine to the network again."""
        _ip("link", "set", self._outer, "up")

    def kill(self) -> None:
        """Kill all processes on the machine at once, as its power switch would."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        if pids := found.stdout.split():
            subprocess.run(["kill", "-9", *pids], check=False, capture_output=True)

    def remove(self) -> None:
        self.kill()
        subprocess.run(["ip", "link", "del", self._outer], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Yield `count` machines on one network, which the test's own processes reach too."""
    subprocess.run(["ip", "link", "del", _BRIDGE], check=False, capture_output=True)  # left by a killed test
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
