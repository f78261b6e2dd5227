"""Removal of leftovers: the folders of dead Rays, and the checkpoints of sweeps that are over."""

import shutil
from contextlib import closing
from pathlib import Path

from sweeps.errors import SweepError
from sweeps.execution.session import ray_folder
from sweeps.search.extension import as_extended
from sweeps.search.standing import is_over
from sweeps.store.folders import SweepFolder, size_of
from sweeps.store.lease import lease
from sweeps.store.ledger import Ledger
from sweeps.store.places import place_of


def clean_rays() -> str:
    """Remove the session folders of Rays that sweeps started and that no process uses any more.

    Returns:
        A line that reports how many folders were removed, from where, and their size in MB.
    """
    sessions = [p for p in ray_folder().glob("session_*") if p.is_dir() and not p.is_symlink()]
    dead = [session for session in sessions if not _is_in_use(session)]
    size = sum(size_of(session) for session in dead)
    for session in dead:
        shutil.rmtree(session, ignore_errors=True)
    return f"removed the folders of {len(dead)} dead Rays ({size / 1e6:.1f} MB) from {ray_folder()}"


def clean_sweep(name: str, results: Path, ledger: str | None = None) -> str:
    """Remove the checkpoints of a sweep that is over; it can then be shown and reproduced, but not extended.

    Args:
        name: The name of the sweep.
        results: The results folder.
        ledger: The URL of the ledger, if it is in PostgreSQL.

    Returns:
        A line that reports the size of the removed checkpoints in MB.

    Raises:
        SweepError: If the sweep is not over.
    """
    folder = SweepFolder(results, name).require()
    with lease(folder.lease, name), closing(Ledger.open(place_of(folder, ledger))) as opened:
        history = opened.history()
        # An outcome alone does not prove it: the sweep may have been extended since.
        if not is_over(as_extended(opened.spec(), history), history):
            raise SweepError(f"the sweep {name!r} is not over, and resuming needs its checkpoints: finish it first")
        size = folder.size(folder.checkpoints)
        folder.drop(folder.checkpoints)
    return f"removed the checkpoints of {name} ({size / 1e6:.1f} MB)"


def _is_in_use(session: Path) -> bool:
    """Return whether a process names the session on its command line, as all of Ray's processes do."""
    name = session.name.encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name in process.read_bytes():
                return True
        except OSError:
            continue  # the process ended meanwhile
    return False
