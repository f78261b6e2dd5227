"""Comparison of sweeps, as pure functions of their histories: the standing of each, and its regret over its course."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, NamedTuple

from study.config import TrialConfig
from sweeps.errors import SpecError
from sweeps.search.effects import effects
from sweeps.search.history import History
from sweeps.search.incumbent import best_so_far, epochs_trained
from sweeps.search.standing import is_over
from sweeps.spec import SweepSpec

Course = Literal["seconds", "epochs"]
COURSES: tuple[Course, ...] = ("seconds", "epochs")


class Entry(NamedTuple):
    """A sweep in a comparison: its name, its spec as extended, and the contents of its ledger."""

    name: str
    spec: SweepSpec
    history: History


@dataclass(frozen=True)
class Standing:
    """The standing of a sweep in a comparison.

    Attributes:
        sweep: The name of the sweep.
        best: The winner ("trial 20"), or the best cell of a design; None if there is none.
        mean: The metric of `best`, as the mean over `seeds`; those of a search are fresh to it if any fresh one was
            run.
        low: The lower end of the interval of `mean`, if it is known.
        high: The upper end of the interval of `mean`, if it is known.
        seeds: The number of seeds that `mean` is over.
        test_accuracy: The accuracy of `best` on the test set, if it was read.
        searched: The best value that the search has seen.
        trials: The number of trials of the search.
        epochs: The fidelity that was trained, summed over all trials.
        seconds: The wall-clock time of the sweep's sessions.
        missing: What is unknown, and why.
    """

    sweep: str
    best: str | None
    mean: float | None
    low: float | None
    high: float | None
    seeds: int | None
    test_accuracy: float | None
    searched: float | None
    trials: int
    epochs: float
    seconds: float
    missing: str


@dataclass(frozen=True)
class Regret:
    """The distance of a search from the best value that any of the compared sweeps has found.

    Attributes:
        sweep: The name of the sweep.
        over: The unit of `at`: seconds of the sweep's sessions, or epochs that it had trained.
        at: The moment.
        value: The sweep's best value so far; None before its first report and after its end.
        regret: The distance of `value` from the best of all; None if `value` is None.
    """

    sweep: str
    over: Course
    at: float
    value: float | None
    regret: float | None


def dataset_of(spec: SweepSpec) -> str | None:
    """Return the data set of a sweep over the study's models, or None for a function."""
    return None if spec.target else str(spec.training.get("dataset", TrialConfig.model_fields["dataset"].default))


def check_named(names: Sequence[str]) -> None:
    """Raise SpecError for fewer than two sweeps, or if one is named twice."""
    if len(names) < 2:
        raise SpecError(f"compare takes two sweeps or more, but got {names[0] if names else 'none'}: name another")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(f"compare: {twice!r} is named twice: keep one, since a sweep differs from itself in nothing")


def check_comparable(entries: Sequence[Entry]) -> None:
    """Raise SpecError if the values of the sweeps have no common scale."""
    first, *others = entries
    for entry in others:
        for what, of in (
            ("metric", attrgetter("metric")),
            ("direction", attrgetter("direction")),
            ("data set", dataset_of),
            ("unit of training", attrgetter("fidelity_unit")),
        ):
            if of(first.spec) != of(entry.spec):
                raise SpecError(
                    f"compare: the {what} of {entry.name!r} is {of(entry.spec)}, that of {first.name!r} is "
                    f"{of(first.spec)}, and no value of one says anything of the other: leave one out"
                )


def standing(entry: Entry) -> Standing:
    """Return a sweep's standing at its last row, whether it is running, stopped or over."""
    name, spec, history = entry
    found = _best_cell(entry) if spec.design else _winner(history)
    seen = best_so_far(spec, history)
    return Standing(
        sweep=name,
        **found._asdict(),
        searched=seen[-1].value if seen else None,
        trials=len(history.search),
        epochs=epochs_trained(history),
        seconds=history.worked,
        missing=_missing(spec, history, has_best=found.best is not None),
    )


class _Found(NamedTuple):
    """The findings of a sweep, with the fields of `Standing`."""

    best: str | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int | None = None
    test_accuracy: float | None = None


def _winner(history: History) -> _Found:
    outcome = history.outcome or {}
    if outcome.get("winner") is None:
        return _Found()
    mean, low, high, score = (outcome.get(name) for name in ("mean", "low", "high", "test_accuracy"))
    name = f"trial {outcome['winner']}" + ("" if outcome.get("basis") == "evaluation" else ", not confirmed")
    return _Found(name, mean, low, high, outcome["n"], score)


def _best_cell(entry: Entry) -> _Found:
    sign = 1 if entry.spec.direction == "maximize" else -1
    known = [(effect, effect.mean) for effect in effects(entry.spec, entry.history) if effect.mean]
    if not known:
        return _Found()
    cell, mean = max(known, key=lambda found: sign * found[1].mean)
    name = f"{cell.cell}, {cell.protocol}" if cell.protocol else cell.cell
    return _Found(name, mean.mean, mean.low, mean.high, mean.n, cell.test.mean if cell.test else None)


def _missing(spec: SweepSpec, history: History, *, has_best: bool) -> str:
    outcome = history.outcome
    if spec.design:
        # Its best cell is chosen by the same values that are reported for it.
        rule = "a design: the mean of its best cell is on its own seeds, not on fresh ones"
        return rule if outcome else f"not over; {rule}"
    if outcome is None:
        return "not over: no mean on fresh seeds yet"
    known = "" if has_best else f"no winner: {outcome['reason']}"
    return known if is_over(spec, history) else "; ".join(filter(None, ["it was continued since its outcome", known]))


def regrets(entries: Sequence[Entry]) -> list[Regret]:
    """Return each sweep's regret over seconds and over epochs, at moments that are common to all.

    The moments are all those at which any sweep improved or ended, so no step is lost between two moments.
    """
    paths = {entry.name: best_so_far(entry.spec, entry.history) for entry in entries}
    ends = {entry.name: (entry.history.worked, epochs_trained(entry.history)) for entry in entries}
    reached = [path[-1].value for path in paths.values() if path]
    if not reached:
        return []
    best = max(reached) if entries[0].spec.direction == "maximize" else min(reached)
    found = []
    for place, over in enumerate(COURSES):
        moments = sorted(
            {step[place] for path in paths.values() for step in path} | {end[place] for end in ends.values()}
        )
        for entry in entries:
            path = paths[entry.name]
            steps = [step[place] for step in path]
            for at in moments:
                index = bisect_right(steps, at) - 1
                value = path[index].value if index >= 0 and at <= ends[entry.name][place] else None
                found.append(Regret(entry.name, over, at, value, None if value is None else abs(value - best)))
    return found
