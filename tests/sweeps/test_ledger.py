"""The ledger: what is committed comes back exactly, and what is damaged is refused."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import small_spec

from study.measurement import Measurement
from sweeps.errors import LedgerError
from sweeps.search.history import Asked, Decided, Measured, Moved, Noted, Row, TrialKey
from sweeps.store.ledger import Ledger, dump_json, load_json

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
    """Canonical text, in which NaN equals NaN and the order of keys does not count."""
    return type(row).__name__ + dump_json(asdict(row))


@settings(max_examples=20)
@given(st.lists(rows, max_size=20))
def test_committed_rows_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, written: list[Row]) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    ledger = Ledger.create(path, small_spec())
    stamps = [ledger.append(row) for row in _without_repeats(written)]
    ledger.close()

    found = Ledger.open(path).rows()

    assert [stamp for stamp, _ in found] == stamps
    assert [text(row) for _, row in found] == [text(row) for row in _without_repeats(written)]


def _without_repeats(written: list[Row]) -> list[Row]:
    """A trial is asked for once, a report is made once, a verdict is given once: what the store itself enforces."""
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


@given(st.dictionaries(names, scalars, min_size=1))
def test_json_keeps_every_value_and_its_type(value: dict[str, object]) -> None:
    assert repr(sorted(load_json(dump_json(value)).items())) == repr(sorted(value.items()))


def test_nan_and_infinities_are_written_as_strict_json() -> None:
    text = dump_json({"a": math.nan, "b": -math.inf})

    assert "NaN" not in text
    assert load_json(text)["b"] == -math.inf


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.create(path, small_spec())
    for number in range(300):
        ledger.append(Asked(TrialKey(number), {"x": number / 300}, number, number))
    ledger.close()
    return path


def test_an_existing_ledger_is_not_overwritten(filled: Path) -> None:
    with pytest.raises(LedgerError, match="sweeps resume bowl"):
        Ledger.create(filled, small_spec())

    assert len(Ledger.open(filled).rows()) == 300


def test_a_missing_row_is_seen_and_counted(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute("DELETE FROM trials WHERE seq IN (17, 18)")

    with pytest.raises(LedgerError, match=r"damaged.*2 of its 300 rows are missing"):
        Ledger.open(filled)


def test_overwritten_pages_are_seen_and_left_alone(filled: Path) -> None:
    content = bytearray(filled.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    filled.write_bytes(content)

    with pytest.raises(LedgerError, match="damaged"):
        Ledger.open(filled).rows()

    assert filled.read_bytes() == content


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("not a ledger " * 1000)

    with pytest.raises(LedgerError, match="damaged"):
        Ledger.open(path)


def test_another_schema_version_is_refused_by_number(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute("UPDATE sweep SET schema_version = 99")

    with pytest.raises(LedgerError, match=r"schema version \[99\]"):
        Ledger.open(filled)


def test_a_changed_spec_does_not_pass_as_the_one_that_ran(filled: Path) -> None:
    with sqlite3.connect(filled) as connection:
        connection.execute("UPDATE sweep SET spec = replace(spec, '\"trials\": 12', '\"trials\": 13')")

    with pytest.raises(LedgerError, match="hash"):
        Ledger.open(filled).spec()


def test_the_spec_comes_back_equal(filled: Path) -> None:
    assert Ledger.open(filled, read_only=True).spec() == small_spec()


def test_a_read_only_ledger_can_be_read_beside_its_writer(filled: Path) -> None:
    writer = Ledger.open(filled)
    reader = Ledger.open(filled, read_only=True)
    writer.append(Noted("late", {}))

    assert len(reader.rows()) == 301


_WRITER = """
import sys
from pathlib import Path
from simulation import small_spec
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
