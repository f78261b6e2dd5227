"""Tests of thinning: of very many trials a sampler sees the best, the latest and evenly spaced ones, in any order."""

import math
from datetime import UTC, datetime

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import FrozenTrial, TrialState
from simulation import small_spec

from study.measurement import Measurement
from sweeps.search.history import Asked, History, Measured, Moved, Stamp, TrialKey
from sweeps.search.optuna_view import OptunaView
from sweeps.search.suggestion import suggest
from sweeps.search.thinning import MOST, Order, merit

VALUES = st.one_of(st.integers(-3, 3).map(float), st.just(math.nan))


def frozen(place: int, state: TrialState, step: int, value: float) -> FrozenTrial:
    now = datetime.now(UTC)
    final = value if state is TrialState.COMPLETE else None
    if final is not None and math.isnan(final):
        final = 0.0
    told = {step: value} if state is TrialState.PRUNED and step else {}
    end = None if state is TrialState.RUNNING else now
    return FrozenTrial(place, state, final, now, end, {}, {}, {}, {}, told, place)


STATES = st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING])
TRIALS = st.lists(st.tuples(STATES, st.integers(0, 3), VALUES), min_size=1, max_size=60)


def ordered(trials: list[FrozenTrial], *, maximize: bool) -> Order:
    order = Order()
    for place, trial in enumerate(trials):
        order.put(place, merit(trial, place, maximize=maximize))
    return order


@settings(deadline=None)
@given(TRIALS, st.integers(1, 25), st.booleans())
def test_the_order_is_the_one_in_which_tpe_takes_its_best(
    drawn: list[tuple[TrialState, int, float]], count: int, maximize: bool
) -> None:
    trials = [frozen(place, *facts) for place, facts in enumerate(drawn)]
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    below, _ = _split_trials(study, trials, count)

    first = [place for *_, place in ordered(trials, maximize=maximize)._sorted[:count]]
    assert {trial.number for trial in below} == {place for place in first if trials[place].state.is_finished()}


@settings(deadline=None)
@given(TRIALS, TRIALS)
def test_what_became_known_later_leaves_the_same_order(
    before: list[tuple[TrialState, int, float]], after: list[tuple[TrialState, int, float]]
) -> None:
    trials = [frozen(place, *facts) for place, facts in enumerate(after)]
    order = ordered([frozen(place, *facts) for place, facts in enumerate(before[: len(after)])], maximize=False)
    for place, trial in reversed(list(enumerate(trials[: len(before)]))):
        order.put(place, merit(trial, place, maximize=False))
    for place, trial in list(enumerate(trials))[len(before) :]:
        order.put(place, merit(trial, place, maximize=False))
    assert order._sorted == ordered(trials, maximize=False)._sorted


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6 * MOST), st.randoms(use_true_random=False))
def test_no_more_than_so_many_are_shown_among_them_the_best_and_the_latest(count: int, draw: object) -> None:
    values = [draw.random() for _ in range(count)]  # type: ignore[attr-defined]
    trials = [frozen(place, TrialState.COMPLETE, 1, value) for place, value in enumerate(values)]
    shown = list(ordered(trials, maximize=False).shown())

    assert shown == sorted(set(shown))
    assert len(shown) == count if count <= MOST else MOST / 2 < len(shown) <= MOST
    best = sorted(range(count), key=values.__getitem__)[:200]
    assert {*best, *range(max(0, count - 200), count)} <= set(shown)


def test_of_more_trials_than_are_shown_the_same_history_gives_the_same_suggestion() -> None:
    spec = small_spec(trials=MOST + 50, pruning={"name": "none", "max_fidelity": 1})
    rows: list[tuple[Stamp, object]] = []

    def add(row: object) -> None:
        rows.append((Stamp(len(rows) + 1, 1.0), row))

    for number in range(MOST + 10):
        key = TrialKey(number)
        params = {"x": number % 97 / 97, "kind": "a"}
        add(Asked(key, params, number, 0))
        add(Measured(key, Measurement(1, 1, 1.0, 0.0, {"loss": abs(params["x"] - 0.3)})))
        add(Moved(key, "complete", ""))
    history = History(rows[: 3 * MOST])  # type: ignore[arg-type]
    for stamp, row in rows[3 * MOST :]:
        suggest(spec, history, len(history.search))
        history.apply(stamp, row)  # type: ignore[arg-type]

    number = MOST + 10
    found = suggest(spec, history, number)
    assert found == suggest(spec, History(rows), number)  # type: ignore[arg-type]
    spec.space.check(found)
    view = OptunaView(spec, History(rows)).thinned()  # type: ignore[arg-type]
    assert [view.get_trial(place).number for place in (0, MOST + 9)] == [0, MOST + 9]
    hidden = next(iter({*range(MOST + 10)} - {trial.number for trial in view.get_all_trials(0)}))
    with pytest.raises(KeyError, match=f"holds no trial {hidden}"):
        view.get_trial(hidden)
