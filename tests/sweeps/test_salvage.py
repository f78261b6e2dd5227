"""Tests of saving a ledger: all of a whole one; of a damaged one the rows before the damage, which is named."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from simulation import Simulation, open_driver, rows_of, small_spec

import sweeps
from sweeps.errors import LedgerError
from sweeps.store.folders import SweepFolder

# So few rows that SQLite does not yet move any from its log into the file.
SPEC = small_spec(selection={"candidates": 3, "seeds": 2, "published_seeds": 1})


@pytest.fixture
def finished(folder: SweepFolder) -> SweepFolder:
    driver = open_driver(folder, SPEC)
    driver.start({})
    Simulation(driver).run()
    folder.spec.write_text(driver.spec.to_toml(), "utf-8")
    return folder


def lines(place: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (place / "rows.jsonl").read_text().splitlines()]


def test_a_whole_ledger_is_exported_whole(finished: SweepFolder, tmp_path: Path, call) -> None:
    code, out, _ = call("export", "bowl", "--to", str(tmp_path / "saved"))
    count = len(rows_of(finished))

    assert (code, out) == (0, f"exported: {count} of {count} rows of bowl to {tmp_path / 'saved'}\n")
    trials = pd.read_parquet(tmp_path / "saved" / "trials.parquet")
    pd.testing.assert_frame_equal(trials, sweeps.load("bowl", results=finished.results).trials)
    assert [line["seq"] for line in sorted(lines(tmp_path / "saved"), key=lambda line: str(line["seq"]))]
    assert all(line["sound"] for line in lines(tmp_path / "saved"))


def overwrite_pages(path: Path) -> None:
    """Overwrite the middle third of the file, so some pages of some tables are lost, but not the first ones."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(b"\xa5" * (size // 3))


def change_a_value(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE measurements SET seconds = seconds + 1 WHERE seq = (SELECT max(seq) FROM measurements)"
        )


def lose_a_row(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM decisions WHERE seq = (SELECT max(seq) FROM decisions)")


def lose_the_spec(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM sweep")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (overwrite_pages, "can't be read to its end"),
        (change_a_value, "in measurements, was changed after it was written"),
        (lose_a_row, "is missing"),
    ],
)
def test_of_a_damaged_ledger_the_rows_before_the_damage_are_saved(
    finished: SweepFolder, tmp_path: Path, damage: Callable[[Path], None], word: str
) -> None:
    before = rows_of(finished)
    damage(finished.ledger)
    saved = sweeps.export("bowl", tmp_path / "saved", results=finished.results)

    assert word in saved.damage
    assert saved.sound < len(before)
    if damage is not overwrite_pages:
        assert saved.sound > len(before) // 5
    measured = pd.read_parquet(tmp_path / "saved" / "measurements.parquet")
    assert set(measured["seq"]) == {s.seq for s, r in before[: saved.sound] if type(r).__name__ == "Measured"}
    assert sum(bool(line["sound"]) for line in lines(tmp_path / "saved")) == saved.sound


def test_a_damaged_ledger_is_refused_and_says_how_to_save_it(finished: SweepFolder, call) -> None:
    overwrite_pages(finished.ledger)
    code, _, err = call("resume", "bowl")

    assert code == 4
    assert err.count("\n") == 1
    assert "is damaged" in err
    assert "`sweeps export` saves what can be read" in err
    code, out, _ = call("export", "bowl", "--to", "saved")
    assert code == 1
    assert "damaged: " in out


def test_a_lost_spec_is_taken_from_the_sweeps_folder(finished: SweepFolder, tmp_path: Path) -> None:
    lose_the_spec(finished.ledger)

    saved = sweeps.export("bowl", tmp_path / "saved", results=finished.results)
    assert (saved.sound, saved.damage) == (len(rows_of_file(tmp_path)), "")


def rows_of_file(place: Path) -> list[dict[str, object]]:
    return lines(place / "saved")


def test_a_spec_that_was_changed_is_not_taken_for_the_sweeps(finished: SweepFolder, tmp_path: Path) -> None:
    with sqlite3.connect(finished.ledger) as connection:
        connection.execute("UPDATE sweep SET spec = replace(spec, '9', '8')")

    sweeps.export("bowl", tmp_path / "saved", results=finished.results)
    stored = pq.read_schema(tmp_path / "saved" / "trials.parquet").metadata[b"spec"].decode()
    assert stored == SPEC.to_toml()


@pytest.mark.parametrize("value", ["x'00ff'", "'text'"])
def test_a_value_of_another_kind_is_damage(finished: SweepFolder, tmp_path: Path, value: str) -> None:
    with sqlite3.connect(finished.ledger) as connection:
        last = "(SELECT max(seq) FROM measurements)"
        connection.execute(f"UPDATE measurements SET fidelity = {value} WHERE seq = {last}")

    saved = sweeps.export("bowl", tmp_path / "saved", results=finished.results)
    assert "in measurements, can't be read" in saved.damage
    assert "in measurements, was changed" in str(sweeps.verify("bowl", results=finished.results).difference)


def test_where_nothing_can_be_read_that_is_one_line(finished: SweepFolder, tmp_path: Path) -> None:
    for file in finished.path.glob("ledger.sqlite*"):
        file.unlink()  # its log too, which may hold all rows; connections that have them open keep them
    finished.ledger.write_bytes(b"no database at all, whatever its name says" * 100)

    with pytest.raises(LedgerError, match=r"nothing can be saved of the ledger .*ledger.sqlite"):
        sweeps.export("bowl", tmp_path / "saved", results=finished.results)
    assert not (tmp_path / "saved").exists()


def test_a_folder_that_cannot_be_written_is_one_line(finished: SweepFolder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LedgerError, match=r"file can't be written .*choose another with --to"):
        sweeps.export("bowl", tmp_path / "file", results=finished.results)
