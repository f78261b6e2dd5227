"""What a benchmark's numbers hang on: hardware, versions, commit and load, for the metadata of its table."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path


def _commit() -> str:
    """Of this working copy, with a + where files differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        differs = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("+" if differs else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a working copy of git"


# Before the benchmark does anything: it may run for an hour, while files change.
_BEFORE = {"commit": _commit(), "load before": f"{os.getloadavg()[0]:.2f}"}


def in_turn(arms: Iterable[str], turn: int) -> list[str]:
    """The arms of a round, another first in each, so that none always runs behind the same."""
    arms = list(arms)
    return arms[turn % len(arms) :] + arms[: turn % len(arms)]


def provenance(*more: str) -> dict[str, str]:
    """Processor, CPUs, their load before the start, commit, and the versions that matter; more: further packages."""
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
