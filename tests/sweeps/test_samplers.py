"""Tests of samplers by name: a place in a sequence gives the same point anywhere, and earlier points are used."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import Simulation, open_driver, rows_of, small_spec

import sweeps
from search_spaces import Choice, Float, Int, Scalar, SearchSpace
from sweeps.cautions import cautions
from sweeps.errors import SpecError
from sweeps.search.earlier import Earlier, earlier_trials, warm_start_note
from sweeps.search.history import History, Stamp
from sweeps.search.optuna_view import OptunaView
from sweeps.search.samplers import grid_points, sobol_point
from sweeps.search.suggestion import suggest
from sweeps.search.verification import verify
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.earlier import read_warm_start
from sweeps.store.export import write_tables
from sweeps.store.folders import SweepFolder

SPACE = SearchSpace(
    {
        "x": Float(0.0, 1.0),
        "rate": Float(1e-4, 1.0, log=True),
        "kind": Choice(("a", "b", "c")),
        "y": Int(1, 8, when={"kind": ("b",)}),
    }
)
FINITE = {
    "x": {"float": [0.0, 1.0], "step": 0.25},
    "kind": {"choice": ["a", "b"]},
    "y": {"int": [1, 4], "when": {"kind": ["b"]}},
}


def finish(folder: SweepFolder, spec: SweepSpec) -> History:
    driver = open_driver(folder, spec)
    driver.start({})
    Simulation(driver).run()
    write_tables(folder.path, spec, driver.history, print)
    return driver.history


@pytest.mark.parametrize("name", ["tpe", "gp", "random", "qmc", "grid"])
def test_every_sampler_fills_a_sweep_that_can_be_verified(folder: SweepFolder, name: str) -> None:
    spec = small_spec(trials=14, sampler={"name": name}, space=FINITE)
    history = finish(folder, spec)

    assert len(history.search) == 14
    for trial in history.search:
        spec.space.check(trial.params)
    assert verify(spec, rows_of(folder)).difference is None


@given(st.integers(0, 10**6))
def test_a_sequence_covers_each_range_evenly(seed: int) -> None:
    points = [sobol_point(SPACE, seed, index) for index in range(16)]

    for point in points:
        SPACE.check(point)
    assert sorted(int(point["x"] * 16) for point in points) == list(range(16))  # type: ignore[operator]
    shares = [SPACE.parameters["rate"].share(point["rate"]) for point in points]  # type: ignore[union-attr,arg-type]
    assert sorted(int(share * 16 + 1e-9) for share in shares) == list(range(16))


def test_another_seed_gives_another_sequence() -> None:
    assert sobol_point(SPACE, 0, 0) != sobol_point(SPACE, 1, 0)


def test_a_grid_is_every_configuration_once_in_an_order_drawn_by_the_seed() -> None:
    spec = small_spec(space=FINITE, trials=25, sampler={"name": "grid"})
    points = [tuple(sorted(suggest(spec, History(), number).items())) for number in range(25)]

    assert len(set(points)) == len(points) == 5 * (1 + 4)
    assert points[0] == tuple(sorted(spec.baseline.items()))
    other = grid_points(spec.space, seed=1, known=[spec.baseline])
    assert [tuple(sorted(point.items())) for point in other] != points[1:]
    assert {tuple(sorted(point.items())) for point in other} == set(points[1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": FINITE, "trials": 26}, "sampler grid: there are 25 configurations in all, but got trials=26"),
        ({}, "sampler grid: x: a grid needs a step, or a choice instead of the float"),
        (
            {"space": {name: {"int": [1, 100]} for name in "abc"}},
            "sampler grid: the grid has more than 100,000 points: take random or qmc",
        ),
    ],
)
def test_what_has_no_grid_of_that_size_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        small_spec(**{"sampler": {"name": "grid"}, **changes})


@pytest.mark.parametrize("name", ["tpe", "qmc", "grid"])
def test_starting_points_come_after_the_baseline_and_before_the_sampler(name: str) -> None:
    start = [{"x": 0.25}, {"kind": "b", "y": 3}]
    spec = small_spec(space=FINITE, start=start, sampler={"name": name})

    assert suggest(spec, History(), 0) == {"x": 0.5, "kind": "a"}
    assert suggest(spec, History(), 1) == {"x": 0.25, "kind": "a"}
    assert suggest(spec, History(), 2) == {"x": 0.5, "kind": "b", "y": 3}


def test_a_grid_does_not_repeat_what_was_started_with() -> None:
    spec = small_spec(space=FINITE, start=[{"x": 0.25}], trials=25, sampler={"name": "grid"})
    points = [tuple(sorted(suggest(spec, History(), number).items())) for number in range(25)]

    assert len(set(points)) == 25


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([{"z": 1}], "start: point 1: no parameter 'z'"),
        ([{"x": 0.5}, {"x": 2.0}], "start: point 2: x: must be a number from 0.0 to 1.0, but got 2.0"),
        ([{"y": 2}], "start: point 1: y: has no effect here, since its conditions are off"),
        ([{}] * 12, "start lists 12 points, so trials must be more, but got 12"),
    ],
)
def test_a_wrong_starting_point_is_refused(start: list[dict[str, Scalar]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        small_spec(start=start)


def test_a_starting_point_may_be_written_as_people_write_numbers() -> None:
    spec = small_spec(start={"x": 1}, sampler="random")

    assert suggest(spec, History(), 1) == {"x": 1.0, "kind": "a"}
    assert spec.sampler.name == "random"


def test_a_starting_point_for_a_rate_that_is_measured_must_be_a_rate() -> None:
    space = {"optimizer": {"choice": ["sgd", "adam"]}, "learning_rate": {"range_test": True}}
    with pytest.raises(SpecError, match=r"start: point 1: learning_rate: must be a number above 0, but got -5.0"):
        load_spec({"name": "m", "trials": 3, "space": space, "start": [{"learning_rate": -5.0}]})


def test_gp_beside_pruning_says_what_it_loses() -> None:
    assert "gp learns only from trials that come to full fidelity" in cautions(small_spec(sampler={"name": "gp"}))[0]
    assert cautions(small_spec(sampler={"name": "gp"}, pruning={"name": "none"})) == []


def test_tpe_leaves_its_start_up_phase_though_promotion_leaves_most_trials_paused(folder: SweepFolder) -> None:
    history = finish(folder, small_spec(trials=40, sampler={"name": "tpe"}))
    states = [trial.state for trial in history.search]

    assert states.count("complete") < 10 < states.count("paused")
    late = [abs(trial.params["x"] - 0.3) for trial in history.search[20:]]
    assert sum(late) / len(late) < 0.2  # 0.29 if nothing is learnt


def finished_in(results: Path, **changes: Any) -> SweepSpec:
    spec = small_spec(name="coarse", trials=20, **changes)
    finish(SweepFolder(results, "coarse"), spec)
    return spec


def test_a_narrower_sweep_learns_from_what_of_a_coarser_one_lies_in_it(tmp_path: Path) -> None:
    coarse = finished_in(tmp_path)
    narrow = small_spec(space={**coarse.to_table()["space"], "x": {"float": [0.2, 0.5]}}, warm_start=["coarse"])
    note = read_warm_start(narrow, "coarse", tmp_path)
    history = History([(Stamp(1, 0.0), note)])

    known = earlier_trials(narrow, history)
    assert 0 < len(known) < 20
    assert len(known) + note.body["left_out"] == 20
    assert "x: must be a number from 0.2 to 0.5" in note.body["why"]
    assert all(0.2 <= trial.params["x"] <= 0.5 for trial in known)
    seen = OptunaView(narrow, history).get_all_trials(0)
    assert [trial.params["x"] for trial in seen] == [trial.params["x"] for trial in known]
    assert {trial.state.name for trial in seen} == {"COMPLETE", "PRUNED"}


def test_a_table_without_the_name_of_its_sweep_is_still_learnt_from(tmp_path: Path) -> None:
    coarse = finished_in(tmp_path)
    before = read_warm_start(coarse, "coarse", tmp_path)
    for name in ("trials", "measurements"):
        path = SweepFolder(tmp_path, "coarse").table(name)
        pq.write_table(pq.read_table(path).drop_columns("sweep"), path)

    assert read_warm_start(coarse, "coarse", tmp_path) == before


def test_a_warm_start_reads_the_metric_and_not_a_column_of_its_name(tmp_path: Path) -> None:
    named = {"metric": "seconds", "target": "functions:takes"}
    note = read_warm_start(finished_in(tmp_path, **named), "coarse", tmp_path)

    assert {value for trial in note.body["trials"] for _, value in trial["reports"]} == {-1.0}


def test_a_warm_start_changes_what_is_suggested_first(tmp_path: Path) -> None:
    coarse = finished_in(tmp_path)
    note = read_warm_start(coarse, "coarse", tmp_path)
    warm = [suggest(coarse, History([(Stamp(1, 0.0), note)]), number)["x"] for number in range(1, 9)]
    cold = [suggest(coarse, History(), number)["x"] for number in range(1, 9)]

    def distance(found: list[Any]) -> float:
        return sum(abs(x - 0.3) for x in found) / len(found)

    assert distance(warm) < distance(cold)


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({}, "./nowhere", "warm_start: the tables of './nowhere' can't be read"),
        ({"metric": "other"}, "coarse", "warm_start: the metric of 'coarse' is 'loss' and not 'other'"),
        ({"direction": "maximize"}, "coarse", "the direction of 'coarse' is 'minimize' and not 'maximize'"),
        ({"target": "functions:bowl"}, "coarse", "the target of 'coarse' is 'functions:bowl_with_checkpoint' and not"),
        ({"space": {"x": {"float": [5.0, 6.0]}}}, "coarse", "no trial of 'coarse' lies in the space .*no parameter"),
    ],
)
def test_an_earlier_sweep_that_teaches_nothing_is_refused(
    tmp_path: Path, changes: dict[str, Any], place: str, message: str
) -> None:
    finished_in(tmp_path)
    with pytest.raises(SpecError, match=message):
        read_warm_start(small_spec(**changes), place, tmp_path)


def test_what_learns_nothing_takes_no_warm_start() -> None:
    with pytest.raises(SpecError, match="warm_start: the sampler 'qmc' learns from nothing"):
        small_spec(sampler={"name": "qmc"}, warm_start=["coarse"])


def test_what_was_complete_at_a_lower_fidelity_is_a_part_of_the_way_here() -> None:
    found = [Earlier({"x": 0.1, "kind": "a"}, "complete", False, ((3.0, 0.5),))]
    history = History([(Stamp(1, 0.0), warm_start_note(small_spec().space, "coarse", "coarse", found))])

    assert [trial.state.name for trial in OptunaView(small_spec(), history).get_all_trials(0)] == ["PRUNED"]


def test_a_diverged_earlier_trial_ranks_last() -> None:
    found = [Earlier({"x": 0.1, "kind": "a"}, "pruned", True, ((1.0, 0.0),))]
    history = History([(Stamp(1, 0.0), warm_start_note(small_spec().space, "coarse", "coarse", found))])
    (seen,) = OptunaView(small_spec(), history).get_all_trials(0)

    assert (seen.state.name, seen.intermediate_values) == ("PRUNED", {})


def test_a_warm_sweep_on_ray_records_what_it_learnt_from_and_is_verified(ray_with_gpus: Path, tmp_path: Path) -> None:
    finished_in(tmp_path)
    table = {
        **small_spec(trials=4, selection={"candidates": 1, "seeds": 1, "published_seeds": 1}).to_table(),
        "warm_start": ["coarse"],
    }
    result = sweeps.run(table, results=tmp_path, progress="none")

    assert len(next(result.history.noted("warm_start")).body["trials"]) == 20
    assert sweeps.verify("bowl", results=tmp_path).holds
