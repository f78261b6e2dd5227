"""Tests of a winner that no seed has confirmed: its model is the one that the search or the choice has trained."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from simulation import Simulation, open_driver, small_spec, swept
from test_outcome import lines

import sweeps
from study.data import EMBEDDED, load
from study.experiments import load_experiment
from study.experiments import replay as replay_experiment
from study.measurement import Measurement
from study.training import Training
from sweeps.execution.conclusion import _Final, _score_in_worker, conclude
from sweeps.execution.driver import Driver
from sweeps.report.writing import write_report
from sweeps.search.history import Asked, History, Measured, Moved, Noted, Row, Stamp, Trial, TrialKey
from sweeps.search.incumbent import best_so_far
from sweeps.search.keeping import unneeded
from sweeps.search.selection import by_last_value
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder
from sweeps.terminal.selecting import SelectionCosts, in_trainings
from sweeps.terminal.trials import ranked

MODEL = {
    "name": "model",
    "trials": 2,
    "sampler": "random",
    "training": {"batch_size": 512, "epochs": 2},
    "space": {"learning_rate": {"float": [0.01, 0.1], "default": 0.05}},
}


def driven(folder: SweepFolder, **changes: Any) -> Driver:
    swept(folder.results, folder.name, **changes)
    return open_driver(folder, small_spec(name=folder.name, **changes))


@pytest.mark.parametrize("selection", ["none", {"candidates": 0, "seeds": 0, "published_seeds": 0}])
def test_the_best_of_the_search_is_published_as_it_is_and_not_confirmed(folder: SweepFolder, selection: Any) -> None:
    driver = driven(folder, selection=selection)
    outcome, history = driver.history.outcome, driver.history
    assert outcome is not None
    best = best_of_the_furthest(driver)
    first, *_ = ranked(sweeps.load(folder.name, results=folder.results), top=3)

    assert first.key == best.key
    assert history.selection == []
    assert (outcome["winner"], outcome["final"], outcome["basis"]) == (best.key.number, best.key.label, "search")
    assert (outcome["mean"], outcome["n"]) == (best.value("loss"), 1)
    assert (outcome["low"], outcome["high"], outcome["optimism"], outcome["baseline_mean"]) == (None,) * 4
    assert outcome["mean"] == best_so_far(driver.spec, history)[-1].value
    assert tomllib.loads(folder.best.read_text())["params"] == dict(best.params)
    assert sweeps.verify("bowl", results=folder.results).holds


def best_of_the_furthest(driver: Driver) -> Trial:
    """Return the best of the trials with the most reports, which beat the trials that a lower rung stopped."""
    most = max(len(trial.measurements) for trial in driver.history.search)
    last = [trial for trial in driver.history.search if len(trial.measurements) == most]
    return min(last, key=lambda trial: trial.value("loss") or 0.0)


def worsens(params: Any, seed: int) -> Any:
    for report in range(1, 10):
        yield {"loss": params["x"] + 0.3 * report}


def test_no_trial_that_a_rung_stopped_is_published_before_one_that_is_complete(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(selection="none"))
    driver.start({})
    Simulation(driver, function=worsens).run()
    conclude(driver, None, None)
    outcome, history = driver.history.outcome, driver.history

    assert outcome is not None
    assert history.search[by_last_value(driver.spec, history)[0]] != best_of_the_furthest(driver)
    assert outcome["winner"] == best_of_the_furthest(driver).key.number


def test_what_is_not_confirmed_is_told_so_everywhere(folder: SweepFolder, call) -> None:
    driver = driven(folder, selection="none")
    code, shown, _ = call("show", "bowl", "--results", str(folder.results))
    _, listed, _ = call("list", "--results", str(folder.results))
    page = write_report(folder, driver.spec, driver.history).read_text("utf-8")
    result = sweeps.load("bowl", results=folder.results)

    assert code == 0
    for text in (lines(folder)[0], shown, listed, page):
        assert "not confirmed" in text
    assert "paused" not in listed
    assert "stopped at a rung" in listed
    assert "stopped at a rung" in shown
    assert result.best is not None
    assert result.best["basis"] == "search"
    assert result.selection["is_confirmed"].tolist()[0] is False
    assert result.reproduce("best").identical


def test_without_published_seeds_the_model_is_that_of_the_first_seed_that_chose(folder: SweepFolder) -> None:
    driver = driven(folder, selection={"candidates": 2, "seeds": 3, "published_seeds": 0})
    outcome = driver.history.outcome
    assert outcome is not None

    assert (outcome["final"], outcome["basis"]) == (f"{outcome['winner']}-seed1", "selection")
    assert (outcome["low"], outcome["high"], outcome["difference"]) == (None, None, None)
    assert re.search(r"on the [23] fresh seeds that chose it, which makes it look better than it is", lines(folder)[0])
    assert "on these seeds" in " ".join(lines(folder))
    assert "other fresh seed" not in " ".join(lines(folder))
    assert sweeps.verify("bowl", results=folder.results).holds
    assert sweeps.load("bowl", results=folder.results).reproduce("best").identical


@pytest.mark.parametrize("rule", [{"candidates": 0}, {"seeds": 0}])
def test_the_best_of_the_search_may_be_measured_without_a_choice(folder: SweepFolder, rule: dict[str, int]) -> None:
    driver = driven(folder, selection={"candidates": 2, "seeds": 3, "published_seeds": 2, **rule})
    outcome = driver.history.outcome
    assert outcome is not None

    assert {run.key.stage for run in driver.history.selection} == {"publication"}
    assert (outcome["basis"], outcome["n"]) == ("evaluation", 2)
    assert "best of the search, where no fresh seed chooses" in outcome["reason"]
    assert sweeps.verify("bowl", results=folder.results).holds


def test_select_can_leave_everything_out(folder: SweepFolder, call) -> None:
    driver = open_driver(folder, small_spec())
    driver.start({})
    Simulation(driver).run(stop=lambda: len(driver.history.search) == 6)
    nothing = {"candidates": 0, "seeds": 0, "published_seeds": 0}

    from sweeps.search.extension import as_extended, selecting

    driver.record(selecting(driver.spec, driver.history, nothing))
    assert as_extended(small_spec(), driver.history).selection.trainings == 0


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (
            {},
            "44 trainings at most; 6 candidates with the baseline on 5 fresh seeds, then winner and baseline on 7",
        ),
        ("none", "final selection: no training; the best of the search wins, and the winner is not confirmed"),
        ({"seeds": 0}, "14 trainings at most; the best of the search wins, then winner and baseline on 7 fresh seeds"),
        ({"published_seeds": 0}, "30 trainings at most; 6 candidates"),
    ],
)
def test_what_a_selection_costs_is_said_before_the_first_trial(selection: Any, told: str) -> None:
    assert told in in_trainings(small_spec(selection=selection))


def test_its_time_is_said_once_as_soon_as_reports_tell_it() -> None:
    said: list[str] = []
    spec, history = small_spec(), History()
    costs = SelectionCosts(spec, history, 2, said.append)
    rows = [Asked(TrialKey(0), {"x": 0.5}, 0, 0)]
    rows += [Measured(TrialKey(0), Measurement(at, at, float(at), 1.0, {"loss": 0.5})) for at in range(1, 5)]
    for second, row in enumerate(rows):
        stamp = Stamp(history.last.seq + 1, 60.0 * second)
        history.apply(stamp, row)
        costs.observe(stamp, row)

    assert len(said) == 2
    assert said[1].startswith("final selection: about ")
    assert "for its 44 trainings at most, 2 at a time" in said[1]


def test_the_start_of_a_worker_is_no_part_of_its_time() -> None:
    said: list[str] = []
    spec, history = small_spec(pruning={"max_fidelity": 4}), History()
    costs = SelectionCosts(spec, history, 2, said.append)
    rows: list[Row] = [Noted("session", {}), *(Asked(TrialKey(number), {"x": 0.5}, 0, 0) for number in (0, 1))]
    rows += [Measured(TrialKey(1), Measurement(1, 1, 1.0, 1.0, {"loss": 0.5}))]  # alone, it says nothing about the pace
    rows += [Measured(TrialKey(0), Measurement(at, at, float(at), 1.0 * at, {"loss": 0.5})) for at in range(1, 5)]
    for row, moment in zip(rows, (0.0, 0.0, 0.0, 20.0, 20.0, 21.0, 22.0, 23.0), strict=True):
        stamp = Stamp(history.last.seq + 1, moment)
        history.apply(stamp, row)
        costs.observe(stamp, row)

    assert said[1].endswith("2 at a time and 4 s each")


def _history_of_models(spec: SweepSpec, *values: float) -> History:
    history = History()
    for number, value in enumerate(values):
        key = TrialKey(number)
        rows = [
            Asked(key, {"learning_rate": 0.05}, 0, 0),
            Measured(key, Measurement(1, 9, 2.0, 1.0, {"validation_accuracy": value})),
            Moved(key, "complete", ""),
        ]
        for row in rows:
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    return history


@pytest.mark.parametrize(
    ("changes", "dropped"),
    [
        ({"selection": "none"}, [[], [TrialKey(0)], [TrialKey(2)]]),
        ({"time": "1h"}, [[], [TrialKey(0)], [TrialKey(2)]]),
        ({}, [[TrialKey(0)], [TrialKey(1)], [TrialKey(2)]]),
    ],
)
def test_the_model_of_the_best_complete_trial_is_kept_where_it_may_be_the_result(
    changes: dict[str, Any], dropped: list[list[TrialKey]]
) -> None:
    spec, values = load_spec({**MODEL, **changes}), [0.8, 0.9, 0.7]
    found = []
    for count in (1, 2, 3):
        history = _history_of_models(spec, *values[:count])
        found.append(unneeded(spec, history, history.search[-1]))

    assert found == dropped


def test_a_model_that_was_trained_beyond_its_last_report_is_scored_as_it_was_measured(tmp_path: Path) -> None:
    spec, data = load_spec({**MODEL, "selection": "none", "training": {"batch_size": 512, "epochs": 3}}), load(EMBEDDED)
    params = {"learning_rate": 0.05}
    training = Training(spec.trial_config(params, 7), data)
    course = training.run()
    first = next(course)
    ahead = training.run(lambda: training.step > first.step + 1)
    assert list(ahead) == []
    training.save(tmp_path / "ahead.pt")
    history = History()
    for row in (Asked(TrialKey(0), params, 7, 0), Measured(TrialKey(0), first), Moved(TrialKey(0), "cut", "time")):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)

    scores = _score_in_worker(_Final(spec, history.search[0], (tmp_path / "ahead.pt",), None, tmp_path, None), data)
    stored = load_experiment(tmp_path / scores["experiment"])

    assert scores["digest"] == first.digest
    assert scores["note"].startswith(
        "trained again, since its checkpoint is ahead of its last report; ended early, after"
    )
    assert stored.metadata["exit_reason"] == "ended early"
    assert replay_experiment(stored, data).identical


@pytest.mark.slow
def test_the_search_s_own_model_is_scored_once_stored_and_repeated(ray_with_gpus: Path, tmp_path: Path) -> None:
    result = sweeps.run(MODEL, results=tmp_path, selection="none", progress="none")
    outcome = result.history.outcome
    assert outcome is not None

    assert outcome["basis"] == "search"
    assert outcome["test_reads"] == 1
    assert result.experiment is not None
    assert load_experiment(result.experiment).metadata["trial"] == str(outcome["winner"])
    assert result.reproduce("best").identical
