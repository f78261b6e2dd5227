"""Tests of advice: a warning is given where an expert would give it, and not where chance explains the result."""

import math
import random
from typing import Any

import pytest
from fresh import add
from searched import Given, searched, spec_over

from study.measurement import Measurement
from sweeps.search.advice import advice
from sweeps.search.extension import ended_by, searching_on
from sweeps.search.history import PUBLISHED, Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.search.importance import by_chance
from sweeps.search.notes import SELECTED
from sweeps.spec import SweepSpec, load_spec

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
    assert "lies at the upper bound of 0.0001 … 1, near which are 10 of the 10 best and 2 of the 30 others" in line


def test_a_best_value_in_the_middle_is_not_told() -> None:
    assert not told(uniform(40, lambda p: abs(math.log10(p["x"]) + 2)), "bound")


def test_one_lucky_trial_at_a_bound_is_not_told() -> None:
    trials = uniform(40, lambda p: abs(math.log10(p["x"]) + 2))

    assert not told([*trials, ({"x": 0.99, "kind": "a"}, -1.0, 9.0)], "bound")


def test_a_bound_that_cannot_be_moved_is_not_told() -> None:
    space = {"dropout_rate": {"float": [0.0, 0.6]}, "layers": {"int": [1, 9]}, "share": {"float": [0.5, 1.0]}}
    trials: list[Given] = [
        ({"dropout_rate": i / 60, "layers": 1 + i // 4, "share": 1 - i / 70}, i / 60, 9.0) for i in range(36)
    ]

    assert not told(trials, "bound", space)
    for name, parameter in space.items():
        alone = [({name: p[name]}, -loss, f) for p, loss, f in trials]
        assert len(told(alone, "bound", {name: parameter})) == 1


def test_a_bound_is_not_told_for_a_parameter_that_another_explains() -> None:
    draw = random.Random(1)
    xs = [draw.uniform(1, 2) for _ in range(40)]
    trials: list[Given] = [({"x": x, "beside": 1 + (x - 1) ** 2}, x, 9.0) for x in xs]
    space = {"x": {"float": [1.0, 2.0]}, "beside": {"float": [1.0, 2.0]}}
    lines = told(trials, "bound", space)

    assert by_chance(spec_over(space), searched(trials)) == {"x", "beside"} - {line.split(" = ")[0] for line in lines}
    assert len(lines) == 1


def test_values_that_hang_on_nothing_put_the_best_at_a_bound_as_seldom_as_chance_does() -> None:
    space = {f"p{i}": {"float": [1.0, 2.0]} for i in range(12)}

    def search(seed: int) -> list[Given]:
        draw = random.Random(seed)
        return [({name: draw.uniform(1, 2) for name in space}, draw.random(), 9.0) for _ in range(24)]

    assert sum(bool(told(search(seed), "bound", space)) for seed in range(40)) <= 2


def test_a_measured_range_has_bounds_too() -> None:
    space = {"optimizer": "sgd", "learning_rate": {"range_test": True}}
    spec = load_spec({"name": "s", "trials": 40, "metric": "validation_loss", "direction": "minimize", "space": space})
    history = History()
    bounds = {"optimizer": "sgd", "low": 1e-4, "high": 0.1, "valley": 0.01}
    history.apply(Stamp(1, 0.0), Noted("range_test", bounds))
    for number in range(20):
        rate = 0.1 * 0.8**number
        measured = Measured(TrialKey(number), Measurement(1, 9, 9.0, 1.0, {"validation_loss": 1 - rate}))
        for row in (Asked(TrialKey(number), {"optimizer": "sgd", "learning_rate": rate}, 0, 0), measured):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
        history.apply(Stamp(history.last.seq + 1, 0.0), Moved(TrialKey(number), "complete", ""))

    assert advice(spec, history)[0].startswith("learning_rate = 0.1 of the best trial lies at the upper bound")


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


def test_a_choice_with_which_trials_fail_is_told() -> None:
    history = searched(uniform(40, lambda p: p["x"]))
    for trial in history.search:
        if trial.params["kind"] == "b":
            history.apply(Stamp(history.last.seq + 1, 99.0), Moved(trial.key, "failed", "out of memory"))
    (line,) = [line for line in advice(spec_over(SPACE), history) if "failed" in line]

    assert line.startswith("with kind = b ")
    assert "(100%), none of the" in line


def test_divergence_that_hangs_on_nothing_is_not_told() -> None:
    draw = random.Random(3)

    assert not told(uniform(60, lambda p: math.nan if draw.random() < 0.2 else p["x"]), "kind")


def with_batches(rates: int, size: int, space: dict[str, Any] | None = None) -> list[str]:
    """Return the advice on batch sizes: the baseline has 32, the best has `size`, tried with `rates` learning rates."""
    trials: list[Given] = [({"batch_size": 32, "lr": 0.1}, 0.9, 9.0)]
    trials += [({"batch_size": size, "lr": 0.01 * (i + 1)}, 0.1 + 0.1 * i, 9.0) for i in range(rates)]
    varying = {"batch_size": {"choice": [32, 512], "default": 32}, "lr": {"float": [0.001, 1.0], "default": 0.1}}
    spec = spec_over(space or varying)
    return [line for line in advice(spec, searched(trials)) if "batch_size" in line]


def test_a_batch_size_whose_rate_was_not_tuned_is_told() -> None:
    (line,) = with_batches(1, 512)

    assert "batch_size = 512, the baseline 32, but only 1 value of lr was tried" in line
    assert not with_batches(5, 512)
    assert not with_batches(1, 32)


def test_in_a_range_of_batch_sizes_those_that_are_near_count() -> None:
    space = {
        "batch_size": {"int": [16, 1024], "log": True, "default": 128},
        "lr": {"float": [0.001, 1.0], "default": 0.1},
    }
    spec = spec_over(space)

    def told_of(sizes: list[int]) -> list[str]:
        trials: list[Given] = [({"batch_size": 128, "lr": 0.1}, 0.9, 9.0)]
        trials += [({"batch_size": size, "lr": 0.01 * (i + 1)}, 0.1 + 0.1 * i, 9.0) for i, size in enumerate(sizes)]
        return [line for line in advice(spec, searched(trials)) if "batch_size" in line]

    assert told_of([90]) == []  # a size close to the baseline's
    assert told_of([500, 450, 600]) == []
    assert len(told_of([500, 200, 30])) == 1


def test_a_batch_size_that_varies_beside_a_fixed_rate_is_told() -> None:
    space = {"batch_size": {"choice": [32, 512], "default": 32}, "lr": 0.1}

    assert "batch_size varies while the learning rate is fixed" in with_batches(2, 512, space)[0]


def test_a_trial_that_was_let_on_last_is_no_rise_of_the_search() -> None:
    spec = spec_over(SPACE, selection={"candidates": 1, "seeds": 2, "published_seeds": 3})

    assert not [line for line in advice(spec, concluded(spec, 0.2, 0.0, 0.01, winner=1)) if "search was" in line]


def concluded(spec: SweepSpec, late: float, end: float, noise: float, winner: int = 9, level: float = 0.5) -> History:
    """Return a search whose best falls by `late` at its end, and whose winner gains `end` in its last quarter.

    A winner below 9 was paused at fidelity 3, where it was no better than the others, and resumed at the end.
    """
    trials: list[Given] = [({"x": 0.1, "kind": "ab"[i % 2]}, 1.0, 9.0) for i in range(10)]
    is_early = winner < 9
    if not is_early:
        trials[winner] = ({"x": 0.2, "kind": "a"}, 0.9999 - late, 9.0)
    history = searched([(params, loss, 3.0 if is_early else 9.0) for params, loss, _ in trials])
    if is_early:
        last = Measured(TrialKey(winner), Measurement(9, 9, 9.0, 1.0, {"loss": 0.9999 - late}))
        for row in (Moved(TrialKey(winner), "running", "resumed"), last, Moved(TrialKey(winner), "complete", "")):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    add(history, TrialKey(0, 1), 5.0)
    for seed in range(1, 6):
        key = TrialKey(winner, PUBLISHED + seed) if seed > 2 else TrialKey(winner, seed)
        last = level + noise * (seed - 3)
        for row in (
            Asked(key, {"x": 0.2, "kind": "a"}, 0, 0),
            *(Measured(key, Measurement(i, i, i, 1.0, {"loss": last + (end if i < 8 else 0)})) for i in range(1, 9)),
            Moved(key, "complete", ""),
        ):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    history.apply(Stamp(history.last.seq + 1, 0.0), Noted("outcome", {"winner": winner}))
    return history


@pytest.mark.parametrize(
    ("late", "end", "noise", "words"),
    [
        (0.2, 0.0, 0.01, ["search was still finding better"]),
        (0.0, 0.2, 0.01, ["winner was still getting better at its end"]),
        (0.2, 0.2, 0.01, ["search was still finding better", "winner was still getting better at its end"]),
        (0.2, 0.2, 0.5, []),
        (0.0, 0.0, 0.01, []),
    ],
)
def test_a_rise_beyond_the_noise_between_seeds_is_told(late: float, end: float, noise: float, words: list[str]) -> None:
    spec = spec_over(SPACE, selection={"candidates": 1, "seeds": 2, "published_seeds": 3})
    lines = [line for line in advice(spec, concluded(spec, late, end, noise)) if "still" in line]

    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_a_winner_at_the_bound_of_its_metric_can_get_no_better() -> None:
    spec = spec_over(SPACE, selection={"candidates": 1, "seeds": 2, "published_seeds": 3})

    def longer(level: float) -> bool:
        history = concluded(spec, 0.0, 0.2, 0.0, level=level)
        return any("train longer" in line for line in advice(spec, history))

    assert not longer(0.0)
    assert longer(0.01)


def cut_after(history: History, seconds: float, reason: str) -> History:
    """Add a session in which one more trial holds a worker for `seconds` until a budget cuts it; return the history."""
    key, start = TrialKey(len(history.search)), history.last.time
    rows = [Noted("session", {}), Asked(key, {"x": 0.1, "kind": "a"}, 0, 0), Moved(key, "cut", reason)]
    for row, moment in zip(rows, (start, start, start + seconds), strict=True):
        history.apply(Stamp(history.last.seq + 1, moment), row)
    return history


def advised(cut: tuple[float, str] | None = None, **changes: Any) -> str:
    """Return the command advised after ten trials that were still improving, and one more that `cut` describes."""
    spec = spec_over(SPACE, selection={"candidates": 1, "seeds": 2, "published_seeds": 3}, **changes)
    history = concluded(spec, 0.2, 0.0, 0.01)
    history = cut_after(history, *cut) if cut else history
    (line,) = [line for line in advice(spec, history, {"results": "R"}) if "search was" in line]
    return line.rpartition(": ")[2]


def test_a_search_that_its_trials_ended_is_given_more_of_them() -> None:
    assert advised(trials=10) == "`sweeps resume searched --trials +5 --results R`"
    assert advised(trials=10, time="1h") == "`sweeps resume searched --trials +5 --results R`"


def test_a_search_that_a_budget_ended_is_given_more_of_that() -> None:
    hours = (7200, "time"), (7200, "device_hours")
    assert advised(hours[0], trials=40, time="1h") == "`sweeps resume searched --time +10m --results R`"
    assert advised(hours[1], trials=40, device_hours=1) == "`sweeps resume searched --device-hours +1 --results R`"
    both = advised(hours[0], trials=40, time="1h", device_hours=1)
    assert both == "`sweeps resume searched --time +10m --device-hours +1 --results R`"


def test_a_search_whose_last_trial_a_budget_cut_wants_trials_too() -> None:
    """Check that both are advised: even if the selection alone used up the time, no further trial could begin."""
    assert (
        advised((7200, "time"), trials=11, time="1h") == "`sweeps resume searched --time +10m --trials +5 --results R`"
    )


def test_a_budget_of_one_trial_ends_no_search() -> None:
    spec = spec_over(SPACE, trials=4, time="1h", trial_time="1m")
    history = cut_after(searched([({"x": 0.1, "kind": "a"}, 1.0, 9.0)] * 3), 90, "trial_time")

    assert ended_by(spec, history) == ["trial_time"]
    assert searching_on(spec, history) == "--trials +2"
    assert ended_by(spec, cut_after(history, 4000, "time")) == ["time", "trial_time"]


def test_a_search_that_was_ended_by_hand_is_opened_by_further_trials() -> None:
    spec = spec_over(SPACE, trials=10, time="1h")
    history = searched([({"x": 0.1, "kind": "a"}, 1.0, 9.0)] * 4)
    history.apply(Stamp(history.last.seq + 1, 0.0), Noted(SELECTED, {}))

    assert searching_on(spec, history) == "--trials +5"


def test_nothing_is_said_of_nothing() -> None:
    assert advice(spec_over(SPACE), History()) == []
