"""Hyperparameter sweeps over search spaces, driven from a ledger, ending in a model that replays bit for bit."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.comparison import Replay as Replay
    from sweeps.api import ablate as ablate
    from sweeps.api import ablation_path as ablation_path
    from sweeps.api import baseline as baseline
    from sweeps.api import compare as compare
    from sweeps.api import export as export
    from sweeps.api import load as load
    from sweeps.api import resume as resume
    from sweeps.api import run as run
    from sweeps.api import select as select
    from sweeps.api import verify as verify
    from sweeps.cluster.jobs import Cluster as Cluster
    from sweeps.cluster.jobs import Job as Job
    from sweeps.cluster.jobs import connect as connect
    from sweeps.comparison import Comparison as Comparison
    from sweeps.errors import InterruptedSweepError as InterruptedSweepError
    from sweeps.errors import LeaseError as LeaseError
    from sweeps.errors import LedgerError as LedgerError
    from sweeps.errors import OutcomeError as OutcomeError
    from sweeps.errors import ResourceError as ResourceError
    from sweeps.errors import SpecError as SpecError
    from sweeps.errors import SweepError as SweepError
    from sweeps.errors import SweepNotFoundError as SweepNotFoundError
    from sweeps.result import Result as Result
    from sweeps.search.verification import Verification as Verification
    from sweeps.spec import SweepSpec as SweepSpec
    from sweeps.spec import load_spec as load_spec
    from sweeps.spec_files import preset_names as preset_names

_MODULES = {
    "ablate": "api",
    "ablation_path": "api",
    "baseline": "api",
    "compare": "api",
    "export": "api",
    "load": "api",
    "resume": "api",
    "run": "api",
    "select": "api",
    "verify": "api",
    "Cluster": "cluster.jobs",
    "Job": "cluster.jobs",
    "connect": "cluster.jobs",
    "Comparison": "comparison",
    "InterruptedSweepError": "errors",
    "LeaseError": "errors",
    "LedgerError": "errors",
    "OutcomeError": "errors",
    "ResourceError": "errors",
    "SpecError": "errors",
    "SweepError": "errors",
    "SweepNotFoundError": "errors",
    "Replay": "execution.replay",
    "Result": "result",
    "Verification": "search.verification",
    "SweepSpec": "spec",
    "load_spec": "spec",
    "preset_names": "spec_files",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605


def _check_neighbours() -> None:
    """Raise ImportError if a module of the user hides a package that this one needs."""
    for name in ("search_spaces", "study"):
        found = find_spec(name)
        if found is not None and found.origin and Path(found.origin).parents[1] != Path(__file__).parents[1]:
            raise ImportError(f"your {found.origin} hides the package {name!r}, which sweeps needs: rename your file")


_check_neighbours()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
