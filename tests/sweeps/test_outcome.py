"""Tests of how sweeps end: the winner and what is published of it or, in clear words, why there is none."""

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from simulation import Simulation, open_driver, small_spec

import sweeps
from study.measurement import Measurement
from sweeps.execution.conclusion import conclude
from sweeps.execution.driver import Driver
from sweeps.report.writing import write_report
from sweeps.search.extension import selecting
from sweeps.search.history import PUBLISHED, Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.search.outcome import outcome
from sweeps.search.selection import BASELINE, select, selection_of
from sweeps.store.folders import SweepFolder
from sweeps.terminal.outcome import _luck, outcome_lines
from sweeps.terminal.trials import ranked

SELECTION = {"candidates": 3, "seeds": 3, "published_seeds": 3}


def concluded(folder: SweepFolder, **changes: Any) -> Driver:
    """Return the driver of a small sweep that ran to its outcome without Ray."""
    driver = open_driver(folder, small_spec(**{"selection": SELECTION, **changes}))
    driver.start({})
    Simulation(driver).run()
    conclude(driver, None, None)
    return driver


def lines(folder: SweepFolder) -> list[str]:
    return outcome_lines(sweeps.load("bowl", results=folder.results))


def test_the_outcome_is_what_is_published_and_not_what_chose(folder: SweepFolder) -> None:
    driver = concluded(folder)
    body = driver.history.outcome
    assert body is not None
    winner = body["winner"]
    values = [driver.history.trials[TrialKey(winner, PUBLISHED + seed)].value("loss") for seed in (1, 2, 3)]

    assert body["mean"] == pytest.approx(sum(values) / 3)
    assert body["low"] < body["mean"] < body["high"]
    assert (body["n"], body["baseline_n"]) == (3, 3)
    assert body["final"] == f"{winner}-published1"
    assert lines(folder)[0].startswith(f"winner: trial {winner}, loss {body['mean']:.4f} [")
    assert "on 3 further seeds (the baseline has" in lines(folder)[0]


def test_whoever_wins_both_are_published_on_the_same_seeds(folder: SweepFolder) -> None:
    history = concluded(folder).history
    runs = {key for key in history.trials if key.stage == "publication"}

    assert runs == {TrialKey(n, PUBLISHED + s) for n in (history.outcome["winner"], BASELINE) for s in (1, 2, 3)}


def test_a_sweep_of_one_trial_publishes_the_baseline_and_chooses_nothing(folder: SweepFolder) -> None:
    history = concluded(folder, trials=1).history

    assert {key.stage for key in history.trials} == {"search", "publication"}
    assert "(it is the baseline)" in lines(folder)[0]
    assert "chosen" not in " ".join(lines(folder))


def test_of_equal_candidates_the_baseline_wins_and_nothing_differs(folder: SweepFolder) -> None:
    history = concluded(folder, target="functions:flat", pruning="none").history

    assert history.outcome["winner"] == BASELINE
    assert (history.outcome["mean"], history.outcome["low"], history.outcome["high"]) == (0.25, 0.25, 0.25)


def test_where_all_diverge_on_fresh_seeds_nobody_wins_and_that_is_said(folder: SweepFolder) -> None:
    driver = concluded(folder, target="functions:mad_on_fresh_seeds")
    history = driver.history

    assert history.outcome["winner"] is None
    # What became of the candidates, not of trials that were left at a rung.
    said = "no winner: no trial has a finite value on all its fresh seeds (trial 0: fresh seed 1: pruned: diverged"
    assert lines(folder)[0].startswith(said)
    assert "paused" not in lines(folder)[0]
    assert lines(folder)[0].endswith("; and 1 more)")
    assert all(c.decision == "out" and "diverged" in c.reason for c in selection_of(driver.spec, history).candidates)


def test_where_no_trial_of_the_search_has_a_value_that_is_said(folder: SweepFolder) -> None:
    concluded(folder, target="functions:nan_at_half", space={"x": {"float": [0.6, 1.0]}}, trials=2)

    assert lines(folder)[0].startswith(
        "no winner: no trial of the search has a finite value (trial 0: pruned: diverged"
    )


def test_where_every_trial_failed_after_a_value_that_is_said() -> None:
    history = History()
    for row in (
        Asked(TrialKey(0), {"x": 0.5}, 0, 0),
        Measured(TrialKey(0), Measurement(1, 1, 1.0, 1.0, {"loss": 0.5})),
        Moved(TrialKey(0), "failed", "ValueError: no (a.py:3)"),
    ):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)

    spec = small_spec(trials=1)
    reason = outcome(spec, history, select(spec, history, []))["reason"]
    assert reason == "every trial of the search failed (trial 0: failed: ValueError: no (a.py:3))"


def test_where_the_only_candidate_diverges_on_the_further_seeds_that_is_said(folder: SweepFolder) -> None:
    history = concluded(folder, trials=1, target="functions:mad_on_fresh_published", pruning="none").history

    assert history.outcome["winner"] is None
    assert (
        "would be the winner, but none of its further seeds came to its end (seed 1: pruned: diverged"
        in lines(folder)[0]
    )


def test_where_the_model_fixed_beforehand_failed_the_one_in_its_place_is_named(folder: SweepFolder) -> None:
    driver = concluded(folder, target="functions:mad_on_the_first_published", pruning="none")
    history = driver.history
    page = write_report(folder, driver.spec, history).read_text("utf-8")
    told = "he model is that of further seed 2, the lowest one that came to its end"

    assert history.outcome["final"] == f"{history.outcome['winner']}-published2"
    assert history.outcome["reason"].endswith(f"; t{told}")
    assert f"        t{told}" in lines(folder)
    assert f"T{told}." in page


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"seeds": -1}, "select: selection.seeds"),
        ({"rule": "cheap"}, "select: selection.rule"),
        ({"rule": "within_one_se"}, "give selection.cost"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_before_it_is_recorded(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(sweeps.SpecError, match=message):
        selecting(small_spec(), History(), rule)


def test_a_cost_that_a_function_never_reported_is_refused_and_those_it_has_are_named(folder: SweepFolder) -> None:
    driver = concluded(folder, target="functions:priced", pruning="none", selection=SELECTION)
    with pytest.raises(sweeps.SpecError, match=r"functions:priced has never reported 'weight': it reported size"):
        selecting(driver.spec, driver.history, {"cost": "weight"})

    assert selecting(driver.spec, driver.history, {"cost": "size"}).body == {"cost": "size"}


def test_a_second_read_of_the_test_set_is_told(folder: SweepFolder) -> None:
    driver = concluded(folder)
    scores = {"test_accuracy": 0.9, "test_images": 100, "test_loss": 0.25, "experiment": "custom_cnn/exp_2"}
    driver.record(Noted("outcome", {**driver.history.outcome, **scores, "test_reads": 2}))

    (line,) = [line for line in lines(folder) if line.startswith("test set")]
    assert line == "test set, read 2 times in this sweep: accuracy 0.9000 [0.8256, 0.9448], loss 0.2500"


def test_what_the_search_saw_last_is_told_with_how_far_it_had_come(folder: SweepFolder) -> None:
    driver = concluded(folder, seed=2)
    winner = driver.history.trials[TrialKey(driver.history.outcome["winner"])]
    told = f"in the search it had {winner.value('loss'):.4f} after {driver.spec.told(winner.last.fidelity)}"

    assert winner.last.fidelity == 4
    assert any(line.endswith(told) for line in lines(folder))  # it is not compared with nine reports
    assert driver.history.outcome["optimism"] is None


def test_a_mean_that_differs_by_rounding_alone_is_what_the_search_saw(folder: SweepFolder) -> None:
    history = concluded(folder, target="functions:flat", pruning="none").history
    selection = selection_of(small_spec(selection=SELECTION), history)
    assert selection is not None

    same, better = (_luck(small_spec(), replace(selection, optimism=optimism))[0] for optimism in (1e-16, 1e-6))
    assert same.startswith("in the search it had 0.2500 after")
    assert same.endswith("as it is")
    assert better.endswith("better than it is")


def test_the_pareto_front_is_shown(folder: SweepFolder, call) -> None:
    selection = {**SELECTION, "cost": "size"}
    driver = concluded(folder, target="functions:priced", pruning="none", selection=selection)
    _, out, _ = call("show", "bowl", "--results", str(folder.results))
    page = write_report(folder, driver.spec, driver.history).read_text("utf-8")
    chosen = selection_of(driver.spec, driver.history)

    assert all(candidate.on_front for candidate in chosen.candidates)  # better trials are more expensive here
    assert "on the front" in out
    assert "on the Pareto front of loss and size: trial" in out
    assert "the Pareto front." in page
    table = pd.read_parquet(folder.table("selection"))
    assert table.loc[table["row"] == "candidate", "on_front"].all()
    assert table.loc[table["row"] == "candidate", "size"].notna().all()


@pytest.mark.parametrize("cost", ["epoch_seconds", "latency"])
def test_a_rule_by_a_clock_is_no_rule_of_a_deterministic_sweep(cost: str) -> None:
    table = {"name": "d", "trials": 2, "deterministic": True, "space": {"preset": "custom_cnn"}}
    rule = {"rule": "within_one_se", "cost": cost}
    with pytest.raises(sweeps.SpecError, match="deterministic: what a clock ends is never twice the same: leave selec"):
        sweeps.load_spec({**table, "selection": rule})
    assert sweeps.load_spec({**table, "selection": {"rule": "within_one_se", "cost": "parameters"}})


def test_a_cost_that_models_have_not_is_refused_with_a_hint() -> None:
    with pytest.raises(sweeps.SpecError, match="a model has no 'parameter', did you mean 'parameters'"):
        sweeps.load_spec(
            {"name": "d", "trials": 2, "space": {"preset": "custom_cnn"}, "selection": {"cost": "parameter"}}
        )


@pytest.mark.parametrize(
    ("what", "writer", "command"),
    [
        ("report", "sweeps.report.writing.write_report", "sweeps report bowl"),
        ("figures", "sweeps.store.figures.write_figures", "sweeps resume bowl"),
    ],
)
def test_a_picture_that_cannot_be_written_undoes_no_finished_sweep(
    folder: SweepFolder, call, monkeypatch: pytest.MonkeyPatch, what: str, writer: str, command: str
) -> None:
    concluded(folder)

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a page\nthat fails")

    monkeypatch.setattr(writer, fails)
    code, out, _ = call("resume", "bowl", "--results", str(folder.results))

    assert code == 0
    line = f"warning: the {what} could not be written (ZeroDivisionError: a page that fails): try `{command}`"
    assert line in out
    assert "winner: trial" in out


@pytest.mark.parametrize(
    ("options", "column", "count"),
    [
        ((), "trial", None),
        (("--top", "3"), "value", 3),
        (("--sort", "-x"), "-x", None),
        (("--sort", "loss", "--top", "2"), "loss", 2),
    ],
)
def test_programs_get_the_same_trials_in_the_same_order_as_people(
    folder: SweepFolder, call: Any, options: tuple[str, ...], column: str, count: int | None
) -> None:
    concluded(folder)
    expected = ranked(sweeps.load("bowl", results=folder.results), column, count)
    code, as_json, _ = call("show", "bowl", "--results", str(folder.results), "--json", *options)

    assert code == 0
    assert [row["trial"] for row in json.loads(as_json)["trials"]] == [trial.key.number for trial in expected]


def test_one_trial_is_shown_with_all_its_reports(folder: SweepFolder, call: Any) -> None:
    driver = concluded(folder)
    reports = len(driver.history.search[1].measurements)
    _, as_json, _ = call("show", "bowl", "--results", str(folder.results), "--trial", "1", "--json")
    code, _, err = call("show", "bowl", "--results", str(folder.results), "--trial", "99")

    assert len(json.loads(as_json)["reports"]) == reports
    assert code == 2
    assert "99" in err
