"""Advice: each warning is given where an expert would give it, and not where chance explains what is seen."""

import math
import random
from typing import Any

import pytest
from fresh import add
from searched import Given, searched, spec_over

from study.measurement import Measurement
from sweeps.search.advice import advice
from sweeps.search.history import PUBLISHED, Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.spec import SweepSpec

SPACE = {"x": {"float": [1e-4, 1.0], "log": True}, "kind": {"choice": ["a", "b"]}}


def uniform(count: int, loss: Any, seed: int = 0, kinds: str = "ab") -> list[Given]:
    draw, found = random.Random(seed), []
    for _ in range(count):
        params = {"x": 10 ** draw.uniform(-4, 0), "kind": draw.choice(kinds)}
        found.append((params, loss(params), 9.0))
    return found


def told(trials: list[Given], word: str, space: Any = SPACE) -> list[str]:
    return [line for line in advice(spec_over(space), searched(trials)) if word in line]


def test_a_best_value_at_a_bound_that_the_best_share_is_told() -> None:
    (line,) = told(uniform(40, lambda p: -math.log(p["x"])), "bound")

    assert line.startswith("x = 0.")
    assert "lies at the upper bound of 0.0001 … 1, and so do most of the 4 best: widen it" in line


def test_a_best_value_in_the_middle_is_not_told() -> None:
    assert not told(uniform(40, lambda p: abs(math.log10(p["x"]) + 2)), "bound")


def test_one_lucky_trial_at_a_bound_is_not_told() -> None:
    trials = uniform(40, lambda p: abs(math.log10(p["x"]) + 2))

    assert not told([*trials, ({"x": 0.99, "kind": "a"}, -1.0, 9.0)], "bound")


def test_a_bound_of_the_range_that_hangs_on_the_choice_is_the_one_told() -> None:
    ranges = {"a": {"float": [1e-4, 1e-2], "log": True}, "b": {"float": [0.1, 1.0], "log": True}}
    space = {"kind": {"choice": ["a", "b"]}, "rate": {"by": {"kind": ranges}}}
    trials = [({"kind": "a", "rate": 1e-4 * 1.05**i}, float(i), 9.0) for i in range(20)]
    (line,) = told(trials, "bound", space)

    assert "lower bound of 0.0001 … 0.01" in line


def test_a_choice_that_was_hardly_tried_is_told_and_one_that_had_its_trials_is_not() -> None:
    few = [*uniform(30, lambda p: p["x"], kinds="a"), ({"x": 0.5, "kind": "b"}, 0.5, 9.0)]

    assert told(few, "kind") == [
        "kind = b was tried in 1 of 31 trials, too seldom to tell: add it to `start`, or leave it out"
    ]
    assert "kind = b was tried never" in told(few[:-1], "kind")[0]
    assert not told(uniform(30, lambda p: p["x"]), "kind = ")


def test_where_trials_are_few_no_choice_is_called_untried() -> None:
    assert not told(uniform(6, lambda p: p["x"], kinds="a"), "kind")


def test_a_choice_that_makes_trials_diverge_is_told_with_its_share() -> None:
    (line,) = told(uniform(40, lambda p: math.nan if p["kind"] == "b" else p["x"]), "kind = b")

    assert "trials diverged (100%), none of the" in line


def test_a_range_in_which_trials_diverge_is_told() -> None:
    lines = told(uniform(40, lambda p: math.nan if p["x"] > 0.05 else p["x"]), "and more")

    assert lines[0].startswith("with x of 0.0")


def test_divergence_that_hangs_on_nothing_is_not_told() -> None:
    draw = random.Random(3)

    assert not told(uniform(60, lambda p: math.nan if draw.random() < 0.2 else p["x"]), "kind")


def with_batches(rates: int, size: int, space: dict[str, Any] | None = None) -> list[str]:
    """A baseline of batch size 32, then the best with another, of which so many rates were tried."""
    trials: list[Given] = [({"batch_size": 32, "lr": 0.1}, 0.9, 9.0)]
    trials += [({"batch_size": size, "lr": 0.01 * (i + 1)}, 0.1 + 0.1 * i, 9.0) for i in range(rates)]
    varying = {"batch_size": {"choice": [32, 512], "default": 32}, "lr": {"float": [0.001, 1.0], "default": 0.1}}
    spec = spec_over(space or varying)
    return [line for line in advice(spec, searched(trials)) if "batch_size" in line]


def test_a_batch_size_whose_rate_was_not_tuned_is_told() -> None:
    (line,) = with_batches(1, 512)

    assert "batch_size = 512, the baseline 32, but only 1 value of lr were tried" in line
    assert not with_batches(5, 512)
    assert not with_batches(1, 32)


def test_a_batch_size_that_varies_beside_a_fixed_rate_is_told() -> None:
    space = {"batch_size": {"choice": [32, 512], "default": 32}, "lr": 0.1}

    assert "batch_size varies while the learning rate is fixed" in with_batches(2, 512, space)[0]


def concluded(spec: SweepSpec, late: float, end: float, noise: float) -> History:
    """A search whose best falls by `late` at its end, and a winner whose last quarter brings `end`."""
    trials: list[Given] = [({"x": 0.1, "kind": "ab"[i % 2]}, 1.0, 9.0) for i in range(9)]
    history = searched([*trials, ({"x": 0.2, "kind": "a"}, 0.9999 - late, 9.0)])
    add(history, TrialKey(0, 1), 5.0)
    for seed in range(1, 6):
        key = TrialKey(9, PUBLISHED + seed) if seed > 2 else TrialKey(9, seed)
        last = 0.5 + noise * (seed - 3)
        for row in (
            Asked(key, {"x": 0.2, "kind": "a"}, 0, 0),
            *(Measured(key, Measurement(i, i, i, 1.0, {"loss": last + (end if i < 8 else 0)})) for i in range(1, 9)),
            Moved(key, "complete", ""),
        ):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    history.apply(Stamp(history.last.seq + 1, 0.0), Noted("outcome", {"winner": 9}))
    return history


@pytest.mark.parametrize(
    ("late", "end", "noise", "words"),
    [
        (0.2, 0.0, 0.01, ["search was still rising"]),
        (0.0, 0.2, 0.01, ["winner was still getting better at its end"]),
        (0.2, 0.2, 0.01, ["search was still rising", "winner was still getting better at its end"]),
        (0.2, 0.2, 0.5, []),
        (0.0, 0.0, 0.01, []),
    ],
)
def test_a_rise_beyond_the_noise_between_seeds_is_told(late: float, end: float, noise: float, words: list[str]) -> None:
    spec = spec_over(SPACE, selection={"candidates": 1, "seeds": 2, "published_seeds": 3})
    lines = [line for line in advice(spec, concluded(spec, late, end, noise)) if "still" in line]

    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_nothing_is_said_of_nothing() -> None:
    assert advice(spec_over(SPACE), History()) == []
