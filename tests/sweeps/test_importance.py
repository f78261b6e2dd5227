"""Tests of importance: decisive parameters are found, irrelevant ones are not, and too little data gives no number."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searched import Given, searched, spec_over

from study.measurement import Measurement
from sweeps.search.chance import Column, telling
from sweeps.search.history import Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.search.importance import BY_CHANCE, FEWEST, MOST, NO_SHARE, Importance, _by_rank, importance
from sweeps.spec import load_spec

SPACE = {
    "x": {"float": [0.0, 1.0]},
    "noise": {"float": [0.0, 1.0]},
    "kind": {"choice": ["a", "b"]},
    "y": {"float": [0.0, 1.0], "when": {"kind": ["b"]}},
}


def trials(count: int, seed: int = 0) -> list[Given]:
    """Return trials that parameter x decides; the worse ones stop at fidelity 3, with losses that look better."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        params = {"x": draw.random(), "noise": draw.random(), "kind": draw.choice("ab")}
        params |= {"y": draw.random()} if params["kind"] == "b" else {}
        loss = abs(params["x"] - 0.3) + 0.01 * draw.random()
        found.append((params, loss, 9.0) if loss < 0.3 else (params, loss - 0.3, 3.0))
    return found


def by_name(found: list[Importance]) -> dict[str, Importance]:
    return {one.parameter: one for one in found}


def test_what_decides_comes_first_and_noise_last() -> None:
    found = importance(spec_over(SPACE), searched(trials(80)))

    assert found[0].parameter == "x"
    assert found[0].share is not None
    assert found[0].share > 0.5
    assert sum(one.share or 0.0 for one in found) == pytest.approx(1.0)
    for one in found:
        assert one.share is not None
        assert one.low <= one.share <= one.high


def test_a_trial_that_was_let_on_beats_one_that_was_stopped_with_a_better_value() -> None:
    # By their values alone the stopped ones would be best, and x would have to be far from 0.3.
    early = [(params, loss - 10 if fidelity == 3.0 else loss, fidelity) for params, loss, fidelity in trials(80)]

    assert importance(spec_over(SPACE), searched(early)) == importance(spec_over(SPACE), searched(trials(80)))


def test_a_parameter_under_a_condition_counts_the_trials_in_which_it_is_active() -> None:
    given_trials = trials(60)
    y = by_name(importance(spec_over(SPACE), searched(given_trials)))["y"]

    assert y.trials == sum("y" in params for params, _, _ in given_trials)
    assert y.condition == "kind = b"


def test_equal_trials_tell_nothing_apart_whatever_their_numbers() -> None:
    alike = [(params, 0.5, 9.0) for params, _, _ in trials(40)]

    assert {one.note for one in importance(spec_over(SPACE), searched(alike))} == {
        "the best trials can't be told from the others"
    }


def test_of_very_many_trials_evenly_spaced_ranks_tell_the_same() -> None:
    many = trials(3 * MOST)
    found = importance(spec_over(SPACE), searched(many))
    all_ranks = sorted(loss if fidelity == 9.0 else loss + 1 for _, loss, fidelity in many)

    assert found[0].parameter == "x"
    assert found[0].trials == MOST
    assert found[0].note == ""
    assert by_name(found)["noise"].note == BY_CHANCE
    judged = _by_rank(spec_over(SPACE), searched(many))
    taken = [trial.last.values["loss"] + (trial.last.fidelity < 9) for trial in judged if trial.last]
    assert taken == all_ranks[::3]


def test_what_chance_tells_apart_as_well_is_marked() -> None:
    found = by_name(importance(spec_over(SPACE), searched(trials(80))))
    draw = random.Random(1)
    guessed = importance(spec_over(SPACE), searched([(params, draw.random(), 9.0) for params, _, _ in trials(80)]))

    assert (found["x"].note, found["noise"].note) == ("", BY_CHANCE)
    assert all(one.note == BY_CHANCE for one in guessed)


IDLE = {f"idle{number}": {"float": [0.0, 1.0]} for number in range(3)}


@pytest.mark.parametrize(
    ("parameter", "loss", "seed"),
    [
        ({"choice": ["a", "b", "c", "d"]}, lambda value: value == "d", 1),
        ({"float": [1e-4, 1.0], "log": True}, lambda value: max(0.0, -3 - math.log10(value)), 0),
    ],
    ids=["one choice is worse", "one end is worse"],
)
def test_what_a_scatter_plot_shows_is_more_than_chance(
    parameter: Mapping[str, Any], loss: Callable[[Any], float], seed: int
) -> None:
    # These hardly show within the best quarter alone.
    spec, draw = spec_over({"x": parameter, **IDLE}), random.Random(seed)
    params = [spec.space.sample(draw) for _ in range(60)]
    found = by_name(importance(spec, searched([(p, loss(p["x"]) + draw.gauss(0, 0.3), 9.0) for p in params])))

    assert {name for name, one in found.items() if one.note != BY_CHANCE} == {"x"}


@pytest.mark.parametrize("seed", range(3))
def test_a_parameter_that_nearly_all_trials_have_at_its_best_is_no_part_of_a_share(seed: int) -> None:
    # A learning sampler soon draws the good value nearly always: the best quarter then differs in others only.
    space = {"x": {"choice": [True, False]}, **IDLE}
    draw = random.Random(seed)
    tried = [({"x": n % 8 == 7, **{name: draw.random() for name in IDLE}}, n) for n in range(64)]
    found = importance(spec_over(space), searched([(p, 0.3 * p["x"] + draw.gauss(0, 0.02), 9.0) for p, _ in tried]))

    assert (found[0].parameter, found[0].note) == ("x", NO_SHARE)
    assert {(one.share, one.note) for one in found[1:]} == {(None, BY_CHANCE)}


def test_what_says_nothing_is_called_chance() -> None:
    spec, alarms = spec_over({**IDLE, "kind": {"choice": ["a", "b", "c"]}}), 0
    for seed in range(60):
        draw = random.Random(seed)
        params = [spec.space.sample(draw) for _ in range(40)]
        alarms += bool(telling(columns(params), [draw.random() for _ in params], seed))

    assert alarms <= 6


def test_what_drifts_while_trials_get_better_is_called_chance() -> None:
    alarms = 0
    for seed in range(60):
        draw = random.Random(seed)
        params = [{name: 0.01 * number + draw.gauss(0, 0.3) for name in IDLE} for number in range(100)]
        alarms += bool(telling(columns(params), [draw.gauss(-0.01 * number, 0.3) for number in range(100)], seed))

    assert alarms <= 6


def test_what_is_repeated_together_with_what_decides_is_called_chance() -> None:
    alarms = 0
    for seed in range(60):
        draw = random.Random(seed)
        shares = [draw.random() for _ in range(60)]
        params = [{"x": x, "idle": x + draw.gauss(0, 0.3)} for x in shares]
        found = telling(columns(params), [x + draw.gauss(0, 0.1) for x in shares], seed)
        assert found[0] == "x"
        alarms += "idle" in found

    assert alarms <= 6


def test_of_a_parameter_under_a_condition_only_the_trials_in_which_it_is_active_are_compared() -> None:
    draw = random.Random(0)
    params = [{"kind": kind, "y": draw.random() if kind == "b" else None} for kind in "ab" * 40]
    ranks = [p["y"] if p["y"] is not None else draw.random() for p in params]

    assert telling(columns(params), ranks, 0) == ["y"]
    assert telling(columns(params), [float(p["y"] is None) for p in params], 0) == ["kind"]


def columns(params: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    return {name: Column([p[name] for p in params], isinstance(params[0][name], str)) for name in params[0]}


def test_a_learning_rate_whose_bounds_were_measured_is_judged_in_these() -> None:
    table = {"name": "s", "trials": 40, "space": {"optimizer": "sgd", "learning_rate": {"range_test": True}}}
    history, draw = History(), random.Random(0)
    bounds = {"optimizer": "sgd", "low": 1e-4, "high": 1.0, "valley": 0.01}
    history.apply(Stamp(1, 0.0), Noted("range_test", bounds))
    for number in range(40):
        add_trial(history, TrialKey(number), {"optimizer": "sgd", "learning_rate": 10 ** draw.uniform(-4, 0)})
    (found,) = importance(load_spec(table), history)

    assert (found.parameter, found.trials) == ("learning_rate", 40)
    assert found.share == 1.0


def add_trial(history: History, key: TrialKey, params: Mapping[str, Any]) -> None:
    accuracy = Measurement(1, 9, 9.0, 1.0, {"validation_accuracy": params["learning_rate"] / 2})
    for row in (Asked(key, params, 0, 0), Measured(key, accuracy), Moved(key, "complete", "")):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)


def test_a_parameter_that_was_seldom_active_gets_no_number() -> None:
    rare = [(p, v, f) for p, v, f in trials(80) if p["kind"] == "a"] + [t for t in trials(80, 1) if "y" in t[0]][:5]
    y = by_name(importance(spec_over(SPACE), searched(rare)))["y"]

    assert (y.share, y.low, y.high, y.trials) == (None, None, None, 5)
    assert y.note == f"fewer than {FEWEST} trials were judged in which it is active"


def test_the_same_history_gives_the_same_numbers() -> None:
    assert importance(spec_over(SPACE), searched(trials(30))) == importance(spec_over(SPACE), searched(trials(30)))


def test_a_range_that_hangs_on_a_choice_is_judged_by_the_place_in_it() -> None:
    ranges = {"a": {"float": [1e-4, 1e-2], "log": True}, "b": {"float": [0.1, 1.0], "log": True}}
    space = {"kind": {"choice": ["a", "b"]}, "rate": {"by": {"kind": ranges}}}
    draw, found = random.Random(0), []
    for _ in range(60):
        kind, share = draw.choice("ab"), draw.random()
        low, high = (1e-4, 1e-2) if kind == "a" else (0.1, 1.0)
        found.append(({"kind": kind, "rate": low * (high / low) ** share}, abs(share - 0.8), 9.0))

    assert importance(spec_over(space), searched(found))[0].parameter == "rate"


def test_maximize_turns_the_order_round() -> None:
    turned = [(params, -loss, fidelity) for params, loss, fidelity in trials(60)]

    assert importance(spec_over(SPACE, direction="maximize"), searched(turned)) == importance(
        spec_over(SPACE), searched(trials(60))
    )


@settings(max_examples=20, deadline=None)
@given(
    losses=st.lists(st.sampled_from([0.1, 0.2, math.nan]), max_size=14),
    fidelity=st.sampled_from([3.0, 9.0]),
)
def test_whatever_was_found_there_is_a_number_or_a_reason(losses: list[float], fidelity: float) -> None:
    history = searched([({"x": 0.5, "noise": 0.1, "kind": "a"}, loss, fidelity) for loss in losses])
    found = importance(spec_over(SPACE), history)

    assert {one.parameter for one in found} == set(SPACE)
    assert all(one.share is not None or one.note for one in found)


def test_without_trials_and_in_a_design_nothing_is_said() -> None:
    design = {"cells": [{"name": "a", "params": {"x": 0.1}}]}
    table = {"name": "planned", "metric": "loss", "target": "functions:bowl", "design": design}

    assert importance(load_spec(table), History()) == []
    assert all(one.note for one in importance(spec_over(SPACE), History()))
