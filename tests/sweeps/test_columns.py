"""Tests of tables: each value has its own column, whatever its name, and whatever is wrong with one of the others."""

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulation import small_spec, swept

import sweeps
from search_spaces import Scalar
from study.measurement import Measurement
from sweeps.search.history import Asked, History, Measured, Moved, Row, Stamp, TrialKey
from sweeps.spec import SweepSpec
from sweeps.store.columns import SOURCE, Column
from sweeps.store.export import tables, to_frame, write_tables
from sweeps.store.rows import dump_json, load_json
from sweeps.terminal.tables import records

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
TAKEN = ("trial", "state", "loss", "metric_loss", "metric_metric_loss", "seconds", "reason", "value", "digest", "x")
NAMES = st.one_of(TEXTS, st.sampled_from(TAKEN))


def history_of(rows: Sequence[Row]) -> History:
    return History((Stamp(seq, 0.0), row) for seq, row in enumerate(rows, start=1))


def one_trial(params: dict[str, Scalar], values: dict[str, float]) -> History:
    key = TrialKey(0)
    return history_of(
        [Asked(key, params, 1, 0), Measured(key, Measurement(1, 1, 9.0, 0.5, values)), Moved(key, "complete", "done")]
    )


def by_source(table: pa.Table) -> dict[str, Any]:
    """Return the first value of each column that holds a user's parameter or metric, by the user's name for it."""
    named = [field for field in table.schema if SOURCE.encode() in (field.metadata or {})]
    return {field.metadata[SOURCE.encode()].decode(): table[field.name][0].as_py() for field in named}


@settings(max_examples=60, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True))
@example(names=list(TAKEN[:5]))
def test_parameters_of_any_name_have_columns_of_their_own(names: list[str]) -> None:
    spec = small_spec(space={name: {"float": [0.0, 9.0]} for name in names})
    params: dict[str, Scalar] = {name: float(place) for place, name in enumerate(names)}
    table = tables(spec, one_trial(params, {"loss": 1.0}))["trials"]

    assert len(set(table.column_names)) == len(table.column_names)
    assert {name: by_source(table)[name] for name in names if name != "loss"} == {
        name: value for name, value in params.items() if name != "loss"
    }


@settings(max_examples=60, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True))
@example(names=["seconds", "metric_seconds", "metric_metric_seconds"])
def test_metrics_of_any_name_have_columns_of_their_own(names: list[str]) -> None:
    values = {"loss": 1.0} | {name: float(place) for place, name in enumerate(names)}
    table = tables(small_spec(), one_trial({"kind": "a", "x": 0.5}, values))["measurements"]

    assert len(set(table.column_names)) == len(table.column_names)
    assert by_source(table) == values


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.one_of(
            st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS
        ),
        min_size=2,
        max_size=5,
        unique_by=lambda value: (type(value) is str, value),
    )
)
@example(values=[1, "1"])
@example(values=[True, "True", 0.5])
def test_choices_that_differ_by_type_stay_apart(values: list[Scalar]) -> None:
    spec = small_spec(space={"kind": {"choice": values}})
    made = [tables(spec, one_trial({"kind": value}, {"loss": 1.0}))["trials"] for value in values]
    found = [by_source(table)["kind"] for table in made]
    kinds = {type(value) for value in values}
    told = [json.loads(text) for text in found] if isinstance(found[0], str) and kinds != {str} else found

    assert len({(type(one), one) for one in found}) == len(values)
    assert told == values
    assert [records(to_frame(table))[0]["kind"] for table in made] == values


@given(st.floats())
def test_json_gives_every_number_back_bit_for_bit(value: float) -> None:
    again = load_json(dump_json({"value": value}))["value"]

    assert math.isnan(again) if math.isnan(value) else struct.pack("d", again) == struct.pack("d", value)


def shown(value: Any) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "wrong", [2**70, "text", "caf\udce9", Unprintable(), [1]], ids=lambda value: type(value).__name__
)
def test_whatever_is_wrong_with_a_value_the_others_are_kept(wrong: Any) -> None:
    rows = [1.5, wrong, None, 2.5]
    field, values, why = Column("x", pa.float64(), "", "a number", lambda row: row).array(rows)

    assert why
    assert field.metadata[b"degraded"].startswith(b"text, since ")
    assert [values[0].as_py(), values[2].as_py(), values[3].as_py()] == ["1.5", None, "2.5"]
    assert values[1].as_py() == ("can't be shown (RuntimeError)" if isinstance(wrong, Unprintable) else shown(wrong))


def test_a_sweep_that_is_over_has_no_paused_trials(tmp_path: Path) -> None:
    folder = swept(tmp_path, "bowl", trials=20)
    result = sweeps.load("bowl", results=tmp_path)
    left = [trial.key.number for trial in result.history.search if trial.state == "paused"]

    assert left
    for frame in (result.trials, result.measurements, pq.read_table(folder.table("trials")).to_pandas()):
        of_the_search = frame[frame["trial"].isin(left) & (frame.get("replicate", 0) == 0)]
        assert set(of_the_search["state"]) == {"stopped at a rung"}
        assert "paused" not in set(frame["state"])


def test_a_file_that_cannot_be_written_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "trials.parquet" / "of-someone").mkdir(parents=True)
    with pytest.raises(OSError, match=r"trials\.parquet"):
        write_tables(tmp_path, small_spec(), one_trial({"kind": "a", "x": 0.5}, {"loss": 1.0}), print)

    assert (tmp_path / "measurements.parquet").is_file()


def test_a_column_that_fails_leaves_the_rest_of_the_tables_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec: SweepSpec = small_spec()
    history = one_trial({"kind": "a", "x": 0.5}, {"loss": 1.0})
    history.trials[TrialKey(0)].params["x"] = "not a number"  # type: ignore[index]
    said: list[str] = []
    write_tables(tmp_path, spec, history, said.append)

    trials = pq.read_table(tmp_path / "trials.parquet")
    assert by_source(trials)["x"] == "not a number"
    assert by_source(trials)["kind"] == "a"
    assert (tmp_path / "measurements.parquet").exists()
    assert len(said) == 1
    assert "x" in said[0]
