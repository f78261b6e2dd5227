"""Sweeps beside each other, as pure functions of their histories: how each stands, and its regret over its course."""

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
    """A sweep under comparison: its name, its spec as extended, and what its ledger holds."""

    name: str
    spec: SweepSpec
    history: History


@dataclass(frozen=True)
class Standing:
    """How a sweep stands.

    best: the winner ("trial 20"), or the best cell of a design; None where there is none. mean: the metric of it over
    so many seeds, those fresh to the search, with its interval where one is known. searched: the best value that the
    search has seen. epochs: fidelity trained, summed over all trials. seconds: wall-clock of its sessions. missing:
    what can't be told, and why.
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
    """How far a search was behind the best value that any of the compared has found.

    over, at: seconds of the sweep's sessions, or epochs that it had trained. value: its best so far. Both value and
    regret are None before the first report and after the sweep's end.
    """

    sweep: str
    over: Course
    at: float
    value: float | None
    regret: float | None


def dataset_of(spec: SweepSpec) -> str | None:
    """The data set of a sweep over the study's models, None for a function's."""
    return None if spec.target else str(spec.training.get("dataset", TrialConfig.model_fields["dataset"].default))


def check_named(names: Sequence[str]) -> None:
    """SpecError for fewer than two sweeps, and for one that is named twice."""
    if len(names) < 2:
        raise SpecError(f"compare takes two sweeps or more, but got {names[0] if names else 'none'}: name another")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(f"compare: {twice!r} is named twice: keep one, since a sweep differs from itself in nothing")


def check_comparable(entries: Sequence[Entry]) -> None:
    """SpecError for sweeps whose values have no common scale."""
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
    """How a sweep stands by its last row; it may be running, stopped or over."""
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
    """What a sweep has found, in the words of `Standing`."""

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
        # Its best cell is picked by the values that are told of it.
        rule = "a design: the mean of its best cell is on its own seeds, not on fresh ones"
        return rule if outcome else f"not over; {rule}"
    if outcome is None:
        return "not over: no mean on fresh seeds yet"
    known = "" if has_best else f"no winner: {outcome['reason']}"
    return known if is_over(spec, history) else "; ".join(filter(None, ["it has gone on since its outcome", known]))


def regrets(entries: Sequence[Entry]) -> list[Regret]:
    """Each sweep's regret over seconds and over epochs, at moments that are common to all.

    The moments are all those at which any of them became better or ended, so that no step is lost between two.
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
