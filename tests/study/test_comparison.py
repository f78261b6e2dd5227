"""Tests of whether two runs are one: every value counts except time, and the first difference is named."""

from dataclasses import replace

import pytest

from study.comparison import compare, differences, environment_differences
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
        ({"values": {"loss": 0.5, "accuracy": 0.0}}, "accuracy was nan, is 0.0"),
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
    assert differences(STORED[0], STORED[0]) == []


def test_all_values_that_differ_in_a_report_are_named() -> None:
    found = compare("7", STORED, [replace(STORED[0], values={"loss": 2.0, "accuracy": 0.5}), *STORED[1:]])

    assert found.difference == "report 1: accuracy was nan, is 0.5; loss was 1.0, is 2.0"


def test_what_is_untracked_is_never_compared() -> None:
    timed = [replace(m, values={**m.values, "seconds_per_step": 0.1}) for m in STORED]
    again = [replace(m, values={**m.values, "seconds_per_step": 0.2}) for m in STORED]

    assert not compare("7", timed, again).identical
    assert compare("7", timed, again, untracked=["seconds_per_step"]).identical


@pytest.mark.parametrize(
    ("continued", "words"),
    [
        ({}, "report 2: "),
        ({3: "a pause"}, "report 2: "),
        ({2: "a pause"}, "report 2 (the first after a pause: its checkpoint may lack what changes the results): "),
        ({1: "an error"}, "report 2 (it was continued from a checkpoint at report 1, after an error): "),
    ],
)
def test_a_difference_says_whether_it_begins_after_a_pause(continued: dict, words: str) -> None:
    found = compare("7", STORED, [STORED[0], replace(STORED[1], step=21)], continued=continued)

    assert found.difference == f"{words}step was 20, is 21"


def test_every_fact_that_differs_is_a_line() -> None:
    assert environment_differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == [
        "a was 1, is not recorded",
        "b was 2, is 3",
        "c was not recorded, is 4",
    ]
