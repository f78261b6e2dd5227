"""Pruning in a report: how many trials reached and passed each rung, and an estimate of the training it saved."""

import math
from collections import defaultdict

from study.figures.search import rungs_figure
from study.figures.vector import WIDTH, svg
from sweeps.report import words
from sweeps.report.parts import Chart, Picture, Section, Table
from sweeps.search.history import DIVERGED, History, Trial
from sweeps.spec import SweepSpec

_MOST_RUNGS = 10  # rungs that fit a figure; the median rule has a rung at every multiple


def rungs_section(spec: SweepSpec, history: History) -> Section | None:
    """Return the section of the rungs of a search, or None if no decision was made at one."""
    levels: dict[float, list[bool]] = defaultdict(list)  # by fidelity, whether each trial that came there continued
    for trial in history.search:
        for rung, decided in trial.decided.items():
            if rung != DIVERGED:
                levels[decided.level].append(decided.verdict in ("continue", "promote"))
    if not levels:
        return None
    counts = [(level, len(came), sum(came)) for level, came in sorted(levels.items())]
    shown = counts[:_MOST_RUNGS]
    told = _in_words(spec, counts) + (f" Drawn are the first {_MOST_RUNGS} rungs." if len(shown) < len(counts) else "")
    names = [f"{level:.3g}" for level, _, _ in shown]
    figure = rungs_figure(names, [came for _, came, _ in shown], [on for *_, on in shown], unit=spec.fidelity_unit)
    rows = tuple((spec.told(level), str(came), str(on), str(came - on)) for level, came, on in counts)
    table = Table(("rung at", "reached it", "went on", "stopped there"), rows, "Trials at each rung", "Data")
    chart = Chart((Picture(svg(figure, "rungs", told, (WIDTH, 2.8))),), told, table)
    return Section("rungs", "What pruning did", (_saved_in_words(spec, history),), parts=(chart,))


def _in_words(spec: SweepSpec, counts: list[tuple[float, int, int]]) -> str:
    steps = [f"{on:,} of {came:,} went on past {spec.told(level)}" for level, came, on in counts[:4]]
    return f"Of the trials that reached a rung, {words.listed(steps)}."


def saved_hours(spec: SweepSpec, history: History) -> tuple[float, float, int] | None:
    """Estimate the device-hours that pruning saved, compared with training all trials to full fidelity.

    The missing training of a trial is assumed to cost as much per epoch as its own training so far.

    Returns:
        Device-hours saved, device-hours that the search spent, and the number of stopped trials in the estimate.
        None if the full fidelity is not known, or a clock ends the trials.
    """
    full = spec.max_fidelity
    if full is None or "seconds" in {*spec.training, *spec.space.parameters}:
        return None
    stopped = [t for t in history.search if t.state in ("paused", "pruned") and not t.diverged]
    saved = [cost for trial in stopped if (cost := _lacking(trial, full)) is not None]
    devices = spec.devices("search")
    spent = math.fsum(trial.last.seconds for trial in history.search if trial.last)
    return math.fsum(saved) * devices / 3600, spent * devices / 3600, len(saved)


def _lacking(trial: Trial, full: float) -> float | None:
    """Return the seconds of training missing to full fidelity, or None before the first report."""
    last = trial.last
    if last is None or not last.fidelity:
        return None
    return max(0.0, full - last.fidelity) * last.seconds / last.fidelity


def _saved_in_words(spec: SweepSpec, history: History) -> str:
    found = saved_hours(spec, history)
    if found is None:
        return "What pruning saved can't be estimated: no number of epochs says when a trial is complete."
    saved, spent, stopped = found
    if not saved + spent:
        return "What pruning saved can't be estimated: no time of training was recorded."
    return (
        f"Pruning stopped {words.count(stopped, 'trial')} early. The search trained for {words.hours(spent)}; to train "
        f"all of them to {spec.max_fidelity:g} {spec.fidelity_unit} would have taken about {words.hours(saved)} more, "
        f"{100 * saved / (saved + spent):.0f} % of the whole. This is an estimate: what a trial lacks is taken to cost "
        f"as much per {spec.fidelity_unit.removesuffix('s')} as that trial's own training did."
    )
