"""Warnings that an expert in tuning networks would give about a search: a pure function of history.

Each warning needs more evidence than chance provides:

- A best value is at a bound, the best trials are closer to it than the others, by Mann and Whitney's test, and the
  parameter explains more of the order of the trials than chance does.
- Trials diverge or fail with certain settings, by Fisher's exact test.
- A metric still rises at the end, by more than the noise of seeds.

Sources: Mann and Whitney, On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other,
1947; Fisher, Statistical Methods for Research Workers, 1925 (exact test); Goyal et al., Accurate, Large Minibatch SGD,
2017 (the rate depends on the batch size).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from search_spaces import Choice, Constant, Float, FloatBy, Int, Parameter
from search_spaces.texts import as_text
from sweeps.returning import to_resume
from sweeps.search.bounds import metric_bounds
from sweeps.search.extension import searching_on
from sweeps.search.history import History, Trial
from sweeps.search.importance import by_chance
from sweeps.search.intervals import mean_of, variance_of
from sweeps.search.pruning import entry
from sweeps.search.ranges import with_measured_space
from sweeps.search.selection import BASELINE, by_last_value, selection_of
from sweeps.spec import SweepSpec

_AT_A_BOUND, _NEAR_A_BOUND = 0.05, 0.2  # shares of a range: how close the best trial, or the best ones, are to a bound
_BEST, _FEWEST_BEST = 0.25, 5  # the share of trials that count as the best, and their minimum number
_CROWDED = 0.05  # significance level of the best being closer to a bound than the others
_ENOUGH = 3  # the fewest trials or values from which a conclusion is drawn
_SURE = 0.01  # significance level of a difference, divided by the number of settings that are tested
_LATE = 0.75  # share of the trials, or of a training, after which its end begins
_BY_CHANCE_OF_TWO = 2 * math.sqrt(2)  # deviations; two values on one seed each differ by more in 1 of 20 cases
_BATCH, _RATES = "batch_size", ("learning_rate", "lr")


def advice(spec: SweepSpec, history: History, where: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return the warnings, the most telling first; [] for a design, or if there is nothing to say.

    Args:
        spec: The spec of the sweep.
        history: The sweep's recorded history.
        where: The option by which commands find the results; empty for the default folder.
    """
    spec = with_measured_space(spec, history)
    judged = [t for t in history.search if t.state in ("complete", "paused", "pruned", "cut") and t.measurements]
    if spec.design or not judged:
        return []
    parts = (_at_a_bound, _diverging, _untried, _rate_for_another_batch)
    return [line for part in parts for line in part(spec, history, judged)] + list(_still_rising(spec, history, where))


def _best(spec: SweepSpec, history: History) -> list[Trial]:
    """Return the trials of the search, best first: the recorded winner, then the others by their last values."""
    numbers = by_last_value(spec, history)
    winner = (history.outcome or {}).get("winner")
    if winner is not None:
        numbers = [winner, *(number for number in numbers if number != winner)]
    by_number = {trial.key.number: trial for trial in history.search}
    return [by_number[number] for number in numbers]


def _range(parameter: Parameter, params: Mapping[str, Any]) -> Float | Int | None:
    """Return the range that a number was drawn from, or None if the parameter has none."""
    if isinstance(parameter, FloatBy):
        return parameter.given(params)
    return parameter if isinstance(parameter, Float | Int) else None


def _place(range_: Float | Int, value: float) -> float:
    """Return the position of a value in its range, 0..1 on the range's scale."""
    if range_.log:
        return math.log(value / range_.low) / math.log(range_.high / range_.low)
    return (value - range_.low) / (range_.high - range_.low)


def _at_a_bound(spec: SweepSpec, history: History, judged: Sequence[Trial]) -> Iterator[str]:
    found = list(_crowded_bounds(spec, history))
    chance = by_chance(spec, history) if found else set()
    yield from (line for name, line in found if name not in chance)


def _crowded_bounds(spec: SweepSpec, history: History) -> Iterator[tuple[str, str]]:
    """Yield each parameter whose best value is at a bound, where the best trials crowd, with the warning about it."""
    best = _best(spec, history)
    for name, parameter in spec.space.parameters.items():
        if not best or name not in best[0].params or (range_ := _range(parameter, best[0].params)) is None:
            continue
        # If the range depends on a choice, only trials that had the same range are compared.
        places = [_place(range_, t.params[name]) for t in best if _has(name, parameter, t, range_)]
        count = max(math.ceil(_BEST * len(places)), _FEWEST_BEST)
        for side, bound, shares in _sides(range_, places):
            near = [share <= _NEAR_A_BOUND for share in shares]
            a, b, others = sum(near[:count]), sum(near[count:]), len(near) - count
            is_crowd = others > 0 and 2 * a > count and _chance_of_closer(shares[:count], shares[count:]) < _CROWDED
            if shares[0] <= _AT_A_BOUND and is_crowd:
                yield (
                    name,
                    f"{name} = {best[0].params[name]:.3g} of the best trial lies at the {side} bound of "
                    f"{range_.low:g} … {range_.high:g}, near which are {a} of the {count} best and {b} of the {others} "
                    f"others: widen it beyond {bound:g}",
                )


def _has(name: str, parameter: Parameter, trial: Trial, range_: Float | Int) -> bool:
    return name in trial.params and _range(parameter, trial.params) == range_


def _chance_of_closer(best: Sequence[float], others: Sequence[float]) -> float:
    """Return the p-value of the best being closer to a bound than the others; distances are shares of the range."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(best, others, alternative="less").pvalue)


def _sides(range_: Float | Int, places: Sequence[float]) -> Iterator[tuple[str, float, list[float]]]:
    """Yield each bound that could be moved, and the distances of the trials from it, as shares of the range."""
    # Natural ends can't be moved: 0 for non-negative numbers, 1 for shares on a linear scale, and 1 as the first count.
    is_count = isinstance(range_, Int)
    if range_.low != 0 and not (is_count and range_.low == 1):
        yield "lower", range_.low, list(places)
    if is_count or range_.log or not (range_.high == 1 and range_.low >= 0):
        yield "upper", range_.high, [1 - place for place in places]


def _diverging(spec: SweepSpec, history: History, judged: Sequence[Trial]) -> Iterator[str]:
    """Yield warnings about settings with which trials diverge or fail clearly more often than without them."""
    ended = [trial for trial in history.search if trial.state != "running"]
    yield from _ending(spec, judged, "diverged", lambda trial: trial.diverged)
    yield from _ending(spec, ended, "failed", lambda trial: trial.state == "failed")


def _ending(spec: SweepSpec, trials: Sequence[Trial], how: str, ended_so: Callable[[Trial], bool]) -> Iterator[str]:
    settings = list(_settings(spec, trials, ended_so))
    for words, inside, outside in settings:
        a, b = sum(map(ended_so, inside)), sum(map(ended_so, outside))
        if a < _ENOUGH or not outside or _chance(a, len(inside), b, len(outside)) * len(settings) > _SURE:
            continue
        others = f"{b} of the {len(outside)} others" if b else f"none of the {len(outside)} others"
        found = f"{a} of {len(inside)} trials {how} ({a / len(inside):.0%}), {others}"
        yield f"with {words} {found}: leave it out, or narrow the range"


def _settings(
    spec: SweepSpec, judged: Sequence[Trial], ended_so: Callable[[Trial], bool]
) -> Iterator[tuple[str, list[Trial], list[Trial]]]:
    """Yield each setting that may make trials end this way, with the trials that have it and those that do not."""
    # A setting is a value of a choice, or a number's range from the lowest or up to the highest value that ended so.
    for name, parameter in spec.space.parameters.items():
        active = [trial for trial in judged if name in trial.params]
        diverged = [trial.params[name] for trial in active if ended_so(trial)]
        if isinstance(parameter, Constant) or not diverged:
            continue
        if isinstance(parameter, Choice):
            cuts = [(f"{name} = {as_text(value, None)}", {value}) for value in parameter.values]
        else:
            values = {trial.params[name] for trial in active}
            low, high = min(diverged), max(diverged)
            cuts = [
                (f"{name} of {low:.3g} and more", {value for value in values if value >= low}),
                (f"{name} of {high:.3g} and less", {value for value in values if value <= high}),
            ]
        for words, inside in cuts:
            having = [trial for trial in active if trial.params[name] in inside]
            yield words, having, [trial for trial in active if trial.params[name] not in inside]


def _chance(a: int, n: int, b: int, m: int) -> float:
    """Return the p-value of at least `a` of n and at most `b` of m if both have the same rate."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[a, n - a], [b, m - b]], alternative="greater").pvalue)


def _untried(spec: SweepSpec, history: History, judged: Sequence[Trial]) -> Iterator[str]:
    """Yield warnings about choices tried too seldom to judge, unless there are so few trials that this is expected."""
    for name, parameter in spec.space.parameters.items():
        if not isinstance(parameter, Choice):
            continue
        active = [trial.params[name] for trial in history.search if name in trial.params]
        if len(active) < 2 * _ENOUGH * len(parameter.values):
            continue
        for value in parameter.values:
            if (count := active.count(value)) < _ENOUGH:
                tried = f"in {count} of {len(active)} trials" if count else "never"
                setting = f"{name} = {as_text(value, None)}"
                yield f"{setting} was tried {tried}, too seldom to tell: add it to `start`, or leave it out"


def _rate_for_another_batch(spec: SweepSpec, history: History, judged: Sequence[Trial]) -> Iterator[str]:
    batch = spec.space.parameters.get(_BATCH)
    if batch is None or isinstance(batch, Constant):
        return
    varying = {name for name, p in spec.space.parameters.items() if not isinstance(p, Constant)}
    rate = next((name for name in _RATES if name in varying), None)
    if rate is None:
        yield f"{_BATCH} varies while the learning rate is fixed: the best rate depends on it, so let the rate vary too"
        return
    best = _best(spec, history)
    baseline = next((trial for trial in history.search if trial.key.number == BASELINE), None)
    if not best or baseline is None or _BATCH not in best[0].params:
        return
    size = best[0].params[_BATCH]

    def is_like_it(trial: Trial) -> bool:
        """Return whether a trial has the best size or, as those of a range rarely recur, one within 1.5 times."""
        other = trial.params.get(_BATCH)
        return other == size or (other is not None and not isinstance(batch, Choice) and 2 / 3 < other / size < 3 / 2)

    rates = {trial.params[rate] for trial in judged if rate in trial.params and is_like_it(trial)}
    if not is_like_it(baseline) and len(rates) < _ENOUGH:
        tried = f"{len(rates)} value of {rate} was" if len(rates) == 1 else f"{len(rates)} values of {rate} were"
        yield (
            f"the best trial has {_BATCH} = {size}, the baseline {baseline.params.get(_BATCH)}, but only {tried} tried "
            f"with such a size: tune the rate for it"
        )


def _still_rising(spec: SweepSpec, history: History, where: Mapping[str, str]) -> Iterator[str]:
    """Yield warnings that the search or the winner's training ended too early, measured by the noise between seeds."""
    selection = selection_of(spec, history)
    winner = selection.candidates[0] if selection and selection.winner is not None else None
    if selection is None or winner is None:
        return
    values = [*winner.values.values(), *(v for p in selection.published[:1] for v in p.values.values())]
    if len(values) < _ENOUGH:
        return
    noise = math.sqrt(variance_of(values))
    sign = 1 if spec.direction == "maximize" else -1
    if (late := _late_rise(spec, history)) > _BY_CHANCE_OF_TWO * noise:
        yield (
            f"the search was still finding better trials: by {late:.2g} in its last quarter, where seeds differ by "
            f"{noise:.2g}: `{to_resume(spec, where, *searching_on(spec, history).split())}`"
        )
    rises = [_end_rise(spec, run, sign) for run in history.selection if run.key.number == winner.number]
    known = [rise for rise in rises if rise is not None]
    is_at_its_bound = all(value in metric_bounds(spec, history) for value in winner.values.values())
    if not is_at_its_bound and len(known) >= _ENOUGH and (rise := mean_of(known)) > noise:
        yield (
            f"the winner was still getting better at its end: by {rise:.2g} in the last quarter of its training, where "
            f"seeds differ by {noise:.2g}: train longer"
        )


def _late_rise(spec: SweepSpec, history: History) -> float:
    """Return how much better the best of the last quarter of the trials is than all before, at equal fidelity."""
    # Trials are compared at the highest fidelity that both parts reached. Otherwise longer training of the later ones
    # would look like a rise.
    able = [trial for trial in history.search if trial.value(spec.metric) is not None]
    until = _LATE * len(history.search)
    early, late = ([t for t in able if (t.key.number < until) == is_early] for is_early in (True, False))
    if not early or not late:
        return 0.0
    level = min(max(m.fidelity for t in part for m in t.with_metric(spec.metric)) for part in (early, late))
    before, after = (min(e.loss for t in part if (e := entry(spec, t, level))) for part in (early, late))
    return before - after


def _end_rise(spec: SweepSpec, run: Trial, sign: int) -> float | None:
    """Return how much a complete run gained in its last quarter, or None if it made too few reports to tell."""
    reports = run.with_metric(spec.metric)
    if run.state != "complete" or len(reports) < 4:
        return None
    end = reports[-1]
    before = [m for m in reports if m.fidelity <= _LATE * end.fidelity]
    return sign * (end.values[spec.metric] - before[-1].values[spec.metric]) if before else None
