"""Tests of a ledger in a SQLite file: read wherever possible, waited for while locked, and called damaged if it is."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from simulation import Simulation, open_driver, rows_of, small_spec, swept

import sweeps
from sweeps.errors import LedgerError
from sweeps.search.history import Noted
from sweeps.store import ledger as ledgers
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger

# SQLite asks the system, which allows root everything; a read-only mount refuses root too.
READ_ONLY = "mount --bind {0} {0} && mount -o remount,ro,bind {0} && echo mounted && "
COUNT = "import sys, sweeps; print(len(sweeps.load('bowl', results=sys.argv[1]).history.trials))"


def read_where_nothing_is_written(results: Path) -> str:
    """Return the number of trials that another process reads from a read-only mount, or its error."""
    command = READ_ONLY.format(results) + f'{sys.executable} -c "{COUNT}" {results}'
    done = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, check=False)
    mounted, _, counted = done.stdout.partition("\n")
    if mounted != "mounted":
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    return counted.strip() or done.stderr


@pytest.mark.parametrize("left", ["nothing", "empty log", "log"])
def test_a_sweep_is_read_on_a_read_only_medium(tmp_path: Path, left: str) -> None:
    folder = SweepFolder(tmp_path / "results", "bowl")
    driver = open_driver(folder, small_spec())
    driver.start({})
    Simulation(driver).run()
    files = [folder.ledger.with_name(f"ledger.sqlite{end}") for end in ("", "-wal")]
    if left == "log":  # as after a kill, when the rows are in the log alone
        copies = [file.read_bytes() for file in files]
        assert len(copies[1]) > 0
    driver._ledger.close()
    if left == "log":
        for file, content in zip(files, copies, strict=True):
            file.write_bytes(content)
    elif left == "empty log":
        files[1].touch()
    files[0].with_name("ledger.sqlite-shm").unlink(missing_ok=True)

    assert read_where_nothing_is_written(folder.results) == str(len(driver.history.trials))


@pytest.mark.parametrize(
    ("code", "is_damage"),
    [
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_BUSY | 2 << 8, False),
        (sqlite3.SQLITE_CANTOPEN, False),
        (sqlite3.SQLITE_READONLY | 5 << 8, False),
        (sqlite3.SQLITE_IOERR | 1 << 8, False),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_PERM, False),
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_ERROR, True),  # such as a missing table
    ],
)
def test_only_a_file_that_is_no_sound_ledger_is_called_damaged(
    code: int, is_damage: bool, folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.create()
    Ledger.create(folder.ledger, small_spec()).close()

    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorcode = code
        raise sa.exc.OperationalError("SELECT", {}, error)

    monkeypatch.setattr(Ledger, "_check", fail)
    with pytest.raises(LedgerError, match="what SQLite says") as caught:
        Ledger.open(folder.ledger, read_only=True)
    assert ("is damaged" in str(caught.value)) is is_damage


@pytest.fixture
def held(folder: SweepFolder) -> tuple[Ledger, sqlite3.Connection]:
    """Return an open ledger, and another connection that holds its lock."""
    folder.create()
    opened = Ledger.create(folder.ledger, small_spec())
    other = sqlite3.connect(folder.ledger, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return opened, other


def test_a_locked_ledger_is_waited_for_and_the_row_is_there_once(held: tuple[Ledger, sqlite3.Connection]) -> None:
    opened, other = held
    said: list[str] = []

    def hear(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            other.execute("ROLLBACK")

    opened.say = hear
    opened.append(Noted("alive", {}))

    assert "is locked by another process (database is locked): trying for 60 s" in said[0]
    assert "nothing is lost" in said[1]
    assert [row for _, row in opened.rows()] == [Noted("alive", {})]
    assert len(opened.outages()) == 1


def test_a_ledger_that_stays_locked_is_not_called_damaged(
    held: tuple[Ledger, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "PATIENCE", 0.5)
    with pytest.raises(LedgerError, match=r"database is locked.*end what holds it") as caught:
        held[0].append(Noted("alive", {}))
    assert "damaged" not in str(caught.value)


@pytest.fixture
def locked(folder: SweepFolder) -> sqlite3.Connection:
    """Return a connection that keeps a ledger locked for itself."""
    folder.create()
    Ledger.create(folder.ledger, small_spec()).close()
    other = sqlite3.connect(folder.ledger, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    return other


def test_a_driver_waits_for_a_ledger_that_is_locked_when_it_starts(
    folder: SweepFolder, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def hear(text: str) -> None:
        said.append(text)
        locked.close()

    monkeypatch.setattr(ledgers, "_print", hear)
    with closing(Ledger.open(folder.ledger)) as opened:
        opened.append(Noted("alive", {}))
    assert [line.partition(")")[2] for line in said] == [": trying for 60 s to go on"]


def test_a_driver_says_what_to_do_where_a_ledger_stays_locked(
    folder: SweepFolder, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "PATIENCE", 0.2)
    with pytest.raises(LedgerError, match=r"database is locked.*end what holds it") as caught:
        Ledger.open(folder.ledger)
    assert "damaged" not in str(caught.value)
    locked.close()


def test_a_folder_that_was_renamed_is_a_sweep_of_its_new_name(
    tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    before = swept(tmp_path / "results", "bowl")
    rows = rows_of(before)
    after = SweepFolder(tmp_path / "results", "paper")
    shutil.move(before.path, after.path)

    assert sweeps.load("paper", results=after.results).spec.name == "paper"
    for command in (("list",), ("show", "paper"), ("verify", "paper"), ("report", "paper")):
        code, out, err = call(*command, "--results", str(after.results))
        assert code == 0, err
        assert "sweeps show bowl" not in out
    assert rows_of(after) == rows
