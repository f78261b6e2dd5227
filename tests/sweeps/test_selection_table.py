"""Tests of selection.parquet: candidates' rows say what the selection says, and runs' rows give their results."""

from typing import Any

import pandas as pd
import pytest
from fresh import add, chosen_on, history_of, published_on
from simulation import small_spec

from sweeps.search.history import History, TrialKey
from sweeps.spec import SweepSpec
from sweeps.store.export import tables, to_frame

SELECTION = {"candidates": 2, "seeds": 2, "published_seeds": 2, "racing": False}
SEARCH: dict[TrialKey, float | None] = {TrialKey(0): 0.9, TrialKey(1): 0.1, TrialKey(2): 0.2}
CHOSEN = chosen_on(1, 0.1, 0.3) | chosen_on(2, 0.5, None) | chosen_on(0, 0.8, 0.9)
PUBLICATION = published_on(1, 0.3, 0.5) | published_on(0, 0.6, 0.7)


def table_of(spec: SweepSpec, history: History) -> pd.DataFrame:
    found: pd.DataFrame = to_frame(tables(spec, history)["selection"])
    return found


def test_a_candidates_row_says_what_the_selection_says_of_it() -> None:
    table = table_of(small_spec(selection=SELECTION), history_of(SEARCH | CHOSEN | PUBLICATION))
    rows = table[table["row"] == "candidate"].set_index("trial")

    assert rows["decision"].to_dict() == {1: "winner", 0: "beaten", 2: "out"}
    assert rows["rank"].dropna().to_dict() == {1: 1, 0: 2}
    assert rows["mean"].dropna().to_dict() == pytest.approx({1: 0.2, 0: 0.85})
    assert rows["difference"].dropna().to_dict() == pytest.approx({0: 0.65})
    assert rows["published"].dropna().to_dict() == pytest.approx({1: 0.4, 0: 0.65})
    assert rows["published_n"].dropna().to_dict() == {1: 2, 0: 2}
    assert rows["n"].dropna().to_dict() == {1: 2, 0: 2}
    assert rows["difference_n"].dropna().to_dict() == {0: 2}
    assert rows["searched"].to_dict() == {1: 0.1, 2: 0.2, 0: 0.9}
    assert rows["searched_at"].to_dict() == {1: 9.0, 2: 9.0, 0: 9.0}
    assert rows["advantage"].dropna().to_dict() == pytest.approx({1: -0.25})
    assert rows["optimism"].dropna().to_dict() == pytest.approx({1: 0.3})
    for name in ("difference", "published", "advantage"):
        known = rows[rows[name].notna()]
        assert (known[f"{name}_low"] < known[name]).all()
        assert (known[name] < known[f"{name}_high"]).all()
    assert rows["reason"][2] == "fresh seed 2: failed"
    assert rows.index[rows["is_baseline"]].tolist() == [0]


def test_a_runs_row_says_what_the_run_came_to() -> None:
    spec = small_spec(selection=SELECTION)
    table = table_of(spec, history_of(SEARCH | CHOSEN | PUBLICATION))
    runs = table[table["row"] == "seed"].set_index(["trial", "purpose", "replicate"])

    assert len(runs) == 10
    assert runs["value"].dropna().to_dict() == {
        (key.number, key.stage, key.fresh): value for key, value in (CHOSEN | PUBLICATION).items() if value is not None
    }
    assert runs["trial_seed"].notna().all()
    assert runs.index[runs["is_final"]].tolist() == [(1, "publication", 1)]
    assert runs["state"][2, "choice", 2] == "failed"


@pytest.mark.parametrize("cost", ["mean", "sweep", "state", "size"])
def test_a_cost_may_have_the_name_of_a_column(cost: str) -> None:
    spec = small_spec(selection={**SELECTION, "cost": cost})
    history = history_of(SEARCH)
    given: dict[str, Any] = {cost: 7.0}
    for number in (1, 0):
        add(history, TrialKey(number, 1), 0.1, **given)
    table = table_of(spec, history)

    assert table.columns.is_unique
    assert table["size" if cost == "size" else f"cost_{cost}"].dropna().tolist() == [7.0, 7.0]
