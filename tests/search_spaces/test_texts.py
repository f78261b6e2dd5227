"""Tests of parameter values as texts for users: the texts are brief, and different values look different."""

from hypothesis import assume, given
from hypothesis import strategies as st

from search_spaces import Choice, Constant, Float, FloatBy, Int, SearchSpace, SpaceError
from search_spaces.texts import as_text

scalars = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
lookalikes = st.sampled_from(["1", "1.0", "True", "None", "", " a", "a", "nan", "1e-3", "'a'"])


def text_of(parameter: object, value: object) -> str:
    return SearchSpace({"p": parameter}).texts({"p": value})["p"]  # type: ignore[dict-item]


@given(values=st.lists(scalars | st.text() | lookalikes, min_size=2, max_size=6))
def test_choices_that_differ_in_value_or_type_look_different(values: list[object]) -> None:
    try:
        choice = Choice(tuple(values))  # type: ignore[arg-type]
    except SpaceError:
        assume(False)

    assert len({text_of(choice, value) for value in choice.values}) == len(values)


@given(low=st.integers(-(10**6), 10**6), count=st.integers(1, 60), step=st.integers(1, 200), places=st.integers(0, 4))
def test_points_of_a_stepped_range_look_different(low: int, count: int, step: int, places: int) -> None:
    unit = 10**places
    range_ = Float(low / unit, (low + count * step) / unit, step=step / unit)
    points = [range_.point(index) for index in range(range_._steps.last + 1)]

    assert len({text_of(range_, point) for point in points}) == len(points)


@given(low=st.floats(1e-9, 1e9), width=st.floats(1e-6, 1e3))
def test_the_hundredths_of_a_range_look_different(low: float, width: float) -> None:
    range_ = Float(low, low * (1 + width))
    texts = {text_of(range_, range_.at(share / 100)) for share in range(101)}

    assert len(texts) == 101


def test_values_have_three_digits_where_these_are_enough() -> None:
    space = SearchSpace(
        {
            "optimizer": Choice(("sgd", "adam")),
            "lr": FloatBy("optimizer", {"sgd": Float(1e-3, 1.0, log=True), "adam": Float(1e-5, 1e-2, log=True)}),
            "dropout": Float(0.0, 0.5),
            "width": Int(1, 10**6),
            "label": Constant("1"),
        }
    )
    params = {"label": "1", "width": 123456, "dropout": 0.123456, "lr": 0.00123456, "optimizer": "adam"}

    assert space.texts(params) == {
        "optimizer": "adam",
        "lr": "0.00123",
        "dropout": "0.123",
        "width": "123456",
        "label": "'1'",
    }
    assert as_text(0.5) == "0.5"
