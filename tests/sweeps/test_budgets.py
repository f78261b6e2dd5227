"""Tests of budgets: they are counted from the ledger's rows alone, so neither pauses nor restarts reset them."""

from typing import Any

import pytest
from simulation import open_driver, small_spec

from study.measurement import Measurement
from sweeps.execution.driver import Driver
from sweeps.execution.messages import Leg, Message
from sweeps.search.budgets import Ended, device_seconds, ended, limit, may_go_on, resting
from sweeps.search.closing import closing
from sweeps.search.history import PUBLISHED, Asked, History, Measured, Moved, Noted, Row, Stamp, TrialKey
from sweeps.search.notes import CLOSED, EXTENDED, RETRY
from sweeps.store.folders import SweepFolder

START, A, B = Noted("session", {}), TrialKey(0), TrialKey(1)


def history_of(*rows: tuple[float, Row]) -> History:
    return History((Stamp(seq, time), row) for seq, (time, row) in enumerate(rows, start=1))


def report(key: TrialKey, number: int = 1) -> Measured:
    return Measured(key, Measurement(number, number, float(number), 0.0, {"loss": 0.5}))


def asked(key: TrialKey) -> Asked:
    return Asked(key, {"x": 0.5}, 0, 0)


class Clock:
    """A session's clock that advances only when a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def started(folder: SweepFolder, clock: Clock, **changes: Any) -> Driver:
    driver = open_driver(folder, small_spec(**changes), clock=clock)
    driver.start({})
    return driver


def take(driver: Driver) -> Leg:
    leg = driver.next_leg()
    assert isinstance(leg, Leg), leg
    return leg


def test_device_hours_count_the_time_for_which_trials_hold_workers() -> None:
    history = history_of((0, START), (0, asked(A)), (10, asked(B)), (30, report(A)), (40, Moved(A, "complete", "")))

    assert history.occupied(50) == 40 + 40
    assert history.occupied(50, history.trials[A]) == 40
    assert history.occupied(50, history.trials[B]) == 40


def test_device_seconds_are_those_of_the_search_where_fresh_seeds_run_on_other_devices() -> None:
    fresh = TrialKey(0, 1)
    history = history_of(
        (0, START),
        (0, asked(A)),
        (40, Moved(A, "complete", "")),
        (40, asked(fresh)),
        (70, Moved(fresh, "complete", "")),
    )
    gpus = {"gpus_per_trial": 0.5}

    assert device_seconds(small_spec(resources=gpus), history, 70) == (40 + 30) * 0.5
    apart = small_spec(resources=gpus, selection={"resources": {"cpus_per_trial": 4}})
    assert device_seconds(apart, history, 70) == 40 * 0.5
    on_cpus = small_spec(selection={"resources": {"cpus_per_trial": 4}})
    assert device_seconds(on_cpus, history, 70) == 40 + 30 * 4


def test_the_time_between_sessions_is_nobodys() -> None:
    history = history_of(
        (0, START),
        (0, asked(A)),
        (10, report(A)),
        (500, START),
        (505, Moved(A, "running", "resumed")),
        (520, report(A, 2)),
    )

    assert history.occupied(525) == 10 + 20  # counted from when the trial was handed out again
    assert history.elapsed(525) == 10 + 25


@pytest.mark.parametrize("note", [Noted(EXTENDED, {"trials": 1}), Noted(RETRY, {"trials": [], "from_start": []})])
def test_a_note_between_sessions_begins_none(note: Noted) -> None:
    history = history_of((0, START), (0, asked(A)), (10, report(A)), (500, note))

    assert history.elapsed(501) == history.worked == 10
    assert history.occupied(501) == 10
    for moment, row in ((505, START), (507, Moved(A, "running", "resumed"))):
        history.apply(Stamp(history.last.seq + 1, moment), row)
    assert history.elapsed(508) == 10 + 3


@pytest.mark.parametrize(
    ("changes", "now", "over"),
    [
        # Of 1000 s at most 400 s are held back. A training takes 9 s; 32 of them plus a quarter take 360 s.
        ({"time": 1000}, 638, Ended()),
        ({"time": 1000}, 640, Ended("time")),
        ({"time": 1000}, 927, Ended("time")),
        ({"time": 1000}, 929, Ended("time", "time")),  # 8 of the 32 trainings are for publication
        ({"time": 1000}, 1001, Ended("time", "time", "time")),
        ({"device_hours": 1000 / 3600}, 638, Ended()),
        ({"device_hours": 1000 / 3600}, 640, Ended("device_hours")),
        ({"device_hours": 1000 / 3600, "resources": {"cpus_per_trial": 4}}, 251, Ended(*["device_hours"] * 3)),
        ({"device_hours": 1000 / 3600, "resources": {"gpus_per_trial": 0.25}}, 1001, Ended()),
        ({"device_hours": 1, "time": 10}, 10, Ended("time", "time", "time")),
        ({"time": 20}, 19, Ended()),  # not even one training fits into 8 s, so nothing is held back
        ({}, 1e9, Ended()),
    ],
)
def test_what_the_selection_will_take_is_held_back_from_the_search(
    changes: dict[str, Any], now: float, over: Ended
) -> None:
    history = history_of((0, START), (0, asked(A)), (1, report(A)))

    assert ended(small_spec(**changes), history, now) == over


def test_nothing_is_held_back_before_the_first_report() -> None:
    history = history_of((0, START), (0, asked(A)))

    assert ended(small_spec(time=100), history, 99) == Ended()
    assert ended(small_spec(time=100), history, 100) == Ended("time", "time", "time")


def test_what_ended_the_search_stays_whatever_the_next_report_says() -> None:
    spec, rows = small_spec(time=1000), [(0, START), (0, asked(A)), (1, report(A))]
    closed = closing(spec, history_of(*rows), 640)
    assert closed == Noted(CLOSED, {"budget": "time"})
    quicker = [(640, closed), (640, report(A, 2)), (640.1, report(A, 3)), (640.2, report(A, 4))]

    assert ended(spec, history_of(*rows, *quicker), 641) == Ended("time")
    assert closing(spec, history_of(*rows, *quicker), 641) is None
    assert ended(spec, history_of(*rows, *quicker, (642, Noted("extended", {"time": 60}))), 641).search is None


def test_a_budget_that_nears_its_end_leaves_the_selection_what_it_takes(folder: SweepFolder, clock: Clock) -> None:
    selection = {"candidates": 1, "seeds": 1, "published_seeds": 1, "time_share": 0.6}
    driver = started(folder, clock, time=100, trials=500, selection=selection)
    begun, leg = clock.now, take(driver)
    while not leg.key.replicate:
        clock.now += 1
        at = len(driver.history.trials[leg.key].measurements) + 1
        measured = Message("measured", Measurement(at, at, at, 0.1, {"loss": 1 / at}), {})
        leg = leg if driver.receive(leg.key, measured) else take(driver)

    # Four trainings of 9 s, a quarter more, and one report: 46 s are left to the selection.
    assert driver.history.budgeted.closed_by == "time"
    assert 53 <= clock.now - begun <= 55
    assert driver.history.budgeted.fitted == {"candidates": 1, "seeds": 1, "published_seeds": 1}


def test_the_nearest_budget_ends_a_leg() -> None:
    history = history_of((0, START), (0, asked(A)), (10, report(A)))
    spec = small_spec(time=100, device_hours=200 / 3600, trial_time=40)

    found = limit(spec, history, history.trials[A], 20, workers=2)
    assert found is not None
    assert (found.name, found.left) == ("trial_time", 20)
    spec = small_spec(time=1000, device_hours=200 / 3600, trial_time=400)
    found = limit(spec, history, history.trials[A], 20, workers=2)
    assert found is not None
    assert (found.name, found.left) == ("device_hours", pytest.approx((200 - 20) / 2))
    assert limit(small_spec(), history, history.trials[A], 20, workers=2) is None


def test_a_trial_that_used_its_own_time_stays_cut_until_it_is_given_more(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, trial_time=30, trials=2)
    leg = take(driver)
    assert leg.limit is not None
    assert (leg.limit.name, leg.limit.left) == ("trial_time", 30)
    clock.now += 31
    driver.receive(leg.key, Message("cut", reason="trial_time"))

    trial = driver.history.trials[leg.key]
    assert (trial.state, trial.reason) == ("cut", "trial_time")
    assert not may_go_on(driver.spec, trial)
    assert may_go_on(small_spec(trial_time=40), trial)
    assert take(driver).key == TrialKey(1)


def test_a_budget_that_is_over_cuts_a_trial_at_its_report(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, device_hours=100 / 3600, pruning={"name": "none", "max_fidelity": 9})
    leg = take(driver)
    clock.now += 101

    assert not driver.receive(leg.key, Message("measured", Measurement(1, 1, 1.0, 0.1, {"loss": 0.5}), {}))
    assert (driver.history.trials[leg.key].state, driver.history.trials[leg.key].reason) == ("cut", "device_hours")
    assert driver.next_leg() == "finished"


def test_the_selection_is_cut_where_the_whole_budget_is_over(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, time=100, trials=1, selection={"candidates": 1, "seeds": 1, "published_seeds": 1})
    leg = take(driver)
    for number in range(1, 10):
        driver.receive(leg.key, Message("measured", Measurement(number, number, number, 0.1, {"loss": 0.5}), {}))
        leg = take(driver) if leg.key not in driver.live else leg
        if leg.key.replicate:
            break
    assert leg.key == TrialKey(0, PUBLISHED + 1)
    clock.now += 101

    assert not driver.receive(leg.key, Message("measured", Measurement(1, 1, 1.0, 0.1, {"loss": 0.5}), {}))
    assert driver.history.trials[leg.key].state == "cut"
    assert driver.next_leg() == "finished"


def test_a_lost_trial_rests_twice_as_long_each_time(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, retries={"lost": 3, "wait": 8}, trials=1)
    for rest in (8, 16, 32):
        key = take(driver).key
        driver.lost(key, "its actor died")
        assert resting(driver.spec, driver.history, clock.now) == {key}
        assert driver.next_leg() == "wait"
        clock.now += rest - 0.1
        assert driver.next_leg() == "wait"
        clock.now += 0.2
    driver.lost(take(driver).key, "its actor died")

    assert driver.history.trials[A].reason == "its worker was lost, 4 in all: its actor died"


def test_a_trials_own_exception_is_tried_again_only_where_that_is_asked_for(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, retries={"failed": 1, "wait": 1}, trials=1)
    driver.receive(take(driver).key, Message("failed", reason="ValueError: no", detail="Traceback"))
    trial = driver.history.trials[A]
    assert (trial.state, trial.reason) == ("running", "retried")
    assert trial.detail == "ValueError: no\nTraceback"
    clock.now += 2
    driver.receive(take(driver).key, Message("failed", reason="ValueError: no", detail="Traceback"))

    assert (trial.state, trial.reason) == ("failed", "ValueError: no")


def test_a_worker_without_a_word_is_hung_and_its_trial_goes_on_in_another(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, retries={"lost": 1, "wait": 1, "report_timeout": "1m"}, trials=1)
    for reason in ("running", "failed"):
        key = take(driver).key
        for _ in range(11):
            clock.now += 5
            assert driver.overdue() == {}
        clock.now += 6
        assert driver.overdue() == {key: "hung"}
        driver.lost(key, "its actor died")
        assert driver.history.trials[key].state == reason
        clock.now += 5

    assert driver.history.trials[A].reason == "its worker hung, 2 in all: no word from its worker for 60 s"


def test_a_worker_that_does_not_stop_when_time_is_over_is_killed_and_its_trial_is_cut(
    folder: SweepFolder, clock: Clock
) -> None:
    driver = started(folder, clock, time=100)
    key = take(driver).key
    clock.now += 102
    assert driver.overdue() == {}
    clock.now += 2
    assert driver.overdue() == {key: "time"}
    driver.lost(key, "its actor died")

    trial = driver.history.trials[key]
    assert (trial.state, trial.reason, trial.losses) == ("cut", "time", 0)


def test_while_the_driver_sleeps_no_worker_is_taken_as_hung(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, retries={"report_timeout": "1m"})
    take(driver)
    assert driver.overdue() == {}
    clock.now += 8 * 3600

    assert driver.overdue() == {}


def test_a_trial_that_rests_is_cut_when_the_budget_ends(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, time=100, retries={"wait": "10m"}, trials=2)
    driver.receive(take(driver).key, Message("measured", Measurement(1, 1, 1.0, 0.1, {"loss": 0.5}), {}))
    key = take(driver).key
    driver.lost(key, "its actor died")
    clock.now += 101

    assert driver.next_leg() == "finished"
    assert (driver.history.trials[key].state, driver.history.trials[key].reason) == ("cut", "time")


def test_time_without_a_worker_is_charged_to_nobody(folder: SweepFolder, clock: Clock) -> None:
    driver = started(folder, clock, trial_time=100)
    key = take(driver).key
    clock.now += 10
    driver.lost(key, "its actor died")
    clock.now += 500
    take(driver)
    clock.now += 20

    assert driver.history.occupied(clock.now, driver.history.trials[key]) == 30


def test_time_is_counted_though_every_session_is_killed_before_a_report(folder: SweepFolder, clock: Clock) -> None:
    for _ in range(4):
        driver = started(folder, clock, time=100)
        for _ in range(10):
            clock.now += 2
            driver.overdue()
        clock.now += 1000  # no process drives the sweep

    assert open_driver(folder, small_spec(time=100)).history.worked == pytest.approx(4 * 20, abs=4 * 6)


def test_of_what_a_sweep_is_given_later_a_share_at_most_is_held_back() -> None:
    rows = [(0, START), (0, asked(A)), (1, report(A)), (1, Moved(A, "cut", "time")), (100, Noted("outcome", {}))]
    history = history_of(*rows, (500, Noted("extended", {"time": 60})), (500, START))

    # Of 24 s: one training of 9 s, a quarter more, and one report; of 64 s it would be four trainings.
    assert ended(small_spec(time=160), history, 500 + 47) == Ended()
    assert ended(small_spec(time=160), history, 500 + 48) == Ended("time")
    assert ended(small_spec(time=160), history, 500 + 61) == Ended("time", "time", "time")
