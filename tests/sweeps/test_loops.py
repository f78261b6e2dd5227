# ruff: noqa: UP028 - loops that yield are what these functions show
"""Tests of loops: the entry of a generator to the loop that yields is seen once, and the tracing ends there."""

import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from sweeps.execution.loops import at_entry, yields_in_a_loop

Steps = Callable[[str], Any]
Numbers = Iterator[int]


def over_a_range(step: Steps) -> Numbers:
    step("set-up")
    for number in range(step("range") or 2):
        step("train")
        yield number


def over_nothing(step: Steps) -> Numbers:
    step("set-up")
    for number in ():
        yield number
    step("train")
    yield 0


def while_true(step: Steps) -> Numbers:
    step("set-up")
    while True:
        step("train")
        yield 0


def while_it_holds(step: Steps) -> Numbers:
    number = step("set-up") or 0
    while number < 2:
        number += 1
        step("train")
        yield number


def in_one_line(step: Steps) -> Numbers:
    step("set-up")
    while True: yield step("train") or 0  # fmt: skip  # noqa: E701


def within_a_loop(step: Steps) -> Numbers:
    step("set-up")
    for _ in range(2):
        step("train")
        for number in range(2):
            yield number


def after_another_loop(step: Steps) -> Numbers:
    for _ in range(3):
        step("set-up")
    for number in range(2):
        step("train")
        yield number


def guarded(step: Steps) -> Numbers:
    try:
        step("set-up")
        for number in range(2):
            step("train")
            yield number
    finally:
        step("end")


def over_another(step: Steps) -> Numbers:
    step("set-up")
    for number in over_a_range(step):
        yield number


def numbered(step: Steps) -> Numbers:
    for _, number in enumerate(over_another(step)):
        yield number


def delegates(step: Steps) -> Numbers:
    step("set-up")
    yield from over_another(step)
    yield from over_a_range(step)


class Calls:
    def __init__(self, step: Steps) -> None:
        self.step = step

    def __iter__(self) -> "Calls":
        self.step("iter")
        return self

    def __next__(self) -> int:
        self.step("train")
        return 0


def over_an_object(step: Steps) -> Numbers:
    step("set-up")
    for number in Calls(step):
        yield number


def after_a_phase_that_is_over(step: Steps) -> Numbers:
    for number in range(step("range") or 0):
        yield number
    step("set-up")
    for number in range(2):
        step("train")
        yield number


def after_an_object_that_is_over(step: Steps) -> Numbers:
    for number in iter(lambda: step("iter"), None):
        yield number
    step("set-up")
    for number in over_a_range(step):
        yield number


def after_a_stage_that_is_over(step: Steps) -> Numbers:
    yield from over_another(lambda _: step("set-up")) if step("range") else iter(())
    for number in over_no_stage(step):
        yield number
    yield from over_a_range(step)


def over_no_stage(step: Steps) -> Numbers:
    step("set-up")
    for number in range(step("range") or 0):
        yield number
    step("set-up")


FUNCTIONS = [
    over_a_range,
    over_nothing,
    while_true,
    while_it_holds,
    in_one_line,
    within_a_loop,
    after_another_loop,
    guarded,
    over_another,
    numbered,
    delegates,
    over_an_object,
    after_a_phase_that_is_over,
    after_an_object_that_is_over,
    after_a_stage_that_is_over,
]


def _nothing() -> None: ...


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_entry_is_between_set_up_and_training(function: Callable[[Steps], Generator[int]]) -> None:
    found: list[str] = []
    generator = function(found.append)
    assert yields_in_a_loop(generator)
    with at_entry(generator, [], lambda: found.append("entry"), lambda: found.append("left")):
        assert sys.gettrace() is not None
        next(generator)

    place = max(place for place, step in enumerate(found) if step == "entry")
    assert found.index("train") > place
    assert {"set-up", "range", "iter"} & set(found[:place])
    assert set(found[place + 1 : found.index("train")]) <= {"left"}


def test_tracing_ends_at_the_entry_and_gives_way_to_what_was_traced_before() -> None:
    seen: list[Any] = []

    def other(frame: Any, event: str, argument: Any) -> None: ...

    def steps(_: str) -> None:
        seen.append(sys.gettrace())

    before = sys.gettrace()
    sys.settrace(other)
    try:
        generator = over_a_range(steps)
        with at_entry(generator, [], _nothing, _nothing):
            next(generator)
        after = sys.gettrace()
    finally:
        sys.settrace(before)

    assert after is other
    assert [trace is other for trace in seen] == [False, False, True]


def test_tracing_ends_where_the_set_up_fails() -> None:
    def fails(_: str) -> None:
        raise KeyError

    before = sys.gettrace()
    generator = over_a_range(fails)
    with pytest.raises(KeyError), at_entry(generator, [], _nothing, _nothing):
        next(generator)

    assert sys.gettrace() is before


def yields_once(step: Steps) -> Numbers:
    for _ in range(2):
        step("train")
    yield 1


@pytest.mark.parametrize("generator", [yields_once(str), iter([1, 2]), None])
def test_what_yields_outside_of_loops_has_no_entry(generator: object) -> None:
    assert not yields_in_a_loop(generator)
