"""Parameters in a report: all trials across them, their importance, and the metric against each."""

from study.figures.designs import Estimate
from study.figures.search import Standing, Track, importance_figure, parallel_figure, slice_figure
from study.figures.vector import WIDTH, svg
from sweeps.report import words
from sweeps.report.axes import Axis, axes, standing, thinned
from sweeps.report.parts import Chart, Picture, Section, Table
from sweeps.search.history import History, Trial, TrialKey
from sweeps.search.importance import BY_CHANCE, NO_SHARE, Importance, importance
from sweeps.spec import SweepSpec

_MOST_TRACKS, _MOST_POINTS = 200, 250  # drawn at most: trials across all parameters, and points against each
_SMALL = (2.1, 1.8)  # inches, of a small multiple
_ROW = 0.36  # inches of height per parameter


def parallel_section(spec: SweepSpec, history: History, winner: int | None) -> Section | None:
    """Return the section of all trials across all parameters, or None if no parameter varies or there is no trial."""
    known = axes(spec, history)
    if not known or not history.search:
        return None
    drawn, thinning = thinned(history.search, _MOST_TRACKS, winner)
    tracks = [
        Track([a.place(t.params[a.name]) if a.name in t.params else None for a in known], standing(t, winner))
        for t in drawn
    ]
    figure = parallel_figure([a.scale(is_wide=True) for a in known], tracks)
    told = _across_in_words(spec, history, known, winner) + thinning
    picture = Picture(svg(figure, "parallel", told, (WIDTH, 0.3 + _ROW * len(known))))
    return Section("parameters", "Every trial across its parameters", parts=(Chart((picture,), told),))


def _across_in_words(spec: SweepSpec, history: History, known: list[Axis], winner: int | None) -> str:
    conditional = sum(bool(axis.condition) for axis in known)
    told = f"{words.count(len(history.search), 'trial')} across {words.count(len(known), 'parameter')}, a row each"
    if conditional:
        told += f"; {conditional} of them exist only under a condition, and a line has a gap where it is off"
    if winner is None:
        return f"{told}."
    texts = spec.space.texts(history.trials[TrialKey(winner)].params)
    own = words.settings({axis.name: texts[axis.name] for axis in known if axis.name in texts})
    return f"{told}. The winner, trial {winner}, has {own}."


def importance_section(spec: SweepSpec, history: History) -> Section | None:
    """Return the section of the parameters that decide the best trials, or None for a design or if none varies."""
    found = importance(spec, history)
    if not found:
        return None
    known = sorted((i for i in found if i.share is not None), key=lambda i: (-(i.share or 0.0), i.parameter))
    rows = tuple(
        (
            i.parameter,
            _percent(i.share),
            "–" if i.low is None else f"{_percent(i.low)} to {_percent(i.high)}",
            str(i.trials),
            i.condition,
            i.note,
        )
        for i in [*known, *(i for i in found if i.share is None)]
    )
    table = Table(("parameter", "share", "95 % interval", "trials", "judged where", "note"), rows, "Importance", "Data")
    if not known:
        return Section("importance", "What matters", (_unknown(found),), parts=(table,))
    told = _importance_in_words(found, known)
    by_chance = [i.parameter for i in known if i.note == BY_CHANCE]
    figure = importance_figure([Estimate(i.parameter, i.share or 0.0, i.low, i.high) for i in known], by_chance)
    picture = Picture(svg(figure, "importance", told, (WIDTH, 0.7 + 0.26 * len(known))))
    return Section("importance", "What matters", parts=(Chart((picture,), told, table),))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}\u00a0%"


def _importance_in_words(found: list[Importance], known: list[Importance]) -> str:
    shares = [
        f"{i.parameter} {_percent(i.share)}"
        + (f" ({_percent(i.low)} to {_percent(i.high)})" if i.low is not None else "")
        for i in [i for i in known if i.note != BY_CHANCE][:3]
    ]
    rest = f" {_unknown(found)}" if len(known) < len(found) else ""
    if not shares:
        return f"No parameter tells more of the order of the trials than chance does.{rest}"
    return (
        f"These tell more of the order of the trials than chance does, each by its share in what tells the best "
        f"from the others: {words.listed(shares)}.{rest}"
    )


def _unknown(found: list[Importance]) -> str:
    telling = [i.parameter for i in found if i.note == NO_SHARE]
    if not telling:
        return f"Nothing can be said yet of {words.listed([i.parameter for i in found if i.share is None])}."
    verb = "tells" if len(telling) == 1 else "tell"
    return (
        f"{words.listed(telling)} {verb} more of the order of the trials than chance does. No share is known, since "
        "the best trials hardly differ from all in what matters most."
    )


def slices_section(spec: SweepSpec, history: History, winner: int | None) -> Section | None:
    """Return the section of the metric against each parameter, or None if none varies or no trial has a value."""
    known = axes(spec, history)
    valued = [trial for trial in history.search if trial.value(spec.metric) is not None]
    if not known or not valued:
        return None
    drawn, thinning = thinned(valued, _MOST_POINTS, winner)
    pictures = tuple(_slice(spec, axis, place, drawn, valued, winner) for place, axis in enumerate(known))
    missing = len(history.search) - len(valued)
    told = (
        f"Upwards the last {words.named(spec.metric)} of each of {words.count(len(valued), 'trial')}: a cross where it "
        f"was stopped early, a ring where it came to the end"
        + (", a diamond for the winner" if winner is not None else "")
        + ". Values of trials that were stopped early come from less training. The worst tenth may lie outside."
        + (
            f" {words.count(missing, 'trial')} without a value {'is' if missing == 1 else 'are'} not shown."
            if missing
            else ""
        )
        + thinning
    )
    return Section("slices", "The metric against each parameter", parts=(Chart(pictures, told),))


def _slice(
    spec: SweepSpec, axis: Axis, place: int, drawn: list[Trial], valued: list[Trial], winner: int | None
) -> Picture:
    points: list[tuple[float, float, Standing]] = [
        (axis.spread(t.params[axis.name], t.key.number), t.value(spec.metric) or 0.0, standing(t, winner))
        for t in drawn
        if axis.name in t.params
    ]
    figure = slice_figure(axis.scale(is_wide=False), points, direction=spec.direction)
    return Picture(svg(figure, f"slice{place}", _slice_in_words(spec, axis, valued), _SMALL), axis.name)


def _slice_in_words(spec: SweepSpec, axis: Axis, valued: list[Trial]) -> str:
    sign = -1 if spec.direction == "maximize" else 1
    here = sorted((t for t in valued if axis.name in t.params), key=lambda t: sign * (t.value(spec.metric) or 0.0))
    if not here:
        return f"{axis.name}: no trial with a value has it"
    best = here[0]
    return (
        f"{words.named(spec.metric)} against {axis.name} in {words.count(len(here), 'trial')}; the best, trial "
        f"{best.key.label}, has {words.value(spec.metric, best.value(spec.metric))} at "
        f"{spec.space.texts(best.params)[axis.name]}"
    )
