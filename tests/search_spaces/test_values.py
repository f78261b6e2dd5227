"""Tests of equality of values: each point of a stepped range has one representation, and stored values come back."""

import enum
import random
import tomllib
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import search_spaces
from search_spaces import Choice, Constant, Float, Int, SearchSpace, SpaceError
from search_spaces.parameters import values_of
from search_spaces.plain import LARGEST, SMALLEST
from search_spaces.space import configuration


def decimal_range(low: int, steps: int, step: int, rest: int, places: int) -> tuple[Float, list[float]]:
    """Return a range whose numbers have `places` decimals, and its points as users write them."""
    unit = Decimal(1).scaleb(-places)
    low_, step_ = low * unit, step * unit
    high = low_ + steps * step_ + min(rest, step - 1) * unit
    points = [float(low_ + index * step_) for index in range(steps + 1)]
    return Float(float(low_), float(high), step=float(step_)), points


def check_points(parameter: Float, points: list[float]) -> None:
    assert list(map(repr, values_of(parameter))) == list(map(repr, points))
    assert parameter.high == points[-1]
    for index, point in enumerate(points):
        computed = parameter.low + index * (parameter.step or 0)
        assert parameter.contains(point)
        assert parameter.snapped(computed) == parameter.nearest(computed) == point
        assert parameter.at((index + 0.5) / len(points)) == point
        with_default = Float(parameter.low, parameter.high, step=parameter.step, default=computed)
        assert with_default.default == point
    assert parameter.default in points


@pytest.mark.parametrize("places", [1, 2, 3])
def test_every_stepped_range_from_0_has_its_decimal_points_and_its_end(places: int) -> None:
    for step in range(1, 12):
        for steps in range(1, 13):
            check_points(*decimal_range(0, steps, step, 0, places))


@given(
    low=st.integers(-2000, 2000),
    steps=st.integers(1, 60),
    step=st.integers(1, 500),
    rest=st.integers(0, 500),
    places=st.integers(0, 3),
)
@example(low=7, steps=2, step=1, rest=0, places=1)
def test_a_stepped_range_of_up_to_three_decimals_has_its_decimal_points(
    low: int, steps: int, step: int, rest: int, places: int
) -> None:
    check_points(*decimal_range(low, steps, step, rest, places))


@given(low=st.integers(-1000, 1000), span=st.integers(1, 10**6), parts=st.integers(1, 40))
def test_a_step_that_was_computed_as_a_share_of_the_range_reaches_its_end(low: int, span: int, parts: int) -> None:
    high = low + span / 1000
    parameter = Float(low, high, step=(high - low) / parts)

    assert (parameter.count, parameter.high) == (parts + 1, high)
    assert parameter.contains(high)


def test_a_computed_value_is_the_point_that_it_stands_for_and_no_other() -> None:
    space = SearchSpace({"x": Float(0, 1, step=0.1)})

    assert space.typed({"x": 0.1 * 3}) == {"x": 0.3}
    assert space.typed({"x": 1}) == {"x": 1.0}
    with pytest.raises(SpaceError, match=r"x: must be .* in steps of 0.1, but got 0.35"):
        space.check(space.typed({"x": 0.35}))
    with pytest.raises(SpaceError, match="x: must be"):
        space.check({"x": 0.1 * 3})  # a value that is never stored


def test_zero_has_no_sign() -> None:
    assert repr(Float(-0.3, 0.3, step=0.1).point(3)) == "0.0"
    assert repr(Float(-0.0, 1.0).low) == "0.0"


@pytest.mark.parametrize(
    ("low", "high", "step", "message"),
    [(1e16, 1e16 + 100, 1.0, "too fine"), (-1.7e308, 1.7e308, None, "must be finite"), (0, 10**400, None, "a float")],
)
def test_a_range_whose_points_floats_cannot_tell_apart_is_refused(
    low: float, high: float, step: float | None, message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        Float(low, high, step=step)


@pytest.mark.parametrize("value", [LARGEST + 1, SMALLEST - 1, 10**5000], ids=["above", "below", "far above"])
def test_a_whole_number_beyond_64_bits_is_refused_with_the_largest(value: int) -> None:
    low, high = sorted((0, value))
    for make in (lambda: Int(low, high), lambda: Choice((value,)), lambda: Constant(value)):
        with pytest.raises(SpaceError, match=str(LARGEST)) as caught:
            make()
        assert len(str(caught.value)) < 200


@given(st.integers(SMALLEST, LARGEST), st.integers(SMALLEST, LARGEST), st.floats(0, 1))
def test_a_range_of_any_whole_numbers_gives_values_of_its_own(one: int, other: int, share: float) -> None:
    low, high = min(one, other), max(one, other)
    if low == high:
        return
    parameter = Int(low, high)

    assert parameter.contains(parameter.at(share))
    if parameter.count < 2**40:
        assert parameter.at(parameter.share(parameter.at(share))) == parameter.at(share)


KINDS = st.sampled_from(
    [
        Float(0, 1, step=0.25),
        Int(1, 3),
        Int(0, 6, step=3),
        Choice(("a", "b", "c")),
        Choice((True, False)),
        Constant(1),
    ]
)


@st.composite
def finite_spaces(draw: st.DrawFn) -> SearchSpace:
    """Draw a finite space of up to five parameters, with conditions."""
    parameters: dict[str, search_spaces.Parameter] = {}
    for name in "abcde"[: draw(st.integers(1, 5))]:
        kind = draw(KINDS)
        parents = [n for n, p in parameters.items() if isinstance(p, Int | Choice)]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = list(values_of(parameters[parent]))  # type: ignore[arg-type]
            wanted = tuple(draw(st.lists(st.sampled_from(values), min_size=1, unique=True)))
            kind = type(kind)(**{**vars(kind), "when": {parent: wanted}})
        parameters[name] = kind
    return SearchSpace(parameters)


@settings(deadline=None)  # there may be thousands of configurations
@given(finite_spaces(), st.integers(1, 700))
def test_configurations_are_counted_as_they_would_be_listed(space: SearchSpace, most: int) -> None:
    listed = [configuration(params) for params in space.grid()]

    assert len(set(listed)) == len(listed)
    assert space.count(10**6) == len(listed)
    assert space.count(most) == min(len(listed), most + 1)
    assert {configuration(space.sample(random.Random(seed))) for seed in range(20)} <= set(listed)
    for params in space.grid():
        space.check(params)


def test_a_huge_space_is_counted_and_begun_without_being_listed() -> None:
    wide = SearchSpace({f"p{n}": Int(0, LARGEST - 1) for n in range(200)})

    assert wide.count(100_000) == 100_001
    assert len(list(islice(wide.grid(), 5))) == 5


def test_numbers_of_numpy_and_enumerations_are_the_plain_values_that_they_are() -> None:
    class Size(enum.IntEnum):
        SMALL = 3

    class Name(enum.StrEnum):
        ADAM = "adam"

    assert Float(np.float32(0.5), np.float64(2.0), step=np.int64(1)) == Float(0.5, 2.0, step=1.0)
    assert Int(np.int8(1), np.uint64(9), default=np.int64(3)) == Int(1, 9, default=3)
    assert Choice((np.int64(1), np.str_("a"), np.bool_(False), Size.SMALL, Name.ADAM)).values == (
        1,
        "a",
        False,
        3,
        "adam",
    )
    assert [type(value) for value in Choice((np.float64(1.5), Name.ADAM, Size.SMALL)).values] == [float, str, int]
    assert type(Constant(np.bool_(True)).value) is bool
    table = {"rate": {"choice": np.array([0.5, 0.25])}, "n": {"int": np.array([1, 4])}, "c": np.int64(2)}
    assert search_spaces.to_table(search_spaces.parse(table, "here")) == {
        "rate": {"choice": [0.5, 0.25], "default": 0.5},
        "n": {"int": [1, 4], "default": 2},
        "c": 2,
    }


@given(st.text(st.characters(codec=None), min_size=1), st.text(st.characters(codec=None)))
@example("a.b", "\x1b[31m")
@example("\0", "a")
@example("a", "\ud800")
def test_any_name_and_text_is_refused_in_a_line_or_comes_back_from_toml(name: str, text: str) -> None:
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in name + text):
        with pytest.raises(SpaceError) as caught:
            SearchSpace({name: Choice((text, 1))})
        assert len(str(caught.value).splitlines()) == 1
        str(caught.value).encode()
    else:
        space = SearchSpace({name: Choice((text, 1))})
        assert search_spaces.parse(tomllib.loads(search_spaces.dumps(space)), "again") == space


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text("\ufeffx = { int = [1, 2] }", "utf-8")

    assert search_spaces.load(file).parameters == {"x": Int(1, 2)}


@pytest.mark.parametrize("odd", [None, "1", True, [1], {"a": 1}, 1j, object()], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("kind", [Float, Int])
@pytest.mark.parametrize("bound", ["low", "high"])
def test_a_bound_that_is_no_number_is_refused_by_its_name(odd: object, kind: Any, bound: str) -> None:
    with pytest.raises(SpaceError, match=f"{bound} must be a (whole )?number, but got "):
        kind(**{"low": 1, "high": 2, bound: odd})
