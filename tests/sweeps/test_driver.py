"""Tests of the driver: in whatever order workers report and wherever a process dies, the ledger is consistent."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, open_driver, rows_of, small_spec

from study.comparison import differences
from study.measurement import Measurement
from sweeps.errors import SweepError
from sweeps.execution.driver import Driver
from sweeps.execution.failures import MANY
from sweeps.execution.messages import Leg, Message
from sweeps.search.agenda import Work, next_work
from sweeps.search.history import Asked, Decided, History, Measured, Moved, Row, Stamp, TrialKey
from sweeps.search.selection import candidates, select
from sweeps.search.verification import verify
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder, first_there
from sweeps.store.ledger import Ledger
from sweeps.store.rows import dump_json


class Killed(BaseException):
    """A stand-in for `kill -9`, which nothing catches."""


def finish(folder: SweepFolder, **changes: object) -> Driver:
    """Run the small sweep to its end without a disturbance, and return its driver."""
    driver = open_driver(folder, small_spec(**changes))
    driver.start({})
    Simulation(driver).run()
    return driver


def assert_one_true_story(folder: SweepFolder, trials: int) -> History:
    """Check what holds for every ledger of a finished sweep, and return its history."""
    rows = Ledger.open(folder.ledger).rows()
    history = History(rows)
    assert [trial.key.number for trial in history.search] == list(range(trials))
    for trial in history.trials.values():
        assert [m.report for m in trial.measurements] == list(range(1, len(trial.measurements) + 1))
        assert trial.state != "running"
    ends = Counter(row.key for _, row in rows if isinstance(row, Moved) and row.state in ("complete", "failed"))
    assert all(count == 1 for count in ends.values())
    asked = Counter(row.key for _, row in rows if isinstance(row, Asked))
    assert all(count == 1 for count in asked.values())
    decided = Counter((row.key, row.rung, row.verdict) for _, row in rows if isinstance(row, Decided))
    assert all(count == 1 for count in decided.values())
    assert select(small_spec(), history, candidates(small_spec(), history)).winner is not None
    return history


def test_a_sweep_ends_with_the_trials_asked_for(folder: SweepFolder) -> None:
    finish(folder)

    assert_one_true_story(folder, 12)


def test_a_slot_that_waits_asks_the_agenda_anew_only_when_something_has_changed(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, asked = open_driver(folder, small_spec(trials=1)), list[int]()
    driver.start({})
    leg = driver.next_leg()
    assert isinstance(leg, Leg)

    def counted(spec: SweepSpec, history: History, *others: Any) -> Work:
        asked.append(history.last.seq)
        return next_work(spec, history, *others)

    monkeypatch.setattr("sweeps.execution.driver.next_work", counted)
    assert [driver.next_leg() for _ in range(3)] == ["wait"] * 3
    assert len(asked) == 1
    driver.receive(leg.key, Message("measured", Measurement(1, 1, 1.0, 0.1, {"loss": 1.0})))
    driver.next_leg()
    assert asked[1] > asked[0]


@settings(max_examples=25)
@given(kill_after=st.integers(1, 150), second=st.integers(1, 60), seed=st.integers(0, 9))
def test_a_kill_after_any_commit_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, kill_after: int, second: int, seed: int
) -> None:
    folder = SweepFolder(tmp_path_factory.mktemp("results"), "bowl")
    seen: list[tuple[Stamp, Row]] = []
    for limit in (kill_after, second, 10**9):
        acknowledged = len(seen)

        def observe(stamp: Stamp, row: Row, limit: int = limit, before: int = acknowledged) -> None:
            seen.append((stamp, row))
            if len(seen) - before >= limit:
                raise Killed

        driver = open_driver(folder, small_spec(), observe=observe)
        try:
            driver.start({})
            Simulation(driver, seed=seed).run()
        except Killed:
            continue

    history = assert_one_true_story(folder, 12)
    stored = {stamp.seq: row for stamp, row in Ledger.open(folder.ledger).rows()}
    assert all(dump_json(asdict(stored[stamp.seq])) == dump_json(asdict(row)) for stamp, row in seen)
    assert history.last.seq == len(stored)


def test_an_interrupted_trial_goes_on_behind_what_the_ledger_has(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(pruning={"name": "none", "max_fidelity": 9}))
    driver.start({})
    Simulation(driver, slots=1).run(stop=lambda: driver.history.last.seq >= 7)
    reports = len(driver.history.trials[TrialKey(0)].measurements)

    again = open_driver(folder, driver.spec)
    again.start({})
    leg = again.next_leg()

    assert isinstance(leg, Leg)
    assert reports > 2
    assert (leg.key, leg.known) == (TrialKey(0), reports)
    assert first_there((leg.checkpoint, *leg.earlier), leg.store)


def test_a_repeated_report_that_differs_is_a_warning_and_the_first_value_stays(folder: SweepFolder) -> None:
    spec = small_spec(target="functions:differs_each_time", pruning={"name": "none", "max_fidelity": 9}, trials=1)
    driver = open_driver(folder, spec)
    driver.start({})
    Simulation(driver, slots=1).run(stop=lambda: len(driver.history.trials) == 1 and driver.history.last.seq > 6)
    before = [m.values for m in driver.history.trials[TrialKey(0)].measurements]

    again = open_driver(folder, spec)
    again.start({})
    Simulation(again, slots=1).run()

    trial = again.history.trials[TrialKey(0)]
    warnings = [note.body["text"] for note in again.history.noted("warning") if note.key == trial.key]
    assert trial.state == "complete"
    assert [m.values for m in trial.measurements[: len(before)]] == before
    assert len(warnings) == 1
    assert warnings[0].startswith("nondeterministic: report 1 was repeated after a restart, loss was")


def test_only_the_sweeps_metric_counts_in_a_repeated_report(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(pruning="none"))
    driver.start({})
    leg = driver.next_leg()
    assert isinstance(leg, Leg)
    for seconds in (0.1, 0.2):
        values = {"loss": 0.5, "seconds_per_step": seconds}
        driver.receive(leg.key, Message("measured", Measurement(1, 1, 1.0, 0.1, values, None), {}))

    assert driver.history.trials[leg.key].state == "running"
    assert list(driver.history.noted("warning")) == []


def test_a_trial_whose_worker_is_lost_too_often_fails(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(retries={"wait": 1e-9}))
    driver.start({})
    for _ in range(driver.spec.retries.lost + 1):
        leg = driver.next_leg()
        assert isinstance(leg, Leg)
        assert leg.key == TrialKey(0)
        driver.lost(leg.key, "its actor died")

    assert driver.history.trials[TrialKey(0)].state == "failed"


def report(driver: Driver, leg: Leg, number: int, **values: float) -> None:
    driver.receive(leg.key, Message("measured", Measurement(number, number, float(number), 0.1, values, None), {}))


def taken(driver: Driver) -> Leg:
    leg = driver.next_leg()
    assert isinstance(leg, Leg)
    return leg


def test_a_metric_that_no_report_has_is_warned_of_at_the_first_and_stops_the_sweep_at_the_trials_end(
    folder: SweepFolder,
) -> None:
    driver = open_driver(folder, small_spec(metric="accuracy"))
    driver.start({})
    leg = taken(driver)
    report(driver, leg, 1, loss=0.5)
    (warning,) = driver.history.noted("warning")
    assert "the metric 'accuracy' was not reported, only: loss" in warning.body["text"]
    assert driver.history.trials[leg.key].state == "running"

    with pytest.raises(SweepError, match="the metric 'accuracy' was not reported, only: loss: yield it, then `sweeps"):
        driver.receive(leg.key, Message("ended"))

    trial = driver.history.trials[leg.key]
    assert (trial.state, trial.reason) == ("failed", "the metric 'accuracy' was not reported, only: loss")


def test_a_function_without_end_that_never_reports_the_metric_is_ended(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(metric="accuracy", pruning="none"))
    driver.start({})
    leg = taken(driver)
    for number in range(1, 1000):
        report(driver, leg, number, loss=0.5)
    with pytest.raises(SweepError, match="the metric 'accuracy' was not reported"):
        report(driver, leg, 1000, loss=0.5)

    assert driver.history.trials[leg.key].state == "failed"


def test_a_missing_metric_fails_one_trial_where_others_report_it(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(pruning="none"))
    driver.start({})
    for values, state in (({"loss": 0.5}, "complete"), ({"other": 0.5}, "failed")):
        leg = taken(driver)
        report(driver, leg, 1, **values)
        driver.receive(leg.key, Message("ended"))
        assert driver.history.trials[leg.key].state == state


def test_a_metric_that_comes_every_second_report_is_decided_where_it_comes(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(pruning={"reduction_factor": 2, "max_fidelity": 8}, trials=6))
    driver.start({})
    Simulation(driver, slots=2, function=every_second).run()

    assert {trial.state for trial in driver.history.search} == {"complete", "paused"}
    for trial in driver.history.search:
        assert trial.value("loss") == trial.measurements[len(trial.measurements) // 2 * 2 - 1].values["loss"]
    assert verify(driver.spec, rows_of(folder)).holds


def every_second(params: Any, seed: int, checkpoint: int | None) -> Iterator[dict[str, Any]]:
    """Yield a report per epoch, with the sweep's loss in every second one."""
    for epoch in range((checkpoint or 0) + 1, 9):
        validated = {"loss": params["x"] / epoch} if epoch % 2 == 0 else {}
        yield {"train_loss": params["x"], **validated, "checkpoint": epoch}


def raising(message: str) -> Message:
    return Message("failed", reason=f"ValueError: {message} (train.py:12)", detail="Traceback …")


def test_a_sweep_whose_trials_all_fail_alike_stops_after_a_few_and_says_where(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec())
    driver.start({})
    for number in range(2):
        driver.receive(taken(driver).key, raising(f"x is {number}"))
    with pytest.raises(
        SweepError, match=r"3 trials failed .* ValueError: x is 2 \(train.py:12\); see .*logs/2.log"
    ) as e:
        driver.receive(taken(driver).key, raising("x is 2"))

    assert e.value.exit_code == 1
    assert "ValueError: x is 2 (train.py:12)" in next(driver.history.noted("failing_alike")).body["reason"]


@pytest.mark.parametrize("other", ["TypeError: x is 2 (train.py:12)", "ValueError: x is 2 (train.py:13)"])
def test_trials_that_fail_otherwise_or_after_reports_do_not_stop_a_sweep(folder: SweepFolder, other: str) -> None:
    driver = open_driver(folder, small_spec())
    driver.start({})
    driver.receive(taken(driver).key, raising("a"))
    driver.receive(taken(driver).key, Message("failed", reason=other))
    driver.receive(taken(driver).key, raising("b"))
    leg = taken(driver)
    report(driver, leg, 1, loss=0.5)
    for _ in range(4):
        driver.receive(taken(driver).key, raising("c"))

    assert len(driver.history.in_state("failed")) == 7
    assert not list(driver.history.noted("failing_alike"))


def test_a_metric_that_comes_with_the_last_report_is_waited_for(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(metric="accuracy", pruning={"name": "none", "max_fidelity": 151}))
    driver.start({})
    leg = taken(driver)
    for number in range(1, 151):
        report(driver, leg, number, loss=0.5)
    report(driver, leg, 151, loss=0.5, accuracy=0.5)

    assert driver.history.trials[leg.key].state == "complete"


def test_trials_that_all_fail_alike_after_reports_stop_a_sweep_too(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(pruning="none", trials=30))
    driver.start({})
    for _ in range(MANY - 1):
        leg = taken(driver)
        report(driver, leg, 1, loss=0.5)
        driver.receive(leg.key, raising("a"))
    leg = taken(driver)
    report(driver, leg, 1, loss=0.5)
    with pytest.raises(
        SweepError, match=f"{MANY} trials failed and none came through, the last 3 alike: ValueError: a"
    ):
        driver.receive(leg.key, raising("a"))


@pytest.mark.parametrize("has_reported", [True, False])
def test_a_trial_that_began_before_those_that_fail_alike_is_waited_for(folder: SweepFolder, has_reported: bool) -> None:
    driver = open_driver(folder, small_spec(pruning="none", trials=30))
    driver.start({})
    older = taken(driver)
    for _ in range(MANY - 1):
        driver.receive(taken(driver).key, raising("out of memory"))
    if has_reported:
        report(driver, older, 1, loss=0.5)
        for _ in range(MANY):
            driver.receive(taken(driver).key, raising("out of memory"))
        driver.receive(older.key, Message("ended"))
        assert not list(driver.history.noted("failing_alike"))
    else:
        with pytest.raises(SweepError, match=f"{MANY} trials failed before any report, the last 3 alike"):
            driver.receive(taken(driver).key, raising("out of memory"))


def test_a_skipped_report_is_a_fault(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec())
    driver.start({})
    leg = driver.next_leg()
    assert isinstance(leg, Leg)
    driver.receive(leg.key, Message("measured", Measurement(3, 3, 3.0, 0.1, {"loss": 0.5}, None), {}))

    assert driver.history.trials[leg.key].reason == "report 3 came before 1"


def test_checkpoints_of_ended_trials_are_freed_and_those_that_may_go_on_stay(folder: SweepFolder) -> None:
    driver = finish(folder)

    for trial in driver.history.trials.values():
        is_there = folder.checkpoint(trial.key.label).exists()
        may_go_on = trial.state in ("paused", "cut")
        assert is_there == may_go_on, trial


def test_rows_are_seen_from_outside_only_after_their_commit(folder: SweepFolder) -> None:
    unseen = []

    def observe(stamp: Stamp, row: Row) -> None:
        reader = Ledger.open(folder.ledger, read_only=True)
        if stamp not in [found for found, _ in reader.rows()]:
            unseen.append(stamp)
        reader.close()

    driver = open_driver(folder, small_spec(trials=2), observe=observe)
    driver.start({})
    Simulation(driver).run()

    assert unseen == []
    assert any(isinstance(row, Measured) for _, row in Ledger.open(folder.ledger).rows())


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"step": 2}, "step"),
        ({"fidelity": 2.0}, "fidelity"),
        ({"digest": "b"}, "digest"),
        ({"values": {"loss": 0.1 + 2**-56}}, "loss"),
        ({"values": {"loss": 0.1, "accuracy": 1.0}}, "accuracy"),
    ],
)
def test_any_changed_value_is_a_difference(changed: dict[str, object], word: str) -> None:
    stored = Measurement(1, 1, 1.0, 0.5, {"loss": 0.1}, "a")
    (difference,) = differences(stored, Measurement(**{**asdict(stored), **changed}))

    assert difference.startswith(word)


def test_a_run_that_took_longer_is_the_same_run() -> None:
    stored = Measurement(1, 1, 1.0, 0.5, {"loss": float("nan")}, "a")

    assert differences(stored, Measurement(1, 1, 1.0, 9.5, {"loss": float("nan")}, "a")) == []
