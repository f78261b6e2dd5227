"""Tests of a profile: it adds up, and every second of every slot is counted once."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import small_spec

import sweeps
from sweeps.execution import spending
from sweeps.execution.legs import run_leg
from sweeps.execution.messages import Leg
from sweeps.execution.spending import PARTS, Profile, Spending
from sweeps.execution.targets import FunctionRun
from sweeps.execution.tune import _Bridge
from sweeps.search.history import TrialKey
from sweeps.store.folders import SweepFolder
from sweeps.terminal.profile import profile_lines

SECONDS = st.floats(0, 100, allow_nan=False)


class Clock:
    """A clock that advances only when a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def on_a_clock(act: Callable[[Clock], None]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        clock = Clock()
        patched.setattr(spending, "perf_counter", clock)
        act(clock)


@given(st.lists(st.tuples(SECONDS, st.sampled_from("abc"), SECONDS), max_size=20))
def test_each_second_of_a_process_is_spent_on_one_thing(passed: list[tuple[float, str, float]]) -> None:
    def act(clock: Clock) -> None:
        spent = Spending()
        for seconds, part, inner in passed:
            clock.now += seconds
            spent.book(part, first="inner", seconds=inner)
        told = spent.told()
        assert sum(told.values()) == pytest.approx(clock.now - 1000)
        assert told.get("inner", 0.0) == pytest.approx(sum(min(seconds, inner) for seconds, _, inner in passed))
        assert spent.told() == {}

    on_a_clock(act)


def bridge_of(profile: Profile) -> Any:
    return _Bridge(*[None] * 4, profile, None)  # type: ignore[arg-type]


def without_zeros(parts: Mapping[str, float]) -> dict[str, float]:
    return {part: seconds for part, seconds in parts.items() if seconds}


@settings(deadline=None)
@given(st.lists(st.tuples(SECONDS, SECONDS, SECONDS), min_size=1, max_size=6), SECONDS, SECONDS)
def test_the_parts_add_up_to_the_time_of_all_slots(
    steps: list[tuple[float, float, float]], start: float, end: float
) -> None:
    def act(clock: Clock) -> None:
        profile = Profile(driver := Spending(), clock.now)
        bridge = bridge_of(profile)
        clock.now += start
        profile.opened(2)
        for _ in range(2):
            clock.now += start
            profile.started()
        for training, ledger, message in steps:

            def commit(seconds: float = ledger) -> None:
                clock.now += seconds
                driver.book("ledger")

            clock.now += training
            bridge.answer(commit)
            clock.now += message
            profile.add({"training": training, "waiting": ledger + message})
        profile.closed()
        clock.now += end
        parts = profile.parts()

        assert list(parts) == list(PARTS)
        assert sum(parts.values()) == pytest.approx(2 * (clock.now - 1000))
        assert parts["training"] == pytest.approx(sum(step[0] for step in steps))
        assert parts["ledger"] == pytest.approx(sum(step[1] for step in steps))
        assert parts["Ray"] == pytest.approx(sum(step[2] for step in steps), abs=1e-6)
        assert parts["start-up"] == pytest.approx(5 * start)
        assert parts["ending"] == pytest.approx(2 * end)
        # One slot worked and the other had nothing to do; the first also waited while the second was started.
        assert parts["idle"] == pytest.approx(sum(map(sum, steps)) + start, abs=1e-6)

    on_a_clock(act)


def test_a_slot_is_there_from_when_it_joins_to_when_it_leaves() -> None:
    def act(clock: Clock) -> None:
        profile = Profile(Spending(), clock.now)
        profile.opened(1)
        clock.now += 2
        profile.started()
        clock.now += 10
        profile.there(2)
        clock.now += 1
        profile.started()
        clock.now += 5
        profile.there(1)
        clock.now += 4
        profile.add({"training": 25})
        profile.closed()

        assert without_zeros(profile.parts()) == {"training": 25, "start-up": 3}

    on_a_clock(act)


def test_a_slot_without_any_trial_is_idle_once_another_has_one() -> None:
    def act(clock: Clock) -> None:
        profile = Profile(Spending(), clock.now)
        profile.opened(2)
        clock.now += 2
        profile.started()
        clock.now += 10
        profile.add({"training": 10})
        profile.closed()

        assert without_zeros(profile.parts()) == {"training": 10, "start-up": 4, "idle": 10}

    on_a_clock(act)


def test_each_part_of_a_sweep_has_slots_and_a_start_of_its_own() -> None:
    def act(clock: Clock) -> None:
        profile = Profile(Spending(), clock.now)
        for slots in (1, 2):
            clock.now += 3
            profile.opened(slots)
            for _ in range(slots):
                profile.started()
            clock.now += 10
            profile.add({"training": 10 * slots})
            profile.closed()

        assert without_zeros(profile.parts()) == {"training": 30, "start-up": 9}

    on_a_clock(act)


def test_nothing_is_told_where_no_slot_ever_opened() -> None:
    assert Profile(Spending(), 0.0).parts() == {}


def test_what_the_driver_does_counts_while_a_worker_waits_for_it() -> None:
    def act(clock: Clock) -> None:
        profile = Profile(driver := Spending(), clock.now)
        bridge = bridge_of(profile)

        def commit() -> None:
            clock.now += 1
            driver.book("deciding")
            clock.now += 3
            driver.book("ledger")

        profile.opened(1)
        profile.started()
        bridge.call(commit)  # as when it looks for workers to kill
        clock.now += 2
        bridge.answer(commit)
        bridge.call(commit)
        profile.add({"training": 10, "waiting": 4})
        profile.closed()

        assert without_zeros(profile.parts()) == {"training": 10, "deciding": 1, "ledger": 3}

    on_a_clock(act)


@pytest.mark.parametrize(("reports", "fails"), [(3, False), (2, False), (2, True)])
def test_a_worker_books_what_a_trial_does_also_up_to_a_stop_or_a_failure(
    folder: SweepFolder, reports: int, fails: bool
) -> None:
    def act(clock: Clock) -> None:
        def trial(params: object, seed: int, checkpoint: object) -> Iterator[dict[str, object]]:
            for report in range(3):
                clock.now += 5
                if fails and report == reports:
                    raise RuntimeError("broken")
                yield {"loss": 1.0, "checkpoint": {"state": 1}}

        def begin(leg: Leg, checkpoint: Path | None) -> FunctionRun:
            clock.now += 2
            return FunctionRun(trial, leg.params, leg.seed, checkpoint)

        def is_stopping() -> bool:
            if fails or reports == 3 or made < reports:
                return False
            clock.now = max(clock.now, asked + 5)  # as in a training step after which no report comes
            return True

        leg = Leg("bowl", TrialKey(1), {}, 1, 0, folder.checkpoint("1"), folder.log("1"))
        made, asked = 0, clock.now
        spent = Spending()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("sweeps.execution.targets.time.perf_counter", clock)
            for message in run_leg(leg, begin, is_stopping, spent):
                made += message.kind == "measured"
                clock.now += 1
                spent.book("waiting")
                asked = clock.now
        assert without_zeros(spent.told()) == {"preparing": 2, "training": 15, "waiting": reports + 1}

    on_a_clock(act)


def test_a_profile_is_told_in_shares_of_the_whole() -> None:
    lines = profile_lines(dict.fromkeys(PARTS, 0.0) | {"training": 3.0, "Ray": 1.0})

    assert lines[0].split()[:4] == ["training", "3.0", "s", "75.0%"]
    assert lines[-1].split() == ["all", "slots", "4.0", "s", "100.0%"]


def test_a_sweep_says_and_draws_where_its_time_went(
    ray_with_gpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = small_spec(target="functions:bowl_with_checkpoint", trials=4)
    sweeps.run(spec, results=tmp_path, profile=True)
    told = capsys.readouterr().out.partition("where the time of all slots went:\n")[2].splitlines()

    shares = {line.split()[0]: float(line.split("%")[0].split()[-1]) for line in told[: len(PARTS)]}
    assert set(shares) == set(PARTS)
    assert min(shares.values()) >= 0  # the idle share is the remainder, and nothing is counted twice
    assert sum(shares.values()) == pytest.approx(100, abs=1)
    assert shares["ledger"] > 0
    assert shares["start-up"] > 0
    assert SweepFolder(tmp_path, "bowl").figure("profile").stat().st_size > 10_000
