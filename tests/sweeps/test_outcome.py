"""How sweeps end, and what is said: the winner and what is published of it or, in clear words, why there is none."""

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from simulation import Simulation, open_driver, small_spec, swept

import sweeps
from sweeps.execution.conclusion import conclude
from sweeps.execution.driver import Driver
from sweeps.report.writing import write_report
from sweeps.running import go_on
from sweeps.search.extension import as_extended, extension, selecting
from sweeps.search.history import PUBLISHED, History, Moved, Noted, TrialKey
from sweeps.search.selection import BASELINE, selection_of
from sweeps.search.standing import is_over
from sweeps.store.folders import SweepFolder
from sweeps.terminal.cleaning import clean_sweep
from sweeps.terminal.outcome import _luck, outcome_lines

SELECTION = {"candidates": 3, "seeds": 3, "published_seeds": 3}


def concluded(folder: SweepFolder, **changes: Any) -> Driver:
    """A small sweep, run to its outcome without Ray."""
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
    # What became of the candidates, and not of trials that were left at a rung.
    said = "no winner: no trial has a finite value on all its fresh seeds (trial 0: fresh seed 1: pruned diverged: loss"
    assert lines(folder)[0].startswith(said)
    assert "paused" not in lines(folder)[0]
    assert lines(folder)[0].endswith("; and 1 more)")
    assert all(c.decision == "out" and "diverged" in c.reason for c in selection_of(driver.spec, history).candidates)


def test_where_no_trial_of_the_search_has_a_value_that_is_said(folder: SweepFolder) -> None:
    concluded(folder, target="functions:nan_at_half", space={"x": {"float": [0.6, 1.0]}}, trials=2)

    assert lines(folder)[0].startswith("no winner: no trial of the search has a finite value (trial 0: pruned diverged")


def test_where_the_only_candidate_diverges_on_the_further_seeds_that_is_said(folder: SweepFolder) -> None:
    history = concluded(folder, trials=1, target="functions:mad_on_fresh_published", pruning="none").history

    assert history.outcome["winner"] is None
    assert (
        "would be the winner, but none of its further seeds came to its end (seed 1: pruned diverged"
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


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day of ledger and drivers, s, in a list to be set."""
    moment = [time.time()]  # workers have a clock of their own
    monkeypatch.setattr("sweeps.store.ledger.time", SimpleNamespace(time=lambda: moment[0], sleep=time.sleep))
    return moment


def test_a_budget_too_small_for_one_fresh_seed_is_said_and_more_of_it_goes_on(
    folder: SweepFolder, now: list[float]
) -> None:
    driver = open_driver(folder, small_spec(time="10s", selection=SELECTION), clock=lambda: now[0])
    driver.start({})
    start = now[0]

    def at_the_end() -> bool:
        if len(driver.history.search) == 5:
            now[0] = start + 11
        return False

    Simulation(driver).run(stop=at_the_end)
    conclude(driver, None, None)
    assert driver.history.outcome["winner"] is None
    assert "the share that is held back for them is too small" in lines(folder)[0]
    assert f"`sweeps resume bowl --time +10m --results {folder.results}` goes on" in lines(folder)[1]

    more = extension(driver.spec, {"time": "10m"})
    assert more is not None
    longer = after(driver, more, lambda: now[0])
    conclude(longer, None, None)
    assert longer.history.outcome["winner"] is not None


def test_select_ends_a_search_and_more_trials_open_it_again(folder: SweepFolder) -> None:
    spec = small_spec(selection=SELECTION)
    driver = open_driver(folder, spec)
    driver.start({})
    Simulation(driver).run(stop=lambda: len(driver.history.search) == 5)
    driver.record(selecting(spec, driver.history, {"seeds": 2, "cost": None}))

    chosen = open_driver(folder, as_extended(spec, driver.history))
    chosen.start({})
    Simulation(chosen).run()
    conclude(chosen, None, None)
    assert len(chosen.history.search) == 5
    assert {t.state for t in chosen.history.search} <= {"complete", "paused", "cut", "pruned"}
    assert max(key.replicate for key in chosen.history.trials if key.stage == "choice") == 2
    assert chosen.history.outcome["winner"] is not None
    assert "the search was ended by hand after 5 of 12 trials" in " ".join(lines(folder))

    more = extension(chosen.spec, {"trials": 1})
    assert more is not None
    chosen.record(more)
    again = open_driver(folder, as_extended(spec, chosen.history))
    again.start({})
    Simulation(again).run()
    assert len(again.history.search) == 13
    assert {t.state for t in again.history.search} <= {"complete", "paused", "pruned"}


def test_a_choice_by_another_rule_keeps_what_was_trained(folder: SweepFolder) -> None:
    driver = concluded(folder)
    before = {key: trial.measurements for key, trial in driver.history.trials.items()}
    driver.record(selecting(driver.spec, driver.history, {"published_seeds": 5}))
    again = open_driver(folder, as_extended(driver.spec, driver.history))
    again.start({})
    Simulation(again).run()
    conclude(again, None, None)

    added = {key for key in again.history.trials if key not in before}
    assert added == {TrialKey(n, PUBLISHED + s) for n in (again.history.outcome["winner"], BASELINE) for s in (4, 5)}
    assert {key: again.history.trials[key].measurements for key in before} == before
    assert again.history.outcome["n"] == 5


def after(driver: Driver, row: Noted, clock: Callable[[], float] = time.time) -> Driver:
    """The same sweep with a row that enlarges it or sets its choice anew, run to where it would be concluded."""
    driver.record(row)
    longer = open_driver(driver.folder, as_extended(driver.spec, driver.history), clock=clock)
    longer.start({})
    Simulation(longer).run()
    return longer


def test_a_kill_before_a_second_outcome_leaves_the_sweep_to_be_concluded(folder: SweepFolder) -> None:
    driver = after(concluded(folder), Noted("extended", {"trials": 10}))
    assert not is_over(driver.spec, driver.history)
    assert sweeps.load("bowl", results=folder.results).state == "stopped"

    conclude(driver, None, None)
    assert is_over(driver.spec, driver.history)
    assert driver.history.outcome["trials"] == 22


def test_a_choice_that_needs_no_further_run_is_carried_out(folder: SweepFolder) -> None:
    """All of its runs are there: only what follows from them is new."""
    driver = concluded(folder)
    chosen = after(driver, selecting(driver.spec, driver.history, {"published_seeds": 2}))
    assert set(chosen.history.trials) == set(driver.history.trials)
    assert not is_over(chosen.spec, chosen.history)

    conclude(chosen, None, None)
    assert is_over(chosen.spec, chosen.history)
    assert chosen.history.outcome["n"] == 2


def test_an_outcome_is_not_that_of_a_row_that_came_after_it(folder: SweepFolder) -> None:
    driver = concluded(folder)
    driver.record(Moved(TrialKey(0), "cut", "time"))

    assert not driver.history.is_concluded


def test_a_session_that_did_nothing_leaves_the_outcome_as_it_is(folder: SweepFolder) -> None:
    driver = concluded(folder)
    driver.start({})

    assert is_over(driver.spec, driver.history)


def test_trials_that_were_cut_by_hand_and_opened_again_are_told_with_what_ended_them_then(
    folder: SweepFolder, now: list[float]
) -> None:
    driver = open_driver(folder, small_spec(time="100s", selection=SELECTION), clock=lambda: now[0])
    driver.start({})
    Simulation(driver).run(stop=lambda: len(driver.history.search) == 4)
    by_hand = after(driver, selecting(driver.spec, driver.history, {}), lambda: now[0])
    conclude(by_hand, None, None)
    assert any(trial.reason == "select" for trial in by_hand.history.search)
    assert f"`sweeps resume bowl --trials +6 --results {folder.results}` opens it again" in " ".join(lines(folder))

    start = now[0]

    def late() -> float:  # the time is over as soon as anybody looks
        now[0] = start + 200
        return now[0]

    longer = after(by_hand, Noted("extended", {"trials": 6}), late)
    conclude(longer, None, None)
    write_report(folder, longer.spec, longer.history, "over")
    assert f"`sweeps resume bowl --time +10m --results {folder.results}` goes on" in " ".join(lines(folder))


def gone_on(folder: SweepFolder) -> Driver:
    """A sweep that came to an outcome, was extended, and stopped again in its search."""
    driver = concluded(folder)
    driver.record(Noted("extended", {"trials": 30}))
    longer = open_driver(folder, as_extended(driver.spec, driver.history))
    longer.start({})
    Simulation(longer).run(stop=lambda: len(longer.history.search) > 15)
    return longer


def test_the_spec_beside_a_ledger_is_written_again_where_a_kill_left_it_behind(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def session(*_: object, **__: object) -> None:
        raise OSError("no Ray today")

    monkeypatch.setattr("sweeps.running.session", session)
    driver = concluded(folder)
    driver.record(selecting(driver.spec, driver.history, {"time_share": 0.3}))
    with pytest.raises(OSError, match="no Ray today"):
        go_on(folder, None, None, "none", verbose=False)

    assert "time_share = 0.3" in folder.spec.read_text("utf-8")


def test_a_sweep_that_went_on_since_its_outcome_says_so(folder: SweepFolder) -> None:
    outcome = gone_on(folder).history.outcome

    assert lines(folder)[0] == f"trial {outcome['winner']} was the winner, loss {outcome['mean']:.4f}"
    assert "has gone on since: the sweep 'bowl' is not over: go on with `sweeps resume bowl" in lines(folder)[1]
    swept(folder.results, "other", selection=SELECTION, trials=2)
    told = sweeps.compare("bowl", "other", results=folder.results).sweeps["missing"].tolist()
    assert told == ["it has gone on since its outcome", ""]


def test_the_checkpoints_of_a_sweep_that_went_on_since_its_outcome_are_needed(folder: SweepFolder) -> None:
    gone_on(folder)
    kept = sorted(folder.checkpoints.iterdir())

    with pytest.raises(sweeps.SweepError, match="is not over, and resuming needs its checkpoints"):
        clean_sweep("bowl", folder.results)
    assert sorted(folder.checkpoints.iterdir()) == kept


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"seeds": 0}, "select: selection.seeds"),
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
    told = f"in the search it had {winner.value('loss'):.4f} after {driver.spec.told(winner.last.fidelity)}, "

    assert told in " ".join(lines(folder))


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

    assert all(candidate.on_front for candidate in chosen.candidates)  # what is better is dearer here
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
