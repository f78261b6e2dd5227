"""The nodes of a cluster: `ray start` with a token and on loopback, apart from the Rays of local sweeps."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from sweeps.cluster.addresses import DEFAULT_ADDRESS, is_loopback
from sweeps.cluster.tokens import MODE, has_token, make_token, token_path
from sweeps.errors import ResourceError, SpecError
from sweeps.execution.session import ENVIRONMENT

GCS_PORT = 6379
# Its usual port may be taken by the Ray of a local sweep, and then no job is taken.
_ANY_PORT = ("--dashboard-agent-listen-port", "0")
_GRACE = 10.0  # s that processes have for ending, before they are killed


def cluster_folder() -> Path:
    """Where this machine's node keeps sockets and logs; short, since a socket's path may have 107 bytes."""
    return Path(tempfile.gettempdir()) / f"sweeps-cluster-{os.getuid()}"


def start_head(
    host: str = "127.0.0.1",
    *,
    port: int = GCS_PORT,
    dashboard_host: str = "127.0.0.1",
    dashboard_port: int = 8265,
    cpus: int | None = None,
    gpus: int | None = None,
    token: bool = True,
    folder: Path | None = None,
) -> str:
    """Start a cluster's first node; gives what a person should know.

    host: this machine's address as other nodes reach it; on loopback nobody joins. token: whether everybody is asked
    for one; SpecError without one where another machine could reach the cluster.
    """
    if not token and not (is_loopback(host) and is_loopback(dashboard_host)):
        raise SpecError(
            "a cluster that other machines reach asks for a token: leave --no-token out, or stay on loopback"
        )
    made = make_token() if token else None
    places = ["--node-ip-address", host, "--port", str(port)]
    dashboard = [
        "--include-dashboard=true",
        "--dashboard-host",
        dashboard_host,
        "--dashboard-port",
        str(dashboard_port),
    ]
    _ray(["start", "--head", *places, *dashboard, *_resources(cpus, gpus), *_folder(folder)], token=token)
    lines = [f"cluster at http://{dashboard_host}:{dashboard_port}, which takes jobs and shows Ray's dashboard"]
    if token:
        lines.append(f"token: {'made, ' if made else ''}in {token_path()}; each node and each user needs the same")
    else:
        lines.append("warning: no token is asked for: every user of this machine commands it")
    if is_loopback(host):
        lines.append("no other machine can join: give --host with this machine's address for that")
    else:
        lines.append(f"on each other machine: `sweeps cluster join {host}:{port}`")
    where = f"http://{dashboard_host}:{dashboard_port}"
    lines.append(
        f"then: `sweeps submit SPEC --results FOLDER{'' if where == DEFAULT_ADDRESS else f' --address {where}'}`"
    )
    return "\n".join(lines)


def join(
    address: str,
    *,
    host: str | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
    folder: Path | None = None,
) -> str:
    """Start a further node, of the cluster at HOST:PORT. host: this machine's address as the others reach it."""
    name, _, port = address.rpartition(":")
    if not name or not port.isdigit():
        raise SpecError(
            f"the address of a cluster's head is HOST:PORT, such as 10.0.0.1:{GCS_PORT}, but got {address!r}"
        )
    token = os.environ.get(MODE, "token").lower() != "disabled"
    if token and not has_token():
        raise SpecError(f"no token: copy the head's into {token_path()} (mode 600), or give it in RAY_AUTH_TOKEN")
    mine = ["--node-ip-address", host] if host else []
    _ray(["start", "--address", address, *mine, *_resources(cpus, gpus), *_folder(folder)], token=token)
    return f"joined the cluster at {address}"


def stop(folder: Path | None = None) -> str:
    """End this machine's node; sweeps that run here by themselves, or other Rays, are left alone."""
    place = f"{folder or cluster_folder()}/".encode()
    mine = [process for process in psutil.process_iter() if _names(process, place)]
    for process in mine:
        _signal(process.terminate)
    _, left = psutil.wait_procs(mine, timeout=_GRACE)
    for process in left:
        _signal(process.kill)
    psutil.wait_procs(left, timeout=_GRACE)
    return f"ended {len(mine)} processes of this machine's node" if mine else "no node of a cluster runs here"


def _names(process: psutil.Process, place: bytes) -> bool:
    """Whether a process has a folder on its command line or, as Ray's workers do, in its environment."""
    try:
        if process.pid == os.getpid():
            return False
        return any(place in text.encode() for text in process.cmdline()) or _is_worker(process, place)
    except psutil.Error:
        return False


def _is_worker(process: psutil.Process, place: bytes) -> bool:
    """A worker sets its own title, and leaves no command line; its raylet is its parent."""
    parent = process.parent()
    return parent is not None and any(place in text.encode() for text in parent.cmdline())


def _signal(send: object) -> None:
    try:
        send()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return


def _resources(cpus: int | None, gpus: int | None) -> list[str]:
    given = {"--num-cpus": cpus, "--num-gpus": gpus}
    return [text for name, count in given.items() if count is not None for text in (name, str(count))]


def _folder(folder: Path | None) -> list[str]:
    return ["--temp-dir", str(folder or cluster_folder())]


def _environment(*, token: bool) -> Mapping[str, str]:
    """What a node's processes get: the switches of a sweep, and this Python first, by which jobs find it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mode = {MODE: "token"} if token else {MODE: "disabled"}
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {**inherited, **ENVIRONMENT, **mode, "PATH": path}


def _ray(arguments: list[str], *, token: bool) -> None:
    beside = Path(sys.executable).with_name("ray")
    program = str(beside) if beside.exists() else shutil.which("ray")
    if program is None:
        raise ResourceError("the program `ray` is not there: install ray[default] beside this package")
    done = subprocess.run(
        [program, *arguments, "--disable-usage-stats", *_ANY_PORT],
        env=_environment(token=token),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        why = next((line for line in reversed(said) if "Error" in line), said[-1] if said else "no word")
        raise ResourceError(f"`ray start` failed: {why} (code {done.returncode}; logs are in {cluster_folder()})")
