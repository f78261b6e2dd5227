"""Tests of the ledger: committed rows come back exactly, and a damaged ledger is refused."""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import small_spec
from strange import FOLDERS

from study.measurement import Measurement
from sweeps.errors import LedgerError
from sweeps.search.history import Asked, Decided, History, Measured, Moved, Noted, Row, TrialKey
from sweeps.store.ledger import Ledger, Place
from sweeps.store.postgresql import Database
from sweeps.store.rows import dump_json, load_json
from sweeps.store.sqlite import File

floats = st.floats(allow_nan=True, allow_infinity=True)
scalars = st.booleans() | st.integers(-(2**53), 2**53) | floats | st.text(max_size=8)
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(0, 10**6)
rows = st.one_of(
    st.builds(Asked, st.just(TrialKey(7)), st.dictionaries(names, scalars), st.integers(0, 2**63 - 1), numbers),
    st.builds(
        Measured,
        st.just(TrialKey(7)),
        st.builds(
            Measurement,
            numbers,
            numbers,
            st.floats(0, 1e6),
            st.floats(0, 1e6),
            st.dictionaries(names, floats),
            st.none() | names,
        ),
        st.none() | names,
    ),
    st.builds(
        Decided,
        st.just(TrialKey(7)),
        st.integers(-1, 9),
        st.floats(0, 100),
        st.sampled_from(["continue", "pause", "promote", "stop"]),
        names,
        numbers,
    ),
    st.builds(Moved, st.just(TrialKey(7, 2)), st.sampled_from(["cut", "failed", "complete"]), names, names),
    st.builds(Noted, names, st.dictionaries(names, scalars), st.none() | st.just(TrialKey(1, 1))),
)


def text(row: object) -> str:
    """Return a row as canonical text, in which NaN equals NaN and the order of keys does not count."""
    return type(row).__name__ + dump_json(asdict(row))


@settings(max_examples=20)
@given(st.lists(rows, max_size=20))
def test_committed_rows_come_back_exactly(places: Callable[[], Place], written: list[Row]) -> None:
    place = places()
    with closing(Ledger.create(place, small_spec())) as ledger:
        stamps = [ledger.append(row) for row in _without_repeats(written)]

    with closing(Ledger.open(place, read_only=True)) as ledger:
        found = ledger.rows()

    assert [stamp for stamp, _ in found] == stamps
    assert [text(row) for _, row in found] == [text(row) for row in _without_repeats(written)]


def _without_repeats(written: list[Row]) -> list[Row]:
    """Return the rows without repeats that the store refuses: of a trial's Asked, of a report, and of a verdict."""
    unique: dict[object, Row] = {}
    for place, row in enumerate(written):
        match row:
            case Asked():
                unique.setdefault("asked", row)
            case Measured():
                unique.setdefault(row.measurement.report, row)
            case Decided():
                unique.setdefault((row.rung, row.verdict), row)
            case _:
                unique[f"row {place}"] = row
    return list(unique.values())


@pytest.mark.parametrize("value", [{"__float__": 0.5}, {"__float__": "x"}, {"__float__": None}])
def test_a_parameter_of_any_name_stays_one(value: dict[str, object]) -> None:
    assert load_json(dump_json(value)) == value


@given(st.dictionaries(names, scalars, min_size=1))
def test_json_keeps_every_value_and_its_type(value: dict[str, object]) -> None:
    assert repr(sorted(load_json(dump_json(value)).items())) == repr(sorted(value.items()))


def test_nan_and_infinities_are_written_as_strict_json() -> None:
    text = dump_json({"a": math.nan, "b": -math.inf})

    assert "NaN" not in text
    assert load_json(text)["b"] == -math.inf


def test_a_history_follows_what_another_connection_appends(places: Callable[[], Place]) -> None:
    place, history = places(), History()
    with closing(Ledger.create(place, small_spec())) as writer, closing(Ledger.open(place, read_only=True)) as reader:
        assert not reader.follow(history)
        for number in range(3):
            writer.append(Asked(TrialKey(number), {"x": 0.5}, number, 0))
            assert reader.follow(history)
            assert len(history.search) == number + 1
        assert not reader.follow(history)
        assert [stamp.seq for stamp, _ in reader.rows(after=1)] == [2, 3]


def test_a_text_that_no_store_takes_is_written_as_an_escape(places: Callable[[], Place]) -> None:
    place = places()
    with closing(Ledger.create(place, small_spec())) as ledger:
        ledger.append(Moved(TrialKey(0), "failed", "raised", "ValueError: \0 and \udcff"))

    with closing(Ledger.open(place, read_only=True)) as ledger:
        assert ledger.rows()[0][1] == Moved(TrialKey(0), "failed", "raised", "ValueError: \\x00 and \\udcff")


@pytest.mark.parametrize("name", FOLDERS, ids=ascii)
def test_a_ledger_lies_in_its_own_folder_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "ledger.sqlite"
    path.parent.mkdir()

    with closing(Ledger.create(path, small_spec())) as ledger:
        ledger.append(Noted("test", {}))
    with closing(Ledger.open(path, read_only=True)) as ledger:
        rows = ledger.rows()

    assert len(rows) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    files = {entry.name.removesuffix("-wal").removesuffix("-shm") for entry in path.parent.iterdir()}
    assert files == {"ledger.sqlite"}


@pytest.fixture
def filled(places: Callable[[], Place]) -> Place:
    place = places()
    with closing(Ledger.create(place, small_spec())) as ledger:
        for number in range(100):
            ledger.append(Asked(TrialKey(number), {"x": number / 100}, number, number))
    return place


def change(place: Place, statement: str) -> None:
    """Change what is stored, bypassing the ledger."""
    connection = place.connect()
    with connection.begin():
        if isinstance(place, Database):
            connection.exec_driver_sql(f'SET LOCAL search_path = "{place.schema}"')
        connection.exec_driver_sql(statement)
    connection.close()


def test_an_existing_ledger_is_not_overwritten(filled: Place) -> None:
    with pytest.raises(LedgerError, match="sweeps resume bowl"):
        Ledger.create(filled, small_spec())

    with closing(Ledger.open(filled)) as ledger:
        assert len(ledger.rows()) == 100


def test_a_creation_that_fails_leaves_nothing(places: Callable[[], Place], monkeypatch: pytest.MonkeyPatch) -> None:
    place = places()
    with monkeypatch.context() as broken:
        broken.setattr("sweeps.store.ledger.time", None)
        with pytest.raises(AttributeError):
            Ledger.create(place, small_spec())

    assert not place.exists()
    Ledger.create(place, small_spec()).close()


def test_a_ledger_that_is_removed_leaves_its_name_free(filled: Place) -> None:
    Ledger.open(filled).remove()

    assert not filled.exists()
    Ledger.create(filled, small_spec()).close()


def test_a_missing_row_is_seen_and_counted(filled: Place) -> None:
    change(filled, "DELETE FROM trials WHERE seq IN (17, 18)")

    with pytest.raises(LedgerError, match=r"damaged.*2 of its 100 rows are missing"):
        Ledger.open(filled)


@pytest.mark.parametrize("places", ["sqlite"], indirect=True)
def test_overwritten_pages_are_seen_and_left_alone(filled: File) -> None:
    content = bytearray(filled.path.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    filled.path.write_bytes(content)

    with pytest.raises(LedgerError, match="damaged"):
        Ledger.open(filled).rows()

    assert filled.path.read_bytes() == content


def test_a_table_that_is_gone_is_seen(filled: Place) -> None:
    change(filled, "DROP TABLE decisions")

    with pytest.raises(LedgerError, match=r"damaged.*decisions"):
        Ledger.open(filled)


def test_a_row_changed_later_is_named(filled: Place) -> None:
    change(filled, "UPDATE trials SET seed = 0 WHERE seq = 17")

    with closing(Ledger.open(filled)) as ledger:
        assert ledger.first_changed() == "trial 16: row 17, in trials, was changed after it was written"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("not a ledger " * 1000)

    with pytest.raises(LedgerError, match="damaged"):
        Ledger.open(path)


def test_another_schema_version_is_refused_by_number(filled: Place) -> None:
    change(filled, "UPDATE sweep SET schema_version = 99")

    with pytest.raises(LedgerError, match=r"schema version \[99\]"):
        Ledger.open(filled)


def test_a_changed_spec_does_not_pass_as_the_one_that_ran(filled: Place) -> None:
    change(filled, "UPDATE sweep SET spec = replace(spec, '\"trials\": 12', '\"trials\": 13')")

    with closing(Ledger.open(filled)) as ledger, pytest.raises(LedgerError, match="hash"):
        ledger.spec()


def test_the_spec_comes_back_equal(filled: Place) -> None:
    with closing(Ledger.open(filled, read_only=True)) as ledger:
        assert ledger.spec() == small_spec()


def test_a_read_only_ledger_can_be_read_beside_its_writer(filled: Place) -> None:
    with closing(Ledger.open(filled)) as writer, closing(Ledger.open(filled, read_only=True)) as reader:
        writer.append(Noted("late", {}))

        assert len(reader.rows()) == 101


def test_a_read_only_ledger_cannot_be_written(filled: Place) -> None:
    with closing(Ledger.open(filled, read_only=True)) as reader, pytest.raises(LedgerError, match=r"read-?only"):
        reader.append(Noted("late", {}))


def test_all_tables_are_read_as_of_one_moment(filled: Place) -> None:
    with closing(Ledger.open(filled)) as writer, closing(Ledger.open(filled, read_only=True)) as reader:

        @sa.event.listens_for(reader._connection, "after_cursor_execute")
        def _between_two_tables(*_: object) -> None:
            number = writer.append(Noted("late", {})).seq + 1000
            writer.append(Asked(TrialKey(number), {}, 0, 0))
            writer.append(Moved(TrialKey(number), "failed", ""))

        seen = [stamp.seq for stamp, _ in reader.rows()]
        assert seen == list(range(1, len(seen) + 1))
        reader._check()


_WRITER = """
import sys
from pathlib import Path
from simulation import small_spec
from strange import FOLDERS
from sweeps.search.history import Noted
from sweeps.store.ledger import Ledger
ledger = Ledger.create(Path(sys.argv[1]), small_spec())
for number in range(10**6):
    print(ledger.append(Noted("n", {"number": number})).seq, flush=True)
"""


def test_whatever_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    paths = os.pathsep.join([str(Path(__file__).parent), os.getcwd()])
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(200)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().split("\n")[:-1] if line]

    found = [stamp.seq for stamp, _ in Ledger.open(path).rows()]

    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1


@pytest.mark.parametrize(("kind", "said"), [("nfs4", 1), ("fuse.sshfs", 1), ("ext4", 0), ("overlay", 0)])
def test_a_file_that_several_machines_may_open_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, said: int
) -> None:
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(tmp_path), fstype=kind)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    with closing(Ledger.create(tmp_path / "ledger.sqlite", small_spec())) as ledger:
        cautions = ledger.cautions

    assert len(cautions) == said
    assert all("on a network file system (" in caution for caution in cautions)
    assert File(Path("/elsewhere/ledger.sqlite")).cautions == []
