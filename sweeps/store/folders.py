"""Where a sweep's files lie below the results folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweeps.errors import LedgerError, SweepNotFoundError
from sweeps.names import check_name, is_name


@contextmanager
def writing(results: Path) -> Iterator[None]:
    """Word what the system says where the results folder can't be written, as LedgerError."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"the results folder {Path(results).absolute()} can't be written ({error.strerror}): "
            "choose another with --results"
        ) from error


def check_writable(results: Path) -> None:
    """Find out before any work is done whether its results can be kept; LedgerError if not. Leaves nothing behind."""
    folder = Path(results).absolute()
    with writing(results):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        probe = there / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()


@dataclass(frozen=True)
class SweepFolder:
    """The files of one sweep below the results folder: results/sweeps/<name>/."""

    results: Path
    name: str

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "results", Path(self.results).absolute())

    @property
    def path(self) -> Path:
        return self.results / "sweeps" / self.name

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def ledger_url(self) -> Path:
        """In place of a ledger: the URL of one in PostgreSQL, without its password."""
        return self.path / "ledger.url"

    @property
    def holds_sweep(self) -> bool:
        return self.ledger.exists() or self.ledger_url.exists()

    @property
    def lease(self) -> Path:
        return self.path / "ledger.lock"

    @property
    def spec(self) -> Path:
        return self.path / "sweep.toml"

    @property
    def best(self) -> Path:
        return self.path / "best.toml"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def log(self, label: str) -> Path:
        return self.logs / f"{label}.log"

    def checkpoint(self, label: str) -> Path:
        return self.checkpoints / label / "checkpoint.pt"

    def figure(self, name: str) -> Path:
        return self.path / f"{name}.png"

    def table(self, name: str) -> Path:
        return self.path / f"{name}.parquet"

    def create(self) -> None:
        """Make the folders, or raise LedgerError if the results folder can't be written."""
        check_writable(self.results)
        with writing(self.results):
            for folder in (self.path, self.logs, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)

    def require(self) -> "SweepFolder":
        """Give the folder back if a sweep is in it, else raise SweepNotFoundError with the names there are."""
        if self.holds_sweep:
            return self
        names = ", ".join(folder.name for folder in list_folders(self.results)) or "none"
        raise SweepNotFoundError(
            f"no sweep named {self.name!r} in {self.results} (there: {names}): see `sweeps list`, or give --results"
        )


def list_folders(results: Path) -> list[SweepFolder]:
    """All sweeps below a results folder, by name."""
    root = Path(results).absolute() / "sweeps"
    if not root.is_dir():
        return []
    folders = (SweepFolder(results, entry.name) for entry in sorted(root.iterdir()) if is_name(entry.name))
    return [folder for folder in folders if folder.holds_sweep]
