"""Tests of sweeps that continue or choose again after an outcome: the second is as safe as the first, and distinct."""

import time
from collections.abc import Callable

import pytest
from simulation import Simulation, open_driver, small_spec, swept
from test_outcome import SELECTION, concluded, lines

import sweeps
from sweeps.execution.conclusion import conclude
from sweeps.execution.driver import Driver
from sweeps.report.writing import write_report
from sweeps.running import go_on
from sweeps.search.extension import Changes, as_extended, extension, selecting
from sweeps.search.history import PUBLISHED, Moved, Noted, TrialKey
from sweeps.search.selection import BASELINE, by_last_value
from sweeps.search.standing import is_over
from sweeps.store.folders import SweepFolder
from sweeps.terminal.cleaning import clean_sweep


@pytest.fixture
def now() -> list[float]:
    """Return the time of a session's clock, in s, in a list that a test can set."""
    return [time.time()]


def test_a_budget_too_small_for_one_fresh_seed_ends_with_a_winner_that_is_not_confirmed_and_more_of_it_goes_on(
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
    best = by_last_value(driver.spec, driver.history)[0]
    assert (driver.history.outcome["winner"], driver.history.outcome["basis"]) == (best, "search")
    assert lines(folder)[0].startswith(f"winner, not confirmed: trial {best}, loss ")
    assert "on one seed after 1 report of the search, which makes it look better than it is" in lines(folder)[0]
    assert "not confirmed: a budget ended before a run on a further seed came to its end" in lines(folder)[2]
    assert f"`sweeps resume bowl --time +10m --results {folder.results}` continues it" in " ".join(lines(folder))

    more = extension(driver.spec, {"time": "10m"})
    assert more is not None
    longer = after(driver, more, lambda: now[0])
    conclude(longer, None, None)
    assert longer.history.outcome["basis"] == "evaluation"


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


def after(driver: Driver, row: Noted, clock: Callable[[], float] | None = None) -> Driver:
    """Return the driver of the sweep after a row that extends it or resets its choice, run up to its conclusion."""
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
    """Check this where all runs of the choice exist, and only what follows from them is new."""
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

    beginning = iter([start])

    def late() -> float:  # the time is over as soon as the session has begun
        return next(beginning, start + 200)

    longer = after(by_hand, Noted("extended", {"trials": 6}), late)
    conclude(longer, None, None)
    write_report(folder, longer.spec, longer.history, "over")
    assert f"`sweeps resume bowl --time +10m --results {folder.results}` continues it" in " ".join(lines(folder))


def gone_on(folder: SweepFolder) -> Driver:
    """Return the driver of a sweep that came to an outcome, was extended, and stopped again in its search."""
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
        go_on(folder, None, None, "none", verbose=False, changes=Changes())

    assert "time_share = 0.3" in folder.spec.read_text("utf-8")


def test_a_sweep_that_went_on_since_its_outcome_says_so(folder: SweepFolder) -> None:
    outcome = gone_on(folder).history.outcome

    assert lines(folder)[0] == f"trial {outcome['winner']} was the winner, loss {outcome['mean']:.4f}"
    assert "was continued since: the sweep 'bowl' is not over: continue with `sweeps resume bowl" in lines(folder)[1]
    swept(folder.results, "other", selection=SELECTION, trials=2)
    told = sweeps.compare("bowl", "other", results=folder.results).sweeps["missing"].tolist()
    assert told == ["it was continued since its outcome", ""]


def test_the_checkpoints_of_a_sweep_that_went_on_since_its_outcome_are_needed(folder: SweepFolder) -> None:
    gone_on(folder)
    kept = sorted(folder.checkpoints.iterdir())

    with pytest.raises(sweeps.SweepError, match="is not over, and resuming needs its checkpoints"):
        clean_sweep("bowl", folder.results)
    assert sorted(folder.checkpoints.iterdir()) == kept
