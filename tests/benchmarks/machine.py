"""The conditions of a benchmark (hardware, versions, commit and load), for the metadata of its table."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path


def _commit() -> str:
    """Return the commit of this working copy, with a + if tracked files differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        differs = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("+" if differs else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a working copy of git"


# Taken before the benchmark starts, since files may change while it runs for an hour.
_BEFORE = {"commit": _commit(), "load before": f"{os.getloadavg()[0]:.2f}"}


def in_turn(arms: Iterable[str], turn: int) -> list[str]:
    """Return the arms of a round, rotated in each, so that no arm always runs after the same one."""
    arms = list(arms)
    return arms[turn % len(arms) :] + arms[: turn % len(arms)]


def provenance(*more: str) -> dict[str, str]:
    """Return the processor, CPUs, their load before the start, the commit, the system, and the versions that matter.

    Args:
        more: Further packages whose versions are included.
    """
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ("nn-training-study", "torch", "ray", "optuna", *more)
    return {
        "processor": names[0] if names else platform.processor(),
        "cpus": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        **_BEFORE,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
