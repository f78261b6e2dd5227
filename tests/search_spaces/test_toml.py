"""Tests of search spaces in TOML: each broken rule gives one clear line with file, key, rule and value."""

import tomllib
from pathlib import Path

import pytest

import search_spaces
from search_spaces import Constant, Float, Int, SpaceError


def parse(text: str) -> search_spaces.SearchSpace:
    return search_spaces.parse(tomllib.loads(text), "space.toml")


BAD = [
    ("x = { float = [1.0, 0.0] }", "space.toml: x: low < high must hold, but got low=1.0 and high=0.0"),
    ("x = { float = [1.0, 1.0] }", "low < high must hold"),
    ("x = { float = [0.0, 1.0], log = true }", "space.toml: x: log needs low > 0, but got low=0.0"),
    ("x = { float = [-1.0, 1.0], log = true }", "log needs low > 0"),
    ("x = { int = [0, 9], log = true }", "log needs low > 0"),
    ("x = { float = [0.0, 1.0], step = 0.0 }", "step > 0 must hold, but got step=0.0"),
    ("x = { int = [0, 9], step = -1 }", "step > 0 must hold, but got step=-1"),
    ("x = { float = [0.1, 1.0], log = true, step = 0.1 }", "log and step exclude each other"),
    ("x = { float = [0.0, 1.0], step = 2.0 }", "step must fit between low and high"),
    ("x = { float = [0.0, nan] }", "high must be finite, but got nan"),
    ("x = { float = [-inf, 0.0] }", "low must be finite, but got -inf"),
    ("x = { float = ['a', 1.0] }", "low must be a number, but got 'a'"),
    ("x = { float = [true, 2.0] }", "low must be a number, but got True"),
    ("x = { int = [1.5, 3] }", "low must be a whole number, but got 1.5"),
    ("x = { int = [false, 3] }", "low must be a whole number, but got False"),
    (
        "model.lr = { float = [0.0, 1.0] }",
        'model: a table of tables is no parameter: quote a name with a dot, as in "model.lr"',
    ),
    ("x = { float = [0.0] }", "float must be [low, high], but got [0.0]"),
    ("x = { float = 3.0 }", "float must be [low, high], but got 3.0"),
    ("x = { float = [0.0, 1.0], log = 'yes' }", "log must be true or false, but got 'yes'"),
    ("x = { float = [0.0, 1.0], default = 2.0 }", "default must lie in the range, but got default=2.0"),
    (
        "x = { int = [1, 9], step = 2, default = 4 }",
        "default must lie in the range, on a step of 2 from its low end, but got default=4",
    ),
    ("x = { choice = [1, 2], default = 3 }", "default must be one of the choices, but got default=3"),
    ("x = { choice = [0, 1], default = false }", "default must be one of the choices, but got default=False"),
    ("x = { choice = [] }", "choice must list at least one value"),
    ("x = { choice = ['a', 'a'] }", "choice must not repeat a value, but got 'a' twice"),
    ("x = { choice = [1, 1.0] }", "choice must not repeat a value"),
    ("x = { choice = 'ab' }", "choice must be a list of values, but got 'ab'"),
    ("x = { choice = [[1], [2]] }", "choice must hold text, numbers, true or false, but got [1]: name it by a text"),
    ("x = { flaot = [0.0, 1.0] }", "unknown key 'flaot', did you mean 'float'?"),
    (
        "x = { float = [0.0, 1.0], defualt = 0.5 }",
        "unknown key 'defualt' of a float parameter, did you mean 'default'?",
    ),
    ("x = { choice = [1], log = true }", "unknown key 'log' of a choice parameter"),
    ("x = { float = [0.0, 1.0], int = [0, 1] }", "exactly one of float, int, choice, value, by and range_test"),
    ("x = { range_test = false }", "range_test must be true, or give bounds in its place, but got False"),
    ("x = { range_test = true, default = 0.1 }", "unknown key 'default' of a range_test parameter"),
    ("x = { range_test = true }\ny = { int = [0, 1], when = { x = [1] } }", "y: when: 'x' is a float"),
    ("x = { by = 'y' }", "space.toml: x: by must name one parameter"),
    (
        "y = { choice = ['a'] }\nx = { by = { y = { a = { int = [0, 1] } } } }",
        "x: by: y = 'a' must have a range, such as { float = [0.1, 1.0] }, but got { int = [0, 1] }",
    ),
    (
        "y = { choice = ['a'] }\nx = { by = { y = { a = 0.5 } } }",
        "x: by: y = 'a' must have a range, such as { float = [0.1, 1.0] }, but got 0.5",
    ),
    (
        "y = { choice = ['a'] }\nx = { by = { y = { a = { float = [0.0, 1.0], step = 0.5 } } } }",
        "x: by: y = 'a': a range by another parameter has no step, but got 0.5",
    ),
    (
        "y = { choice = ['a', 'b'] }\nx = { by = { y = { a = { float = [0.0, 1.0] } } } }",
        "space.toml: x: by: no range for y = 'b': give one range for each of 'a', 'b'",
    ),
    (
        "y = 'a'\nx = { by = { y = { a = { float = [0.0, 1.0] }, c = { float = [0.0, 1.0] } } } }",
        "x: by: 'y' is never 'c'",
    ),
    ("y = 1\nx = { by = { y = { a = { float = [0.0, 1.0] } } } }", "x: by: 'y' must be a choice among texts"),
    ("x = { by = { y = { a = { float = [0.0, 1.0] } } } }", "x: by: no parameter 'y'"),
    ("x = [1, 2]", "value must hold text, numbers, true or false, but got [1, 2]"),
    ("x = { float = [0.0, 1.0], when = 'y' }", "when must be a table"),
    ("x = { float = [0.0, 1.0], when = { y = [] } }\ny = { choice = [1] }", "x: when: list at least one value of 'y'"),
    (
        "optimizer = { choice = ['a'] }\nx = { float = [0.0, 1.0], when = { optimiser = ['a'] } }",
        "space.toml: x: when: no parameter 'optimiser', did you mean 'optimizer'?",
    ),
    (
        "y = { choice = ['a', 'b'] }\nx = { float = [0.0, 1.0], when = { y = ['c'] } }",
        "space.toml: x: when: 'y' is one of 'a', 'b', so it is never 'c'",
    ),
    ("y = { float = [0.0, 1.0] }\nx = { int = [0, 1], when = { y = [0.5] } }", "x: when: 'y' is a float"),
    ("y = 3\nx = { int = [0, 1], when = { y = [4] } }", "x: when: 'y' is the constant 3, so it is never 4"),
    ("x = { choice = [1, 2], when = { x = [1] } }", "the conditions form a cycle: x -> x"),
    (
        "x = { choice = [1, 2], when = { y = [1] } }\ny = { choice = [1, 2], when = { x = [1] } }",
        "the conditions form a cycle",
    ),
    (
        "a = { choice = [1, 2] }\nb = { choice = [1, 2], when = { a = [1] } }\n"
        "c = { int = [0, 1], when = { b = [1], a = [2] } }",
        "space.toml: c: when: it can never be active, 'a' would have to be in [1] and [2]",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[text for text, _ in BAD])
def test_a_broken_rule_is_one_line_that_names_file_key_rule_and_value(text: str, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse(text)

    assert message in str(caught.value)
    assert str(caught.value).startswith("space.toml: ")
    assert "\n" not in str(caught.value)


def test_a_default_that_is_left_out_is_the_middle() -> None:
    space = parse(
        "a = { float = [0.01, 1.0], log = true }\nb = { int = [1, 9], step = 2 }\nc = { choice = ['p', 'q'] }"
    )

    assert space.defaults() == {"a": pytest.approx(0.1), "b": 5, "c": "p"}


def test_a_plain_value_is_a_constant_and_whole_numbers_may_bound_floats() -> None:
    space = parse("a = 3\nb = { float = [0, 1] }")

    assert space.parameters["a"] == Constant(3)
    assert space.parameters["b"] == Float(0.0, 1.0)


def test_a_range_that_the_step_does_not_divide_ends_at_its_last_point() -> None:
    assert Int(0, 10, step=3).high == 9
    assert Float(0.0, 1.0, step=0.3).high == pytest.approx(0.9)


def test_a_file_is_named_in_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("x = = 1")
    with pytest.raises(SpaceError, match=r"mine\.toml: is not valid TOML"):
        search_spaces.load(file)
    with pytest.raises(SpaceError, match=r"none\.toml: can't be read"):
        search_spaces.load(tmp_path / "none.toml")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(SpaceError, match="no preset space named 'alexnt', did you mean 'alexnet'"):
        search_spaces.preset("alexnt")


def test_a_narrowed_parent_takes_its_dependents_along() -> None:
    base = search_spaces.preset("custom_cnn")
    narrowed = search_spaces.extend(base, {"optimizer": {"choice": ["nesterov", "adam"]}, "schedule": "step"}, "mine")

    assert narrowed.parameters["momentum"].when == {"optimizer": ("nesterov",)}
    assert "warmup_epochs" not in narrowed.parameters
    assert narrowed.defaults()["step_epochs"] == 3


def test_a_narrowed_parent_takes_its_ranges_along() -> None:
    ranges = "{ by = { y = { a = { float = [0.0, 1.0] }, b = { float = [2.0, 3.0] } } } }"
    base = parse(f"y = {{ choice = ['a', 'b'] }}\nx = {ranges}")

    assert search_spaces.extend(base, {"y": "b"}, "mine").defaults() == {"y": "b", "x": 2.5}
    assert "x" not in search_spaces.extend(base, {"y": {"choice": ["c", "d"]}}, "mine").parameters


def test_an_own_condition_on_a_value_that_was_taken_away_is_refused() -> None:
    base = parse("a = { choice = [1, 2] }")

    with pytest.raises(SpaceError, match="mine: b: when: 'a' is the constant 1, so it is never 2"):
        search_spaces.extend(base, {"a": 1, "b": {"int": [0, 1], "when": {"a": [2]}}}, "mine")
