"""The Ray that a sweep runs on: started here on loopback with its dashboard, or the one this process has joined."""

import logging
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sweeps.errors import ResourceError
from sweeps.execution.placing import resources_of_nodes, slots_of
from sweeps.sections import Resources
from sweeps.signals import outliving_the_terminal

# Ray reads these when it is imported or when a sweep starts; a value that the user has set stays.
ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # otherwise workers start through `uv run`, with the folder uploaded
    "RAY_USAGE_STATS_ENABLED": "0",
    # Actors never take over processes that Ray starts in advance; these would only compete with them for the CPUs.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of a user's function stay valid
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger has what they would write
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # otherwise Ctrl-C waits for all trials
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),  # the ledger is the truth, Tune's snapshot is not used
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
LOCAL = "sweeps_local"  # a resource that distinguishes a Ray started here from a cluster at the same address
_LONGEST_SOCKET = 107 if sys.platform == "linux" else 103  # bytes of a path
_SOCKET = "/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"  # a path of Ray's, below its folder
_RUNS = threading.Lock()  # held while a sweep runs in this process
_STARTED_IN = set[int]()  # the processes that have started Ray: this one, or one that it was forked from
_IS_OF_TRIALS = threading.Event()  # set if this process is a worker of a sweep
_LARGEST_STORE = 2**29  # bytes; a data set is staged once per node, and the study's largest has 180 MB


@dataclass(frozen=True)
class Session:
    """A Ray that is ready for a sweep.

    Attributes:
        slots: How many trials fit at a time.
        dashboard: The URL of the dashboard, or None if there is none.
        notes: Warnings for the user.
        needs_token: Whether the dashboard asks for Ray's token.
        selection_slots: How many runs on fresh seeds fit at a time, if they have other resources.
    """

    slots: int
    dashboard: str | None
    notes: tuple[str, ...]
    needs_token: bool = False
    selection_slots: int | None = None

    @property
    def where(self) -> str:
        """Return the address of the dashboard in words.

        Ray's token is a secret, so the text names the command that shows it, and not the token.
        """
        if self.dashboard is None:
            return "no Ray dashboard"
        asks = " (asks once for a token: `ray get-auth-token` shows it)" if self.needs_token else ""
        return f"dashboard {self.dashboard}{asks}"


def user_folder() -> Path:
    """Return the folder of this user's Rays on this machine.

    It is short, since the paths of sockets below it may have at most 107 bytes (103 outside Linux).
    """
    return Path(tempfile.gettempdir()) / f"sweeps-{os.getuid()}"


def ray_folder() -> Path:
    """Return the folder where the Rays that sweeps start keep sockets and logs."""
    return user_folder() / "ray"


def check_length(folder: Path) -> Path:
    """Return the folder of a Ray, or raise ResourceError if its sockets' paths would be too long for the system."""
    longest = _LONGEST_SOCKET - len(_SOCKET)
    if (length := len(os.fsencode(folder))) > longest:
        raise ResourceError(
            f"{folder} is too long for the sockets of Ray ({length} bytes, at most {longest}): set TMPDIR to a shorter "
            "folder, such as /tmp"
        )
    return folder


def make_private(folder: Path) -> Path:
    """Make the folder above a Ray's folder, accessible to this user alone.

    Ray opens its own folder to all users of the machine, and runs the code in it.

    Args:
        folder: The folder of the Ray.

    Returns:
        The same folder.

    Raises:
        ResourceError: The folder above belongs to another user, or is no folder.
    """
    above = folder.parent
    with suppress(FileExistsError):
        above.mkdir(mode=0o700, parents=True)
    found = above.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ResourceError(
            f"{above} belongs to another user, or is no folder: remove it, or set TMPDIR to one of yours"
        )
    above.chmod(0o700)
    return folder


def set_environment() -> tuple[str, ...]:
    """Set the environment variables that Ray reads, and return a note if that came too late."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    constants = sys.modules.get("ray._private.ray_constants")
    if "UV_RUN_RECURSION_DEPTH" in os.environ and getattr(constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", False):
        return (
            "ray was imported before sweeps under `uv run`: its workers start through `uv run`, which is slow; "
            "import sweeps first, or set RAY_ENABLE_UV_RUN_RUNTIME_ENV=0",
        )
    return ()


@contextmanager
def only_one() -> Iterator[None]:
    """Refuse a second sweep in this process, which would share the Ray of the first and end it under its trials.

    Raises:
        ResourceError: A sweep runs in this process already, this process is a worker of a sweep, or it was forked from
            one that ran a sweep.
    """
    if _IS_OF_TRIALS.is_set():
        raise ResourceError(
            "a trial can't run a sweep, which would wait for places that trials hold: run it from a script, or search "
            "both spaces in one sweep"
        )
    if _STARTED_IN and os.getpid() not in _STARTED_IN:
        raise ResourceError(
            "this process was forked from one that ran a sweep, and Ray doesn't survive a fork: start it with "
            'multiprocessing.get_context("spawn")'
        )
    if not _RUNS.acquire(blocking=False):
        raise ResourceError(
            "another sweep runs in this process, where there can be one at a time: run this one after it, or in a "
            "process of its own"
        )
    try:
        yield
    finally:
        _RUNS.release()


def serve_trials() -> None:
    """Mark this process as one that runs trials, which can't run a sweep."""
    _IS_OF_TRIALS.set()


@contextmanager
def _without_errors_of_ray(verbose: bool) -> Iterator[None]:
    """Let Ray not print its own message about each worker that ended, unless `verbose`: the sweep reports these itself.

    A worker also ends on purpose, after an error of its device, which Ray would call unexpected.
    """
    silent = {} if verbose else {"print_to_stdstream": lambda *_, **__: None}
    with _replaced("ray._private.worker", **silent):
        yield


@contextmanager
def _replaced(module: str, **parts: object) -> Iterator[None]:
    """Replace private parts of Ray while a block runs."""
    owner = import_module(module)
    before = {name: getattr(owner, name) for name in parts}
    vars(owner).update(parts)
    try:
        yield
    finally:
        vars(owner).update(before)


@contextmanager
def session(resources: Resources, *more: Resources, verbose: bool = False) -> Iterator[Session]:
    """Run a block with a Ray for one sweep; one that this process has started already is used and left running.

    Args:
        resources: What one of the first trials needs; `Session.slots` counts these trials.
        more: What each kind of later trials needs, such as the runs on fresh seeds. These must fit too.
        verbose: Whether Ray and Tune log and workers print here.

    Yields:
        The session.

    Raises:
        ResourceError: Ray can't be started, or no trial fits on any node.
    """
    notes = set_environment()
    import ray

    _quieten(verbose)
    is_ours = not ray.is_initialized()
    try:
        if is_ours:
            _start(verbose)
        slots, *others = [slots_of(each, resources_of_nodes().values()) for each in (resources, *more)]
        # Ray sets this if it asks for a token, which is its default on one machine since 2.59.
        needs_token = os.environ.get("RAY_AUTH_MODE") == "token"
        with _without_errors_of_ray(verbose):
            yield Session(slots, _dashboard(), notes, needs_token, *others)
    finally:
        node: Any = ray._private.worker._global_node
        if is_ours:
            ray.shutdown()
    # Only if nothing was raised: otherwise its folder stays, since the logs in it may show the cause.
    if is_ours:
        shutil.rmtree(node.get_session_dir_path(), ignore_errors=True)


def _import_ahead() -> None:
    """Import what the driver needs next, while Ray's start mostly waits for other processes."""
    for module in ("optuna", "pandas", "pyarrow.fs", "sqlalchemy"):
        import_module(module)


def _start(verbose: bool) -> None:
    import ray

    folder = make_private(check_length(ray_folder()))
    here = os.getcwd()
    if any("\ud800" <= sign <= "\udfff" for sign in here):  # a byte that is not UTF-8
        raise ResourceError(f"Ray can't be started in {here!a}, whose name is not UTF-8: rename the folder")
    _STARTED_IN.add(os.getpid())
    threading.Thread(target=_import_ahead, daemon=True).start()
    try:
        with outliving_the_terminal(), _in_groups_of_their_own():
            ray.init(
                address="local",  # RAY_ADDRESS in the environment must not send a local run to a cluster
                include_dashboard=True,
                dashboard_host="127.0.0.1",
                logging_level=logging.INFO if verbose else logging.ERROR,
                log_to_driver=verbose,
                object_store_memory=_LARGEST_STORE,
                resources={LOCAL: 1},
                _temp_dir=str(folder),
            )
    except Exception as error:  # Ray raises a plain Exception if one of its processes ends
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ResourceError(f"Ray can't be started here ({last}): {_what_to_do()}") from error


@contextmanager
def _in_groups_of_their_own() -> Iterator[None]:
    """Let Ray's processes start in process groups of their own, so a signal to this one's group spares them.

    `timeout` and other programs stop a whole group with SIGTERM. Without Ray this process could not save anything: it
    would wait for 60 s, and then Ray would abort it. On Linux, Ray's processes end with this one in any case.
    """
    module = "ray._private.services"
    parts = {"ConsolePopen": partial(import_module(module).ConsolePopen, process_group=0)}
    with _replaced(module, **(parts if sys.platform == "linux" else {})):
        yield


def _what_to_do() -> str:
    """Return advice: rename modules that hide Python's own from Ray's processes or, if none do, read Ray's logs."""
    hiding = [f"{name}.py" for name in sorted(sys.stdlib_module_names) if Path(f"{name}.py").is_file()]
    if hiding:
        return f"here {', '.join(hiding)} may hide modules of Python from Ray's processes: rename them"
    return f"look into {ray_folder()} for its logs"


def _quieten(verbose: bool) -> None:
    """Silence Tune unless `verbose`: it warns about deliberate omissions, and logs 30 lines on each lost worker."""
    for name in ("ray.tune", "ray.air"):
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.CRITICAL)


def _dashboard() -> str | None:
    import ray

    url = ray._private.worker.get_dashboard_url()  # type: ignore[no-untyped-call]
    return f"http://{url}" if url else None
