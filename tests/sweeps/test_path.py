"""Tests of the path from baseline to winner: one change after another, each with its dependents, up to the winner."""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from searched import searched, spec_over
from simulation import Simulation, open_driver

import sweeps
from search_spaces import preset
from sweeps.execution.conclusion import conclude
from sweeps.execution.driver import Driver
from sweeps.search.history import Noted, Stamp
from sweeps.search.path import leads_to_winner, path_table, steps
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder

SPACE: dict[str, Any] = {
    "x": {"float": [0.0, 1.0], "default": 0.9},
    "kind": {"choice": ["a", "b"], "default": "a"},
    "y": {"float": [0.0, 1.0], "default": 0.5, "when": {"kind": ["b"]}},
    "same": {"int": [1, 4], "default": 2},
}
WINNER = {"x": 0.3, "kind": "b", "y": 0.1, "same": 2}


def history_with(winner: dict[str, Any], spec: sweeps.SweepSpec, number: int = 1):
    history = searched([(dict(spec.baseline), 0.9, 9.0), (winner, 0.1, 9.0)])
    history.apply(Stamp(history.last.seq + 1, 0.0), Noted("outcome", {"winner": number}))
    return history


def test_each_change_brings_what_hangs_on_it_and_what_is_equal_is_no_change() -> None:
    spec = spec_over(SPACE)
    table = path_table(spec, history_with(WINNER, spec), seeds=3)
    cells = {cell["name"]: cell["params"] for cell in table["design"]["cells"]}

    assert list(cells) == ["baseline", "x=0.3", "kind=b, y=0.1"]
    assert cells["x=0.3"] == {"x": 0.3, "kind": "a", "same": 2}
    assert cells["kind=b, y=0.1"] == WINNER


def test_a_learning_rate_changes_with_its_optimizer() -> None:
    space = {"optimizer": {"choice": ["sgd", "adam"]}, "lr": {"float": [0.001, 0.1]}, "x": {"float": [0.0, 1.0]}}
    spec = spec_over(space)
    table = path_table(spec, history_with({"optimizer": "adam", "lr": 0.002, "x": 0.1}, spec), seeds=1)

    assert [cell["name"] for cell in table["design"]["cells"]] == ["baseline", "optimizer=adam, lr=0.002", "x=0.1"]


@given(seed=st.integers(0, 10**6), model=st.sampled_from(["custom_cnn", "alexnet", "vgg"]))
def test_whatever_won_the_path_ends_in_it_and_is_a_design_that_runs(seed: int, model: str) -> None:
    spec = load_spec({"name": "s", "trials": 2, "training": {"model": model}, "space": {"preset": model}})
    winner = preset(model).sample(random.Random(seed))
    if winner == dict(spec.baseline):
        return
    walked = load_spec(path_table(spec, history_with(winner, spec), seeds=2))

    assert walked.design is not None
    assert walked.design.cells[0].params == dict(spec.baseline)
    assert walked.design.cells[-1].params == winner
    assert leads_to_winner(walked.design, spec, history_with(winner, spec))
    assert not leads_to_winner(walked.design, spec, history_with(winner, spec, number=0))


def test_a_baseline_that_won_has_no_path_and_an_open_sweep_none_yet() -> None:
    spec = spec_over(SPACE)

    with pytest.raises(sweeps.SpecError, match="the winner of 'searched' is its baseline"):
        path_table(spec, history_with(WINNER, spec, number=0), seeds=3)
    with pytest.raises(sweeps.SpecError, match="has no winner to come to: finish it with"):
        path_table(spec, searched([]), seeds=3)


def test_a_path_from_a_measured_rate_leads_to_its_winner() -> None:
    space = {"optimizer": "sgd", "learning_rate": {"range_test": True}}
    spec = load_spec({"name": "s", "trials": 2, "space": space})
    history = history_with({"optimizer": "sgd", "learning_rate": 0.3}, spec)
    bounds = {"optimizer": "sgd", "low": 0.01, "high": 1.0, "valley": 0.1}
    history.apply(Stamp(history.last.seq + 1, 0.0), Noted("range_test", bounds))
    walked = load_spec(path_table(spec, history, seeds=1)).design

    assert walked is not None
    assert [cell.params["learning_rate"] for cell in walked.cells] == [0.1, 0.3]
    assert leads_to_winner(walked, spec, history)


def test_a_range_that_hangs_on_a_choice_changes_with_it() -> None:
    ranges = {"a": {"float": [0.0, 1.0]}, "b": {"float": [10.0, 20.0]}}
    spec = spec_over({"kind": {"choice": ["a", "b"]}, "z": {"by": {"kind": ranges}}})
    table = path_table(spec, history_with({"kind": "b", "z": 12.0}, spec), seeds=1)

    assert [cell["name"] for cell in table["design"]["cells"]] == ["baseline", "kind=b, z=12"]


@pytest.fixture
def searcher(folder: SweepFolder) -> Driver:
    """Return the driver of a small search that is over."""
    selection = {"candidates": 1, "seeds": 1, "published_seeds": 2}
    return finished(folder, spec_over(SPACE, name="bowl", trials=8, selection=selection))


def finished(folder: SweepFolder, spec: SweepSpec) -> Driver:
    driver = begun(folder, spec)
    Simulation(driver).run()
    conclude(driver, None, None)
    return driver


def begun(folder: SweepFolder, spec: SweepSpec) -> Driver:
    driver = open_driver(folder, spec)
    driver.start({"data_dir": "sets"})
    return driver


def path_spec(searcher: Driver) -> SweepSpec:
    return load_spec(path_table(searcher.spec, searcher.history, seeds=2))


def test_a_function_that_never_ends_is_ended_where_the_search_ended_it(folder: SweepFolder) -> None:
    spec = spec_over(SPACE, name="bowl", trials=4, target="functions:bowl_without_end")
    walker = finished(SweepFolder(folder.results, "bowl-path"), path_spec(finished(folder, spec)))

    assert {(trial.state, len(trial.measurements)) for trial in walker.history.search} == {("complete", 9)}


def test_what_each_step_bought_is_paired_with_the_step_before_and_told(
    searcher: Driver, folder: SweepFolder, call
) -> None:
    walker = finished(SweepFolder(folder.results, "bowl-path"), path_spec(searcher))

    found = steps(walker.spec, walker.history)
    assert found[0].bought is None
    for before, after in pairwise(found):
        assert after.bought.mean == pytest.approx(after.mean.mean - before.mean.mean)
    assert found[-1].so_far.mean == pytest.approx(found[-1].mean.mean - found[0].mean.mean)
    code, out, _ = call("explain", "bowl", "--results", str(folder.results))
    assert code == 0
    assert "from the baseline to the winner, paired by seed (lower is better)" in out
    assert found[-1].change in out


def test_a_path_is_walked_once_and_told_when_it_is_over(searcher: Driver, folder: SweepFolder, call) -> None:
    where = ("--results", str(folder.results))

    assert "`sweeps path bowl` walks from" in call("explain", "bowl", *where)[1]
    begun(SweepFolder(folder.results, "bowl-path"), path_spec(searcher))
    assert "`sweeps resume bowl-path` walks on" in call("explain", "bowl", *where)[1]
    code, _, err = call("path", "bowl", *where)
    assert code == 2
    assert "the path of 'bowl' is there already, as the sweep 'bowl-path'" in err


def test_a_path_to_an_earlier_winner_is_not_told(searcher: Driver, folder: SweepFolder, call) -> None:
    finished(SweepFolder(folder.results, "bowl-path"), path_spec(searcher))
    other = next(t.key.number for t in searcher.history.search if t.key.number not in (0, winner_of(searcher)))
    searcher.record(Noted("outcome", {**searcher.history.outcome, "winner": other}))

    assert sweeps.load("bowl", results=folder.results).path == []
    assert "leads to an earlier winner" in call("explain", "bowl", "--results", str(folder.results))[1]


def winner_of(driver: Driver) -> int:
    return driver.history.outcome["winner"]


def test_a_path_reads_the_data_that_the_sweep_read(searcher: Driver, folder: SweepFolder, monkeypatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr("sweeps.api.run", lambda table, **options: told.update(options))
    sweeps.ablation_path("bowl", results=folder.results)

    assert (told["name"], told["data_dir"]) == ("bowl-path", Path("sets"))
