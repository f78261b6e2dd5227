"""The course of a search in a report: its best so far over time and over compute, and every learning curve."""

import math
from collections import Counter

from study.figures.curves import Curve, learning_curves
from study.figures.search import best_figure
from study.figures.vector import WIDTH, svg
from sweeps.report import words
from sweeps.report.axes import thinned
from sweeps.report.parts import Chart, Picture, Section, Table
from sweeps.search.history import History, Trial, TrialKey
from sweeps.search.incumbent import best_so_far
from sweeps.search.standing import State, shown_state
from sweeps.spec import SweepSpec

_MOST_CURVES = 200  # drawn at most
_MOST_ROWS = 60  # of a table at most
_SCALES = ((7200, 3600, "h"), (120, 60, "min"), (0, 1, "s"))  # least seconds, the unit in seconds, and its name


def best_section(spec: SweepSpec, history: History) -> Section | None:
    """Return the section of the best value so far, or None before the first finite value."""
    steps = best_so_far(spec, history)
    if not steps:
        return None
    values = [step.value for step in steps]
    spent = max(trial.moments[-1] for trial in history.search if trial.moments)
    _, scale, unit = next(known for known in _SCALES if spent >= known[0])
    epochs = _trained_by(history, max(trial.seqs[-1] for trial in history.search if trial.seqs))
    first, last = steps[0], steps[-1]
    fate = ", which failed" if history.trials[TrialKey(last.trial)].state == "failed" else ""
    gain = (
        f"The best {words.named(spec.metric)} of the search went from {words.value(spec.metric, first.value)} "
        f"(trial {first.trial}) to {words.value(spec.metric, last.value)} (trial {last.trial}{fate})"
    )
    over_time = f"{gain}; the last improvement came after {words.duration(last.seconds)} of {words.duration(spent)}."
    over_compute = (
        f"The last of {words.count(len(steps), 'best value')} came after {words.quantity(last.epochs)} of "
        f"{words.quantity(epochs)} {spec.fidelity_unit} that all trials were trained in sum."
    )
    times = [step.seconds / scale for step in steps]
    places = [step.epochs for step in steps]
    charts = (
        _best_chart(spec, [*times, spent / scale], values, "time", f"time of the search ({unit})", over_time),
        _best_chart(spec, [*places, max(epochs, places[-1])], values, "compute", _in_sum(spec), over_compute),
    )
    return Section("best", "Best so far", parts=charts)


def _trained_by(history: History, seq: int) -> float:
    """Return the fidelity that all trials had trained up to a row of the ledger, including runs on fresh seeds."""
    reached = (
        max((m.fidelity for m, at in zip(trial.measurements, trial.seqs, strict=True) if at <= seq), default=0.0)
        for trial in history.trials.values()
    )
    return math.fsum(reached)


def _in_sum(spec: SweepSpec) -> str:
    return f"{spec.fidelity_unit} trained, all trials in sum"


def _best_chart(spec: SweepSpec, places: list[float], values: list[float], name: str, along: str, told: str) -> Chart:
    figure = best_figure(places, [*values, values[-1]], along=along, metric=spec.metric)
    rows = tuple(
        (f"{place:.4g}", words.value(spec.metric, value)) for place, value in zip(places, values, strict=False)
    )
    few = rows if len(rows) <= _MOST_ROWS else rows[-_MOST_ROWS:]
    table = Table((along, f"best {words.named(spec.metric)}"), few, "Each improvement", "Data")
    return Chart((Picture(svg(figure, f"best-{name}", told, (WIDTH, 2.8))),), told, table)


def curves_section(spec: SweepSpec, history: History, winner: int | None, state: State) -> Section | None:
    """Return the section of the learning curves, or None before the first value of the metric."""
    measured = [trial for trial in history.search if trial.with_metric(spec.metric)]
    if not measured:
        return None
    drawn, thinning = thinned(measured, _MOST_CURVES, winner)
    curves = [
        Curve(
            trial.key.label,
            [m.fidelity for m in trial.with_metric(spec.metric)],
            [m.values[spec.metric] for m in trial.with_metric(spec.metric)],
            trial.state == "complete",
        )
        for trial in drawn
    ]
    figure = learning_curves(
        curves,
        None if winner is None else str(winner),
        metric=spec.metric,
        direction=spec.direction,
        unit=spec.fidelity_unit,
        title="",
    )
    told = _curves_in_words(spec, measured, winner) + thinning
    chart = Chart((Picture(svg(figure, "curves", told, (WIDTH, 3.6))),), told)
    return Section("curves", "Learning curves", parts=(chart, *_trials_table(spec, history.search, state)))


def _curves_in_words(spec: SweepSpec, measured: list[Trial], winner: int | None) -> str:
    complete = sum(trial.state == "complete" for trial in measured)
    early = Counter(round(t.last.fidelity, 3) for t in measured if t.last and t.state in ("paused", "pruned"))
    told = f"Of {words.count(len(measured), 'trial')} with a value, {complete:,} came to the end"
    if early:
        place, most = early.most_common(1)[0]
        where = spec.told(place)
        told += f" and {early.total():,} were stopped early, {most:,} of them at {where}"
    won = next((trial for trial in measured if trial.key.number == winner), None)
    if won is None or won.last is None:
        return f"{told}."
    end, after = words.value(spec.metric, won.value(spec.metric)), spec.told(won.last.fidelity)
    return f"{told}. The winner, trial {winner}, ends at {end} after {after}."


def _trials_table(spec: SweepSpec, trials: list[Trial], state: State) -> tuple[Table, ...]:
    """Return a table of all trials, or () if they are too many to read."""
    if len(trials) > _MOST_ROWS:
        return ()
    head = ("trial", "state", words.named(spec.metric), spec.fidelity_unit, "parameters", "why")
    rows = tuple(
        (
            trial.key.label,
            shown_state(trial.state, state),
            words.value(spec.metric, trial.value(spec.metric)),
            f"{trial.last.fidelity:.3g}" if trial.last else "–",
            words.settings(spec.space.texts(trial.params)),
            trial.reason.partition("\n")[0],
        )
        for trial in trials
    )
    return (Table(head, rows, "Trials of the search", f"All {words.count(len(rows), 'trial')}"),)
