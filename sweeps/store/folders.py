"""Locations of a sweep's files below the results folder."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

from sweeps.commands import command
from sweeps.errors import LedgerError, SpecError, SweepNotFoundError
from sweeps.names import as_path, check_name, is_name
from sweeps.search.history import Trial
from sweeps.spec import SweepSpec
from sweeps.store.objects import ObjectStore, object_store

_PROBE = 2**22  # bytes, about the size of a checkpoint of the small CNN


def first_there(paths: Sequence[Path], store: ObjectStore | None) -> Path | None:
    """Return the first of several files that exists, fetched if it is in a store, or None if none exists."""
    return next((path for path in paths if (store.fetch(path) if store else path.exists())), None)


@contextmanager
def writing(results: Path) -> Iterator[None]:
    """Turn an OSError into a LedgerError that says why the results folder can't be written."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"the results folder {as_path(results).absolute()} can't be written ({error.strerror}): "
            "choose another with --results"
        ) from error


def check_writable(results: Path) -> None:
    """Check, before any work is done, that its results can be kept; leave nothing behind.

    Raises:
        LedgerError: The folder can't be written.
        SpecError: The results are in an object store, which takes only sweeps.
    """
    if object_store(results) is not None:
        raise SpecError(f"results: only a sweep can lie in an object store: give a folder instead of {results}")
    folder = as_path(results).absolute()
    with writing(results):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        probe = there / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()


def results_option(results: Path | str) -> dict[str, str]:
    """Return the option with which a `command` finds a results folder, or none for the default folder."""
    if object_store(results) is None and as_path(results).absolute() == Path("results").absolute():
        return {}
    return {"results": str(results)}


def size_of(folder: Path) -> int:
    """Return the size of all files below a folder in bytes; symbolic links are not counted."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


@dataclass(frozen=True)
class SweepFolder:
    """The files of one sweep below the results folder: results/sweeps/<name>/.

    Attributes:
        results: The results folder, or the folder of this machine's copy if a URL in an object store is given.
        name: The name of the sweep.
        store: The object store of the results, or None.
    """

    results: Path
    name: str
    store: ObjectStore | None = field(init=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "store", object_store(self.results))
        object.__setattr__(self, "results", self.store.copy if self.store else as_path(self.results).absolute())

    @property
    def home(self) -> Path | str:
        """Return the results folder as a user gives it: its URL if it is in an object store."""
        return self.store.url if self.store else self.results

    def command(self, verb: str, *words: object, **options: object) -> str:
        """Return a command about this sweep that finds it from the working folder; see `sweeps.commands.command`."""
        return command(verb, self.name, *words, **options, **self.where)

    @property
    def where(self) -> dict[str, str]:
        """Return the option with which a `command` finds this results folder from the working folder."""
        return results_option(self.home)

    @property
    def shown(self) -> Path | str:
        """Return the sweep's own folder as a user finds it: its URL if it is in an object store."""
        return f"{self.store.url}/sweeps/{self.name}" if self.store else self.path

    def beside(self, name: str) -> "SweepFolder":
        """Return the folder of another sweep in the same results folder."""
        return SweepFolder(Path(self.home), name)

    def named(self, spec: SweepSpec) -> SweepSpec:
        """Return the spec with the name of this folder, which a user may have renamed."""
        return spec if spec.name == self.name else spec.model_copy(update={"name": self.name})

    @property
    def names(self) -> list[str]:
        """Return the names of all entries at the top of the sweep's folder."""
        return self.store.names(self.path) if self.store else _names(self.path)

    def size(self, folder: Path) -> int:
        """Return the size of all files below one of the sweep's folders, in bytes."""
        return self.store.size(folder) if self.store else size_of(folder)

    def experiment(self, stored: str) -> Path:
        """Return the folder of a stored model below the results, complete even if it is in an object store.

        A stored model never changes, so only missing files are fetched.

        Args:
            stored: The model's path relative to the results, from the ledger.

        Raises:
            LedgerError: The path leads outside the results.
        """
        if Path(stored).is_absolute() or ".." in Path(stored).parts:
            raise LedgerError(f"the ledger of {self.name!r} names a model outside its results: {stored!r}")
        path = self.results / stored
        if self.store:
            self.store.complete(path)
        return path

    def fetched(self, path: Path) -> Path:
        """Return a file of the folder, after updating the local copy if it is in an object store."""
        if self.store:
            self.store.fetch(path)
        return path

    def discard(self, path: Path) -> None:
        """Remove a file of the folder, here and in the object store."""
        path.unlink(missing_ok=True)
        if self.store:
            self.store.delete(path)

    def takes_files(self) -> bool:
        """Return whether a file of a checkpoint's size can be written here, by writing one for a moment."""
        try:
            if self.store:
                self.store.check()
            with NamedTemporaryFile(dir=self.checkpoints, prefix=".probe-") as file:
                file.write(bytes(_PROBE))
                file.flush()
                os.fsync(file.fileno())
        except (OSError, LedgerError):
            return False
        return True

    def refresh(self) -> None:
        """Update the files at the top of this machine's copy from the object store, if there is one.

        Another machine may have continued the sweep since they were fetched.
        """
        for path in sorted(self.path.iterdir()) if self.store else ():
            if path.is_file() and path != self.lease and not path.name.startswith("."):
                self.fetched(path)

    def send(self) -> None:
        """Send the files at the top of the sweep's folder (spec, tables, report, figures) to its object store."""
        for path in sorted(self.path.iterdir()) if self.store else ():
            if self.store and path.is_file() and path != self.lease and not path.name.startswith("."):
                self.store.send(path)

    def drop(self, folder: Path) -> None:
        """Remove one of the sweep's folders, here and in the object store."""
        shutil.rmtree(folder, ignore_errors=True)
        if self.store:
            self.store.remove(folder)

    @property
    def path(self) -> Path:
        return self.results / "sweeps" / self.name

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def ledger_url(self) -> Path:
        """Return the file that holds the URL of a ledger in PostgreSQL, without its password."""
        return self.path / "ledger.url"

    @property
    def holds_sweep(self) -> bool:
        self.fetched(self.ledger_url)
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

    def checkpoint(self, label: str, breaks: int = 0) -> Path:
        """Return the path of a trial's last checkpoint from certain workers.

        Args:
            label: The label of the trial.
            breaks: How many breaks with earlier workers there were before these workers began.
        """
        return self.checkpoints / label / (str(breaks) if breaks else "") / "checkpoint.pt"

    def written_checkpoints(self, trial: Trial) -> tuple[Path, ...]:
        """Return the paths where a trial's last checkpoint may be, newest first; the first that exists is the last one.

        There is one for each break, since a worker that was given up may still run after it was cut off. With a single
        path, it would overwrite the checkpoint of its successor.
        """
        return tuple(self.checkpoint(trial.key.label, n) for n in range(trial.breaks, trial.since - 1, -1))

    def figure(self, name: str) -> Path:
        return self.path / f"{name}.png"

    def table(self, name: str) -> Path:
        return self.path / f"{name}.parquet"

    def create(self) -> None:
        """Create the folders, or raise LedgerError if the results folder can't be written."""
        check_writable(self.results)
        if self.store:
            self.store.check()
        with writing(self.results):
            for folder in (self.path, self.logs, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)

    def require(self) -> "SweepFolder":
        """Return this folder if it holds a sweep, or raise SweepNotFoundError with the names that exist."""
        if self.holds_sweep:
            return self
        names = ", ".join(folder.name for folder in list_folders(Path(self.home))) or "none"
        raise SweepNotFoundError(
            f"no sweep named {self.name!r} in {self.home} (there: {names}): see `sweeps list`, or give --results"
        )


def list_folders(results: Path) -> list[SweepFolder]:
    """Return the folders of all sweeps below a results folder, sorted by name."""
    if store := object_store(results):
        names = store.names(store.copy / "sweeps")
    else:
        names = _names(as_path(results).absolute() / "sweeps")
    folders = (SweepFolder(results, name) for name in names if is_name(name))
    return [folder for folder in folders if folder.holds_sweep]
