"""Where a sweep's files lie below the results folder."""

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

_PROBE = 2**22  # bytes, about what a checkpoint of the small CNN has


def first_there(paths: Sequence[Path], store: ObjectStore | None) -> Path | None:
    """The first of some files that is there, brought here from its store; None where none is."""
    return next((path for path in paths if (store.fetch(path) if store else path.exists())), None)


@contextmanager
def writing(results: Path) -> Iterator[None]:
    """Word what the system says where the results folder can't be written, as LedgerError."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"the results folder {as_path(results).absolute()} can't be written ({error.strerror}): "
            "choose another with --results"
        ) from error


def check_writable(results: Path) -> None:
    """Find out before any work is done whether its results can be kept; LedgerError if not. Leaves nothing behind."""
    if object_store(results) is not None:
        raise SpecError(f"results: only a sweep can lie in an object store: give a folder in place of {results}")
    folder = as_path(results).absolute()
    with writing(results):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        probe = there / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()


def results_option(results: Path | str) -> dict[str, str]:
    """Return the option with which a `command` finds a sweep again, none for the default folder."""
    if object_store(results) is None and as_path(results).absolute() == Path("results").absolute():
        return {}
    return {"results": str(results)}


def size_of(folder: Path) -> int:
    """Of all files below a folder, bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


@dataclass(frozen=True)
class SweepFolder:
    """The files of one sweep below the results folder: results/sweeps/<name>/.

    results: a folder, or the URL of one in an object store; then the folder of this machine's copy.
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
        """The results folder as a person gives it: its URL where it is in an object store."""
        return self.store.url if self.store else self.results

    def command(self, verb: str, *words: object, **options: object) -> str:
        """Return a command about this sweep, as `sweeps.commands.command`, that finds it from the working folder."""
        return command(verb, self.name, *words, **options, **self.where)

    @property
    def where(self) -> dict[str, str]:
        """Return the option with which a `command` finds its results folder from the working folder."""
        return results_option(self.home)

    @property
    def shown(self) -> Path | str:
        """The sweep's own folder, as a person finds it."""
        return f"{self.store.url}/sweeps/{self.name}" if self.store else self.path

    def beside(self, name: str) -> "SweepFolder":
        """The folder of another sweep of the same results."""
        return SweepFolder(Path(self.home), name)

    def named(self, spec: SweepSpec) -> SweepSpec:
        """Return the spec under the name of this folder, which a user may have renamed."""
        return spec if spec.name == self.name else spec.model_copy(update={"name": self.name})

    @property
    def names(self) -> list[str]:
        """What lies at the top of the sweep's folder."""
        return self.store.names(self.path) if self.store else _names(self.path)

    def size(self, folder: Path) -> int:
        """Of all files below a folder of the sweep's, bytes."""
        return self.store.size(folder) if self.store else size_of(folder)

    def experiment(self, stored: str) -> Path:
        """The folder of a stored model, which never changes, below the results."""
        if Path(stored).is_absolute() or ".." in Path(stored).parts:
            raise LedgerError(f"the ledger of {self.name!r} names a model outside its results: {stored!r}")
        path = self.results / stored
        if self.store:
            self.store.complete(path)
        return path

    def fetched(self, path: Path) -> Path:
        """A file of the folder, brought up to date where it is in an object store."""
        if self.store:
            self.store.fetch(path)
        return path

    def discard(self, path: Path) -> None:
        """Remove a file of the folder, wherever it is."""
        path.unlink(missing_ok=True)
        if self.store:
            self.store.delete(path)

    def takes_files(self) -> bool:
        """Whether a file of a checkpoint's size can be written here, as it is for a moment."""
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
        """Bring what this machine's copy has at the top up to date: another may have gone on with the sweep since."""
        for path in sorted(self.path.iterdir()) if self.store else ():
            if path.is_file() and path != self.lease and not path.name.startswith("."):
                self.fetched(path)

    def send(self) -> None:
        """Put what lies at the top of the sweep's folder (spec, tables, report, figures) into its object store."""
        for path in sorted(self.path.iterdir()) if self.store else ():
            if self.store and path.is_file() and path != self.lease and not path.name.startswith("."):
                self.store.send(path)

    def drop(self, folder: Path) -> None:
        """Remove a folder of the sweep's, wherever it is."""
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
        """In place of a ledger: the URL of one in PostgreSQL, without its password."""
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
        """A trial's last checkpoint, by workers that began after so many breaks with earlier ones."""
        return self.checkpoints / label / (str(breaks) if breaks else "") / "checkpoint.pt"

    def written_checkpoints(self, trial: Trial) -> tuple[Path, ...]:
        """Where a trial's last checkpoint is looked for, in this order: the newest that is there is the last.

        A worker that was given up may live on, where it was cut off: were there one file, it would write what it does
        into that of its successor.
        """
        return tuple(self.checkpoint(trial.key.label, n) for n in range(trial.breaks, trial.since - 1, -1))

    def figure(self, name: str) -> Path:
        return self.path / f"{name}.png"

    def table(self, name: str) -> Path:
        return self.path / f"{name}.parquet"

    def create(self) -> None:
        """Make the folders, or raise LedgerError if the results folder can't be written."""
        check_writable(self.results)
        if self.store:
            self.store.check()
        with writing(self.results):
            for folder in (self.path, self.logs, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)

    def require(self) -> "SweepFolder":
        """Give the folder back if a sweep is in it, else raise SweepNotFoundError with the names there are."""
        if self.holds_sweep:
            return self
        names = ", ".join(folder.name for folder in list_folders(Path(self.home))) or "none"
        raise SweepNotFoundError(
            f"no sweep named {self.name!r} in {self.home} (there: {names}): see `sweeps list`, or give --results"
        )


def list_folders(results: Path) -> list[SweepFolder]:
    """All sweeps below a results folder, by name."""
    if store := object_store(results):
        names = store.names(store.copy / "sweeps")
    else:
        names = _names(as_path(results).absolute() / "sweeps")
    folders = (SweepFolder(results, name) for name in names if is_name(name))
    return [folder for folder in folders if folder.holds_sweep]
