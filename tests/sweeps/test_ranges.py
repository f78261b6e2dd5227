"""Tests of a sweep's range tests: they are made first and recorded, bound the search, and replay to the bit."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from simulation import open_driver

import sweeps
from search_spaces import Float, FloatBy
from study.measurement import Measurement
from sweeps.errors import SpecError, SweepError
from sweeps.execution.driver import Driver
from sweeps.execution.messages import Leg, Message, RangeLeg
from sweeps.search.agenda import Finished, Wait, next_work
from sweeps.search.budgets import Ended
from sweeps.search.history import Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.search.optuna_view import OptunaView
from sweeps.search.ranges import RangeKey, due, range_config, range_keys, with_measured_space
from sweeps.search.suggestion import suggest
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder
from sweeps.terminal.outcome import outcome_lines

OPTIMIZERS = {"choice": ["nesterov", "adam"]}
SPACE = {"optimizer": OPTIMIZERS, "learning_rate": {"range_test": True}, "batch_size": {"choice": [128, 512]}}
BOUNDS = {"nesterov": (1e-3, 2e-2, 0.3), "adam": (1e-5, 3e-4, 4e-3)}  # low, valley, high


def spec_of(space: dict[str, Any] | None = None, **changes: Any) -> SweepSpec:
    return load_spec({"name": "ranged", "trials": 30, "space": space or SPACE, **changes})


def found(optimizer: str) -> dict[str, Any]:
    low, valley, high = BOUNDS[optimizer]
    return {"low": low, "valley": valley, "high": high, "steepest": valley, "losses": [2.3], "diverged": None}


def history_of(*optimizers: str) -> History:
    history = History()
    for optimizer in optimizers:
        note = Noted("range_test", {"optimizer": optimizer, **found(optimizer)})
        history.apply(Stamp(history.last.seq + 1, 0.0), note)
    return history


def test_one_test_for_each_optimizer_of_the_space() -> None:
    assert range_keys(spec_of()) == [RangeKey("nesterov"), RangeKey("adam")]
    assert range_keys(spec_of({"learning_rate": {"range_test": True}})) == [RangeKey("nesterov")]
    assert range_keys(spec_of({"optimizer": "adam", "learning_rate": {"range_test": True}})) == [RangeKey("adam")]
    assert range_keys(load_spec("quickstart")) == []


def test_no_test_for_an_optimizer_that_has_no_learning_rate_to_search() -> None:
    space = {**SPACE, "learning_rate": {"range_test": True, "when": {"optimizer": ["adam"]}}}

    assert range_keys(spec_of(space)) == [RangeKey("adam")]
    measured = with_measured_space(spec_of(space), history_of("adam")).space
    assert measured.defaults() == {"optimizer": "nesterov", "batch_size": 128}
    assert suggest(spec_of(space), history_of("adam"), 0) == {"optimizer": "nesterov", "batch_size": 128}


def test_a_test_climbs_with_the_baseline_and_its_optimizers_own_knobs() -> None:
    config = range_config(
        spec_of({**SPACE, "momentum": {"float": [0.5, 0.9], "when": {"optimizer": ["nesterov"]}}}), RangeKey("adam")
    )

    assert (config.optimizer, config.momentum, config.batch_size) == ("adam", None, 128)
    assert config.seed != range_config(spec_of(), RangeKey("nesterov")).seed
    assert config.seed != range_config(spec_of(seed=1), RangeKey("adam")).seed


def test_nothing_is_suggested_before_every_test_is_made() -> None:
    spec = spec_of()
    for history in (History(), history_of("nesterov")):
        with pytest.raises(ValueError, match="before the range tests are made"):
            suggest(spec, history, 0)
        assert with_measured_space(spec, history) == spec
    assert due(spec, history_of("nesterov")) == [RangeKey("adam")]
    assert isinstance(next_work(spec, history_of("nesterov"), {RangeKey("adam")}, Ended()), Wait)
    assert isinstance(next_work(spec, history_of("nesterov"), (), Ended("time", "time")), Finished)


def test_the_space_that_follows_has_each_optimizers_bounds_and_the_valley_for_default() -> None:
    measured = with_measured_space(spec_of(), history_of("nesterov", "adam")).space
    alone = with_measured_space(spec_of({"learning_rate": {"range_test": True}}), history_of("nesterov")).space

    assert measured.parameters["learning_rate"] == FloatBy(
        "optimizer",
        {
            "nesterov": Float(1e-3, 0.3, log=True, default=2e-2),
            "adam": Float(1e-5, 4e-3, log=True, default=3e-4),
        },
    )
    assert measured.defaults()["learning_rate"] == 2e-2
    assert alone.parameters["learning_rate"] == Float(1e-3, 0.3, log=True, default=2e-2)


def test_every_suggestion_lies_within_the_bounds_of_its_optimizer_and_follows_from_the_history_again() -> None:
    spec, history = spec_of(), history_of("nesterov", "adam")
    space = with_measured_space(spec, history).space
    for number in range(30):
        params = suggest(spec, history, number)
        space.check(params)
        assert suggest(spec, history, number) == params
        rate, key = float(params["learning_rate"]), TrialKey(number)
        measurement = Measurement(1, 1, 1.0, 0.1, {"validation_accuracy": 1 - rate})
        for row in (Asked(key, params, 0, 0), Measured(key, measurement), Moved(key, "complete", "")):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    assert {trial.params["optimizer"] for trial in history.search} == set(BOUNDS)


def test_optuna_sees_the_share_of_the_range() -> None:
    spec, history = spec_of(), history_of("nesterov", "adam")
    for number, (optimizer, share) in enumerate([("nesterov", 0.0), ("adam", 0.5), ("adam", 1.0)]):
        low, _, high = BOUNDS[optimizer]
        params = {"optimizer": optimizer, "learning_rate": low * (high / low) ** share, "batch_size": 128}
        history.apply(Stamp(10 + number, 0.0), Asked(TrialKey(number), params, 0, 0))
    shares = [t.params["learning_rate (share of its range)"] for t in OptunaView(spec, history).get_all_trials(0)]

    assert shares == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"space": {"momentum": {"range_test": True}}}, "range_test measures the learning_rate .* not 'momentum'"),
        (
            {"space": {**SPACE, "optimizer": {"choice": ["sgd", "adamx"]}}},
            "unknown choice 'adamx', did you mean 'adam'",
        ),
        ({"space": SPACE, "target": "functions:bowl"}, "range_test measures the learning_rate of the study's models"),
        (
            {"space": {**SPACE, "model": {"choice": ["vgg", "alexnet"]}}},
            r"needs one model, but `model` stands in \[space\]",
        ),
    ],
)
def test_a_range_test_of_anything_else_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_spec({"name": "ranged", "trials": 3, **table})


# The driver.


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    driver = open_driver(SweepFolder(tmp_path / "results", "ranged"), spec_of())
    driver.start({})
    return driver


def make(driver: Driver, leg: object) -> None:
    assert isinstance(leg, RangeLeg)
    driver.receive(leg.key, Message("ranged", range=found(leg.key.optimizer), environment={"torch": "1"}))


def test_the_tests_are_handed_out_first_and_the_search_waits_for_all_of_them(driver: Driver) -> None:
    first, second, third = (driver.next_leg() for _ in range(3))

    assert third == "wait"
    make(driver, second)
    assert driver.next_leg() == "wait"
    make(driver, first)
    leg = driver.next_leg()
    assert isinstance(leg, Leg)
    assert leg.params["learning_rate"] == 2e-2


def test_a_test_made_before_a_kill_is_not_made_again(driver: Driver) -> None:
    make(driver, driver.next_leg())
    again = open_driver(driver.folder, driver.spec)
    again.start({})

    leg = again.next_leg()
    assert isinstance(leg, RangeLeg)
    assert leg.key == RangeKey("adam")
    assert again.next_leg() == "wait"


def test_a_lost_worker_gives_the_test_to_another_until_that_happens_too_often(driver: Driver) -> None:
    for _ in range(driver.spec.retries.lost):
        leg = driver.next_leg()
        assert isinstance(leg, RangeLeg)
        assert leg.key == RangeKey("nesterov")
        driver.lost(leg.key, "died")
    with pytest.raises(SweepError, match="the worker of range-nesterov was lost 3 times"):
        driver.lost(driver.next_leg().key, "died")


def test_a_ramp_that_gives_no_bounds_ends_the_sweep_in_one_line(driver: Driver) -> None:
    leg = driver.next_leg()
    assert isinstance(leg, RangeLeg)
    with pytest.raises(
        SweepError,
        match=r"test of 'nesterov' found no bounds .the loss diverged at once.: give learning_rate its bounds",
    ):
        driver.receive(leg.key, Message("failed", reason="RangeTestError: the loss diverged at once"))
    lines = outcome_lines(sweeps.load("ranged", results=driver.folder.results))
    assert "failed before: the range test of 'nesterov' found no bounds (the loss diverged at once)" in lines


# On a real Ray.


@pytest.fixture(scope="module")
def result(ray_with_gpus: Path, tmp_path_factory: pytest.TempPathFactory) -> sweeps.Result:
    table = {"name": "ranged", "trials": 4, "training": {"epochs": 1}, "space": SPACE}
    table["selection"] = {"candidates": 1, "seeds": 1, "published_seeds": 1}
    return sweeps.run(table, results=tmp_path_factory.mktemp("ranged"), progress="none")


def test_a_sweep_measures_searches_and_says_so(result: sweeps.Result, capsys: pytest.CaptureFixture[str]) -> None:
    from sweeps.terminal.showing import tell_sweep

    notes = list(result.history.noted("range_test"))
    assert {note.body["optimizer"] for note in notes} == set(OPTIMIZERS["choice"])
    assert all(note.body["environment"] for note in notes)
    for trial in result.history.search:
        body = next(note.body for note in notes if note.body["optimizer"] == trial.params["optimizer"])
        assert body["low"] <= trial.params["learning_rate"] <= body["high"]
    assert result.trials["learning_rate"].dtype == "float64"
    tell_sweep(result, as_json=False)
    assert "range test of adam: learning_rate from" in capsys.readouterr().out


def test_a_recorded_range_test_replays_and_one_changed_value_is_named(result: sweeps.Result) -> None:
    assert result.reproduce("range-adam").identical

    connection = sqlite3.connect(result.folder.ledger)
    ((seq, text),) = connection.execute("SELECT seq, body FROM notes WHERE kind = 'range_test' AND body LIKE '%adam%'")
    body = json.loads(text)
    for change, message in (
        ({"losses": [*body["losses"][:7], body["losses"][7] + 1e-9, *body["losses"][8:]]}, "the loss of step 7 was"),
        ({"high": body["high"] * 2}, "high was"),
        ({"losses": body["losses"][:-1]}, f"the loss of step {len(body['losses']) - 1} was None"),
    ):
        connection.execute("UPDATE notes SET body = ? WHERE seq = ?", (json.dumps({**body, **change}), seq))
        connection.commit()
        replay = sweeps.load(result.name, results=result.folder.results).reproduce("range-adam")
        assert not replay.identical
        assert str(replay.difference).startswith(message)
    connection.execute("UPDATE notes SET body = ? WHERE seq = ?", (text, seq))
    connection.commit()
    connection.close()


def test_a_search_within_measured_bounds_follows_from_the_ledger(result: sweeps.Result) -> None:
    found = sweeps.verify(result.name, results=result.folder.results)

    assert found.difference is None
    assert found.suggestions == len(result.history.trials)


def test_an_unknown_label_names_the_range_tests_too(result: sweeps.Result) -> None:
    with pytest.raises(SpecError, match=r"give best, .*, range-nesterov, range-adam"):
        result.reproduce("range-adamw")
