"""Tests of handing on: an actor whose leg is over gets the next, unless a leg waits for an actor that cannot start."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import ray
from simulation import TABLE, rows_of, small_spec

import sweeps
from sweeps.errors import SweepError
from sweeps.execution import tune
from sweeps.execution.driver import Driver
from sweeps.execution.messages import Leg, Message
from sweeps.execution.placing import Slots
from sweeps.execution.spending import Profile, Spending
from sweeps.execution.stopping import StopWord
from sweeps.execution.tune import _Bridge
from sweeps.search.history import Asked, Measured, TrialKey
from sweeps.sections import Resources
from sweeps.signals import Stop
from sweeps.store.folders import SweepFolder

TABLE_OF_MANY = {
    **TABLE,
    "pruning": {"name": "none"},
    "selection": {"candidates": 1, "seeds": 1, "published_seeds": 1},
}


def a_leg(number: int) -> Leg:
    return Leg("bowl", TrialKey(number), {"x": 0.5}, seed=1, known=0, checkpoint=Path("c"), log=Path("l"))


class Legs:
    """A driver with `count` legs to give."""

    spec = small_spec()

    def __init__(self, count: int) -> None:
        self._legs = [a_leg(number) for number in range(count)]
        self.live: set[Any] = set()
        self.begun: list[Any] = []

    def next_leg(self) -> Leg | Literal["finished"]:
        if not self._legs:
            return "finished"
        leg = self._legs.pop(0)
        self.live.add(leg.key)
        return leg

    def began(self, key: Any) -> None:
        self.begun.append(key)


class Train:
    """The method of an actor as Ray provides it, which keeps its arguments."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.names: list[str] = []

    def options(self, name: str) -> "Train":
        self.names.append(name)
        return self

    def remote(self, *legs: Any) -> None:
        self.calls.extend(legs or ["goes on"])


class Actor:
    def __init__(self) -> None:
        self.train: Any = Train()


class TuneTrial:
    """A Tune trial, which is a worker's stay in an actor."""

    def __init__(self, leg: Any) -> None:
        self.config = {"leg": leg}


def a_stay(bridge: _Bridge) -> tuple[Any, Any, Any]:
    """Return a stay that has begun: its trial, its actor, and the object that keeps what the actor was called with."""
    trial, actor = TuneTrial(bridge.suggested()), Actor()
    train = actor.train
    actor.train = bridge.hold(actor, trial.config["leg"])
    return trial, actor, train


def a_bridge(legs: int, slots: int = 2, say: Callable[[str], None] = print, others: Sequence[str] = ()) -> Any:
    driver: Any = Legs(legs)
    nodes = {"a": {"CPU": float(slots)}, **{name: {"CPU": 1.0} for name in others}}
    return _Bridge(
        driver, Slots(Resources(), None, say, lambda: nodes), Stop(print), StopWord(), Profile(Spending(), 0.0), say
    )


def test_the_next_leg_goes_with_the_one_call_after_it_was_handed_on() -> None:
    bridge = a_bridge(2)
    trial, actor, train = a_stay(bridge)
    bridge.driver.live.clear()  # its leg is over
    assert bridge.hand_on(trial)
    assert trial.config["leg"].key == TrialKey(1)
    actor.train.remote()
    actor.train.remote()

    assert train.calls == [a_leg(1), "goes on"]
    assert train.names == ["bowl #0 x=0.5", "bowl #1 x=0.5"]
    assert bridge.driver.begun == [TrialKey(0), TrialKey(1)]
    assert bridge.holders == {TrialKey(1): actor}


@pytest.mark.parametrize("why", ["no leg is left", "the slots are fewer by now", "the actor was killed"])
def test_a_stay_ends_where_nothing_is_handed_on(why: str) -> None:
    bridge = a_bridge(1 if why == "no leg is left" else 3, slots=1)
    trial, _, _ = a_stay(bridge)
    if why == "the actor was killed":
        bridge.holders.clear()
    if why != "the slots are fewer by now":
        bridge.driver.live.clear()

    assert not bridge.hand_on(trial)
    assert trial.config["leg"].key == TrialKey(0)


def test_a_leg_that_waits_for_an_actor_that_cannot_start_gets_one_whose_leg_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bridge = a_bridge(4)
    trial, _, _ = a_stay(bridge)
    waiting = bridge.suggested()
    bridge.driver.live.discard(TrialKey(0))
    assert bridge.hand_on(trial)  # the actor may well be starting

    monkeypatch.setattr(tune, "_START", -1.0)
    bridge.driver.live.discard(TrialKey(2))
    assert not bridge.hand_on(trial)
    assert bridge.suggested() == "wait"
    bridge.hold(Actor(), waiting)
    assert bridge.suggested() == a_leg(3)


def test_an_actor_that_is_starting_is_not_given_away_while_others_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(tune, "time", SimpleNamespace(monotonic=lambda: now))
    bridge = a_bridge(9, slots=3)
    stay = TuneTrial(bridge.suggested())
    bridge.suggested()  # its actor may take longer to start, since many start
    now += tune._START - 1
    bridge.hold(Actor(), stay.config["leg"])
    for is_handed_on in (True, False):
        now += tune._START - 1
        bridge.driver.live.discard(stay.config["leg"].key)
        assert bridge.hand_on(stay) is is_handed_on  # a reused actor does not hide that no new one came


def test_a_sweep_that_waits_for_its_turn_says_so_once_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    bridge = a_bridge(3, say=said.append)
    first = bridge.suggested()
    bridge.tell_of_waiting()
    assert not said  # the actor may well be starting

    monkeypatch.setattr(tune, "_START", -1.0)
    for _ in range(2):
        bridge.tell_of_waiting()
    assert len(said) == 1
    assert "1 of its trials have waited for more than" in said[0]
    bridge.hold(Actor(), first)
    bridge.tell_of_waiting()
    bridge.suggested()
    bridge.tell_of_waiting()
    assert len(said) == 2


def test_what_the_driver_raises_while_it_hands_on_is_what_the_sweep_ends_with(
    ray_with_gpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = Driver.hand_out
    count = 0

    def refuses(driver: Any, key: Any) -> Any:
        nonlocal count
        count += 1
        if count == 6:  # more than there are slots: this leg is handed on
            raise SweepError("no leg more")
        return handed(driver, key)

    monkeypatch.setattr(Driver, "hand_out", refuses)
    with pytest.raises(SweepError, match=r"^no leg more$"):
        sweeps.run(TABLE_OF_MANY, results=tmp_path, progress="none")


def test_a_leg_waits_no_longer_for_an_actor_than_for_a_leg_to_end(
    ray_with_gpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @ray.remote(num_cpus=3)
    class Job:
        """Another job of the cluster, which started in between."""

        def is_there(self) -> bool:
            return True

    other = Job.remote()
    assert ray.get(other.is_there.remote())
    monkeypatch.setattr(tune, "_START", 0.0)
    try:
        result = sweeps.run(TABLE_OF_MANY, results=tmp_path, progress="none")
    finally:
        ray.kill(other)

    rows = [row for _, row in rows_of(SweepFolder(tmp_path, result.name))]
    first = next(place for place, row in enumerate(rows) if isinstance(row, Measured) and row.key == TrialKey(1))
    later = next(place for place, row in enumerate(rows) if isinstance(row, Asked) and row.key == TrialKey(8))
    assert first < later


@pytest.mark.parametrize(
    ("kind", "can_save", "others", "is_given_up"),
    [
        ("unsaved", True, ["b"], True),
        ("unsaved", False, ["b"], False),  # the driver cannot save either: that ends the sweep
        ("unsaved", True, [], False),  # there is no other node
        ("failed", True, ["b"], False),
    ],
)
def test_a_node_on_which_nothing_can_be_saved_is_given_up_and_its_trial_goes_on_on_another(
    kind: Any, can_save: bool, others: list[str], is_given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, said, lost = [], [], []
    monkeypatch.setattr("ray.kill", killed.append)
    monkeypatch.setattr("sweeps.execution.tune.is_drained", lambda _: False)
    bridge = a_bridge(2, say=said.append, others=others)
    bridge.driver.can_save = lambda: can_save
    bridge.driver.lost = lambda key, reason, was_preempted=False: lost.append(reason)
    trial, actor, _ = a_stay(bridge)
    key = trial.config["leg"].key

    assert bridge.gives_up_node(key, Message(kind, reason="no space on a", node="a")) is is_given_up
    assert killed == ([actor] if is_given_up else [])
    assert bridge.slots.away == (("a",) if is_given_up else ())
    assert any("no space on a: no trial of this sweep is on that node any more" in line for line in said) is is_given_up
    bridge.gone(key, "its actor died of what Ray says")
    assert lost == ["no space on a" if is_given_up else "its actor died"]
