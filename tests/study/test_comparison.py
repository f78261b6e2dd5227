"""Whether two runs are one: every value counts but the time, and the first difference is named."""

from dataclasses import replace

import pytest

from study.comparison import compare, environment_differences, first_difference
from study.measurement import Measurement

STORED = [Measurement(i, 10 * i, float(i), 0.5, {"loss": 1 / i, "accuracy": float("nan")}, f"d{i}") for i in (1, 2, 3)]


def test_equal_runs_are_identical_whatever_time_they_took() -> None:
    found = compare("7", STORED, [replace(m, seconds=9.0) for m in STORED], ["cpu was a, is b"])

    assert found.identical
    assert (found.label, found.compared, found.environment) == ("7", 3, ("cpu was a, is b",))
    assert found.what == "3 measurements and the weights"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"step": 21}, "step was 20, is 21"),
        ({"fidelity": 2.5}, "fidelity was 2.0, is 2.5"),
        ({"digest": "x"}, "digest was d2, is x"),
        ({"values": {"loss": 0.5 + 1e-16, "accuracy": 0.0}}, "accuracy was nan, is 0.0"),
        ({"values": {"loss": 0.5000000000000001, "accuracy": float("nan")}}, "loss was 0.5, is 0.5000000000000001"),
        ({"values": {"loss": 0.5}}, "accuracy was nan, is None"),
    ],
)
def test_the_first_difference_is_named_at_its_report(change: dict, word: str) -> None:
    found = compare("7", STORED, [STORED[0], replace(STORED[1], **change), STORED[2]], [])

    assert not found.identical
    assert found.difference == f"report 2: {word}"
    assert found.compared == 1


def test_a_run_that_ends_earlier_is_another_and_one_that_goes_on_is_not() -> None:
    assert compare("7", STORED, STORED[:2], []).difference == "it ended after report 2, 3 are stored"
    assert compare("7", STORED[:2], STORED, []).identical


def test_nan_repeats_nan() -> None:
    assert first_difference(STORED[0], STORED[0]) is None


def test_every_fact_that_differs_is_a_line() -> None:
    assert environment_differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == [
        "a was 1, is not recorded",
        "b was 2, is 3",
        "c was not recorded, is 4",
    ]
