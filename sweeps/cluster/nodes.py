"""Nodes of a cluster: `ray start` with a token and on loopback by default, separate from the Rays of local sweeps."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from sweeps.cluster.addresses import DEFAULT_ADDRESS, is_loopback
from sweeps.cluster.tokens import MODE, has_token, make_token, token_path
from sweeps.commands import command
from sweeps.errors import ResourceError, SpecError
from sweeps.execution.session import ENVIRONMENT, check_length, make_private, user_folder

GCS_PORT = 6379
_LAST_PORT = 65535
# The Ray of a local sweep may have the agent's usual port, and then the node takes no job.
_ANY_PORT = ("--dashboard-agent-listen-port", "0")
_GRACE = 10.0  # s that processes have to end before they are killed
_PATIENCE = 120.0  # s that a node has to start
_REACHED = 5.0  # s within which a head must answer
_FOLDER = "SWEEPS_CLUSTER_FOLDER"  # the environment variable by which `stop` finds a node's processes


def cluster_folder() -> Path:
    """Return the folder where this machine's node keeps sockets and logs."""
    return user_folder() / "node"


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
    """Start a cluster's first node.

    Args:
        host: This machine's address as other nodes reach it; on loopback no other node can join.
        port: The port at which nodes join.
        dashboard_host: The address at which the dashboard listens.
        dashboard_port: The port of the dashboard, which takes jobs.
        cpus: How many CPUs the node offers; Ray's count by default.
        gpus: How many GPUs the node offers; Ray's count by default.
        token: Whether every node and user must have the token.
        folder: Where the node keeps sockets and logs; `cluster_folder` by default.

    Returns:
        What the user should know about the cluster, in lines.

    Raises:
        SpecError: There is no token although another machine could reach the cluster, or an argument breaks a rule.
        ResourceError: A node runs here already, an address or port can't be used, or Ray can't be started.
    """
    if not token and not (is_loopback(host) and is_loopback(dashboard_host)):
        raise SpecError(
            "a cluster that other machines reach asks for a token: leave --no-token out, or stay on loopback"
        )
    _check_free(folder)
    if port == dashboard_port:
        raise SpecError(f"nodes join at one port and the dashboard has another, but both are {port}: change one")
    _check_port(host, port, "--host", "--port")
    _check_port(dashboard_host, dashboard_port, "--dashboard-host", "--dashboard-port")
    made = make_token() if token else None
    places = ["--node-ip-address", host, "--port", str(port)]
    dashboard = [
        "--include-dashboard=true",
        "--dashboard-host",
        dashboard_host,
        "--dashboard-port",
        str(dashboard_port),
    ]
    _ray(["start", "--head", *places, *dashboard, *_resources(cpus, gpus)], folder, token=token)
    lines = [f"cluster at http://{dashboard_host}:{dashboard_port}, which takes jobs and shows Ray's dashboard"]
    if token:
        lines.append(f"token: {'made, ' if made else ''}in {token_path()}; each node and each user needs the same")
    else:
        lines.append(
            "warning: no token is asked for: all who reach this machine can run code on it, since Ray's other ports "
            "listen on all addresses; stay behind a firewall, among people that you trust"
        )
    if is_loopback(host):
        lines.append("no other machine can join: give --host with this machine's address for that")
    else:
        lines.append(f"on each other machine: `{command('cluster join', f'{host}:{port}')}`")
    where = f"http://{dashboard_host}:{dashboard_port}"
    more = {"address": None if where == DEFAULT_ADDRESS else where, "insecure": not token}
    lines.append(f"then: `{command('submit', 'SPEC', results='FOLDER', **more)}`")
    return "\n".join(lines)


def join(
    address: str,
    *,
    host: str | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
    folder: Path | None = None,
) -> str:
    """Start a further node of a cluster.

    Args:
        address: HOST:PORT of the cluster's head.
        host: This machine's address as the others reach it; Ray's choice by default.
        cpus: How many CPUs the node offers; Ray's count by default.
        gpus: How many GPUs the node offers; Ray's count by default.
        folder: Where the node keeps sockets and logs; `cluster_folder` by default.

    Returns:
        A line for the user.

    Raises:
        SpecError: The address can't be read, or there is no token.
        ResourceError: A node runs here already, no head answers, or Ray can't be started.
    """
    name, _, port = address.rpartition(":")
    if not name or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise SpecError(
            f"the address of a cluster's head is HOST:PORT, such as 10.0.0.1:{GCS_PORT}, but got {address!r}"
        )
    token = os.environ.get(MODE, "token").lower() != "disabled"
    if token and not has_token():
        raise SpecError(f"no token: copy the head's into {token_path()} (mode 600), or give it in RAY_AUTH_TOKEN")
    _check_free(folder)
    try:  # Ray itself would wait for minutes
        socket.create_connection((name, int(port)), timeout=_REACHED).close()
    except OSError as error:
        raise ResourceError(f"no head answers at {address} ({error}): is it up, and started with --host?") from None
    mine = ["--node-ip-address", host] if host else []
    _ray(["start", "--address", address, *mine, *_resources(cpus, gpus)], folder, token=token)
    return f"joined the cluster at {address}"


def stop(folder: Path | None = None) -> str:
    """End this machine's node and return a line for the user; local sweeps and other Rays are left alone."""
    mine = _processes(folder)
    for process in mine:
        _signal(process.terminate)
    _, left = psutil.wait_procs(mine, timeout=_GRACE)
    for process in left:
        _signal(process.kill)
    psutil.wait_procs(left, timeout=_GRACE)
    return f"ended {len(mine)} processes of this machine's node" if mine else "no node of a cluster runs here"


def _processes(folder: Path | None) -> list[psutil.Process]:
    """Return all processes of this machine's node."""
    place = str(folder or cluster_folder())
    return [process for process in psutil.process_iter() if _belongs(process, place)]


def _belongs(process: psutil.Process, place: str) -> bool:
    """Return whether a process or its parent was started for a node; a worker's title overwrites its environment."""
    try:
        if process.pid == os.getpid():
            return False
        parent = process.parent()
        return _has(process, place) or (parent is not None and _has(parent, place))
    except psutil.Error:
        return False


def _has(process: psutil.Process, place: str) -> bool:
    return process.environ().get(_FOLDER) == place


def _check_free(folder: Path | None) -> None:
    """Raise ResourceError if a node runs here: two in one folder mistake each other's addresses for their own."""
    if _processes(folder):
        raise ResourceError("a node of a cluster runs on this machine already: `sweeps cluster stop` ends it")


def _check_port(host: str, port: int, host_option: str, port_option: str) -> None:
    """Raise ResourceError if nothing can listen there: an address of another machine, or a port that is taken."""
    if not 0 < port <= _LAST_PORT:  # getaddrinfo would take 70000 for 4464
        raise SpecError(f"{port_option} is a number from 1 to {_LAST_PORT}, but got {port}")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            by = ", as by the Ray of a sweep that runs here" if port_option == "--dashboard-port" else ""
            raise ResourceError(f"port {port} of {host} is taken{by}: give another {port_option}") from None
        raise ResourceError(
            f"nothing can listen at {host}:{port} ({error}): give an address of this machine with {host_option}, and a "
            f"port with {port_option}"
        ) from None


def _signal(send: object) -> None:
    try:
        send()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return


def _resources(cpus: int | None, gpus: int | None) -> list[str]:
    given = {"--num-cpus": cpus, "--num-gpus": gpus}
    return [text for name, count in given.items() if count is not None for text in (name, str(count))]


def _environment(folder: Path, *, token: bool) -> Mapping[str, str]:
    """Return the environment of a node's processes: a sweep's switches, and this Python first, so jobs find it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mode = {MODE: "token"} if token else {MODE: "disabled"}
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {**inherited, **ENVIRONMENT, **mode, "PATH": path, _FOLDER: str(folder)}


def _ray(arguments: list[str], folder: Path | None, *, token: bool) -> None:
    place = folder or cluster_folder()
    beside = Path(sys.executable).with_name("ray")
    program = str(beside) if beside.exists() else shutil.which("ray")
    if program is None:
        raise ResourceError("the program `ray` is not there: install ray[default] next to this package")
    try:
        done = subprocess.run(
            [
                program,
                *arguments,
                "--temp-dir",
                str(make_private(check_length(place))),
                "--disable-usage-stats",
                *_ANY_PORT,
            ],
            env=_environment(place, token=token),
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        stop(folder)
        raise ResourceError(
            f"`ray start` came to no end in {_PATIENCE:g} s: try again when this machine is less busy, or look into "
            f"{_logs(place)}"
        ) from None
    if done.returncode:
        stop(folder)  # the processes that have started so far
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        why = next((line for line in reversed(said) if "Error" in line), said[-1] if said else "no word")
        raise ResourceError(
            f"`ray start` failed ({why}): try again when this machine is less busy, or look into {_logs(place)}"
        )


def _logs(place: Path) -> Path:
    return place / "session_latest" / "logs"
