"""What a benchmark's numbers hang on: hardware and versions, for the metadata of its table."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def provenance(*more: str) -> dict[str, str]:
    """Processor, number of CPUs and the versions that matter; more: further packages."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ("nn-training-study", "torch", "ray", "optuna", *more)
    return {
        "processor": names[0] if names else platform.processor(),
        "cpus": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
