"""Tests of queries over all sweeps at once: those of results/README.md, on two small sweeps with different spaces."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from simulation import swept

import sweeps

README = Path(__file__).parents[2] / "results/README.md"
LEARNS: dict[str, Any] = {"target": "functions:learns", "metric": "validation_accuracy", "direction": "maximize"}
SPACES: dict[str, dict[str, Any]] = {
    "rates": {"optimizer": {"choice": ["sgd", "adam"]}, "learning_rate": {"float": [0.0, 1.0]}},
    "sizes": {"optimizer": "adam", "learning_rate": 0.3, "batch_size": {"choice": [32, 128]}, "sweep": {"int": [1, 9]}},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which `results` has two sweeps."""
    folder = tmp_path_factory.mktemp("queries")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        for name, space in SPACES.items():
            swept(folder / "results", name, **LEARNS, space=space, trials=6, sampler="random")
    return folder


def frame(found: Any) -> pd.DataFrame:
    """Return the result of any of the libraries as a DataFrame of pandas."""
    if isinstance(found, pd.Series):
        return found.reset_index()
    if isinstance(found, pd.DataFrame):
        return found
    return found.df() if hasattr(found, "df") else pd.DataFrame(found.to_dicts())


def rows(found: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return sorted(found[list(columns)].itertuples(index=False, name=None))


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_page_has_the_queries_of_three_libraries() -> None:
    assert [re.match(r"# (\w+)", block).group(1) for block in blocks()] == ["pandas", "polars", "DuckDB"]


@pytest.mark.parametrize("block", blocks(), ids=["pandas", "polars", "duckdb"])
def test_the_queries_find_what_the_ledgers_say(block: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    found: dict[str, Any] = {}
    exec(block, found)  # as a reader would run it
    known = {name: sweeps.load(name, results=place / "results") for name in SPACES}
    outcomes = {name: result.history.outcome or {} for name, result in known.items()}

    tops = {name: result.trials["value"].max() for name, result in known.items()}
    assert known["rates"].trials["value"].isna().any()
    assert rows(frame(found["best"]), "sweep", "value") == sorted(tops.items())

    curves = frame(found["curves"])
    reports = pd.concat(result.measurements.merge(result.trials[["trial", "optimizer"]]) for result in known.values())
    expected = reports[(reports["replicate"] == 0) & (reports["optimizer"] == "adam")]
    numbers = ("sweep", "trial", "report", "validation_accuracy")
    assert len(expected) > 6
    assert rows(curves, *numbers) == rows(expected, *numbers)

    means = [(name, outcome["winner"], outcome["mean"]) for name, outcome in outcomes.items()]
    assert rows(frame(found["winners"]), "sweep", "trial", "published") == sorted(means)
    won = pd.concat(result.trials[result.trials["trial"] == outcomes[name]["winner"]] for name, result in known.items())
    assert rows(frame(found["wins"]), "optimizer", "count") == sorted(won["optimizer"].value_counts().items())

    seeds = frame(found["seeds"])
    seeds = seeds[seeds["purpose"] == "publication"]
    assert set(rows(seeds, "sweep", "trial")) == {(name, outcome["winner"]) for name, outcome in outcomes.items()}
    for name, outcome in outcomes.items():
        assert seeds[seeds["sweep"] == name]["value"].mean() == pytest.approx(outcome["mean"])


@pytest.mark.parametrize("name", ["trials", "measurements", "selection"])
def test_the_first_column_of_each_table_is_the_name_of_its_sweep(place: Path, name: str) -> None:
    table = pq.read_table(place / f"results/sweeps/sizes/{name}.parquet")

    assert table.column_names[0] == "sweep"
    assert set(table["sweep"].to_pylist()) == {"sizes"}
    assert table.schema.field("sweep").metadata[b"meaning"] == b"name of the sweep"
    assert len(set(table.column_names)) == len(table.column_names)


def test_a_parameter_that_is_called_like_the_column_has_another_name(place: Path) -> None:
    table = pq.read_table(place / "results/sweeps/sizes/trials.parquet")

    assert set(table["params_sweep"].to_pylist()) <= set(range(1, 10))
