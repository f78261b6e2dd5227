"""A design in a report: paired differences from the reference, every run, numbers of each cell, and paths of cells."""

from collections.abc import Sequence

from study.figures.designs import Estimate, bundles_figure, differences_figure
from study.figures.vector import WIDTH, svg
from sweeps.design import BY_CLOCK
from sweeps.report import words
from sweeps.report.parts import Chart, Picture, Section, Table, without_blanks
from sweeps.search.effects import Effect, effects
from sweeps.search.history import History
from sweeps.search.path import steps
from sweeps.spec import SweepSpec
from sweeps.store.figures import FEW, difference_panels, run_panels

_LINE = 0.28  # inches of height per cell


def cells_section(spec: SweepSpec, history: History) -> Section | None:
    """Return the section of a design's cells and their differences, or None for a sweep that searches."""
    if spec.design is None:
        return None
    found = effects(spec, history)
    parts: list[Chart | Table] = []
    for place, (duration, estimates) in enumerate(difference_panels(spec, found)):
        if estimates:
            parts.append(_differences(spec, place, duration, estimates))
    return Section("cells", "The cells compared", parts=(*parts, _cells_table(spec, found)))


def _differences(spec: SweepSpec, place: int, duration: str, estimates: Sequence[Estimate]) -> Chart:
    assert spec.design is not None
    reference, better = spec.design.cells[0].name, "higher" if spec.direction == "maximize" else "lower"
    labels = [cell.name for cell in spec.design.cells[1:]]
    figure = differences_figure(
        [("", estimates)], labels=labels, reference=reference, metric=spec.metric, better=better, title=""
    )
    told = [f"{e.label} {words.difference(spec.metric, e.mean)} {words.better(spec, e.mean)}" for e in estimates]
    more = f" and {len(told) - 6} more" if len(told) > 6 else ""
    caption = (
        f"{words.named(spec.metric).capitalize()} minus that of {reference}, paired by seed, after {duration}, with "
        f"95 % intervals: {words.listed(told[:6]) if not more else ', '.join(told[:6])}{more}. "
        "A filled triangle leaves out zero; of twenty that differ by nothing one does."
    )
    picture = Picture(svg(figure, f"differences{place}", caption, (WIDTH, 1.0 + _LINE * len(labels))), duration)
    return Chart((picture,), caption)


def _cells_table(spec: SweepSpec, found: Sequence[Effect]) -> Table:
    has_protocols = len(spec.design.protocols if spec.design else ()) > 1
    head = ("cell", "protocol", "seeds", "mean (95 % interval)", "difference", "rank", "seconds", "test accuracy")
    rows = tuple(
        (
            e.cell,
            e.protocol if has_protocols else "",
            str(len(e.values)),
            words.estimate(spec.metric, e.mean),
            words.signed(spec.metric, e.difference),
            "–" if e.rank is None else str(e.rank),
            "–" if e.seconds is None else f"{e.seconds:.3g}",
            words.estimate("accuracy", e.test),
            e.missing,
        )
        for e in found
    )
    caption = "Each cell; differences are taken from the first, in pairs by seed"
    return without_blanks(Table((*head, "missing"), rows, caption))


def runs_section(spec: SweepSpec, history: History) -> Section | None:
    """Return the section of a design's runs, or None for a search, too many cells, or no measurement yet."""
    if spec.design is None or len(spec.design.cells) > FEW or not any(t.measurements for t in history.search):
        return None
    charts = []
    for place, (protocol, (duration, bundles)) in enumerate(
        zip(spec.design.protocols, run_panels(spec, history), strict=True)
    ):
        unit = "seconds" if protocol == BY_CLOCK else spec.fidelity_unit
        figure = bundles_figure([("", bundles)], metric=spec.metric, direction=spec.direction, units=[unit], title="")
        ends = [values[-1] for bundle in bundles for values in bundle.values if values]
        if not ends:
            continue
        caption = (
            f"{words.count(len(ends), 'run')} of {words.count(len(bundles), 'cell')}; they end between "
            f"{words.value(spec.metric, min(ends))} and {words.value(spec.metric, max(ends))}."
        )
        charts.append(Chart((Picture(svg(figure, f"runs{place}", caption, (WIDTH, 3.4)), duration),), caption))
    return Section("runs", "Every run", parts=tuple(charts))


def path_section(spec: SweepSpec, history: History) -> Section | None:
    """Return the section of the path from a baseline to a winner, one change a step.

    Args:
        spec: The spec of the design that walked the path.
        history: The history of that design.

    Returns:
        The section, or None if there is no step.
    """
    walked = steps(spec, history)[1:]
    if not walked:
        return None
    told = [
        f"{step.change} {words.difference(spec.metric, step.bought.mean)} {words.better(spec, step.bought.mean)}"
        for step in walked
        if step.bought is not None
    ]
    rows = tuple(
        (step.change, words.signed(spec.metric, step.bought), words.estimate(spec.metric, step.mean)) for step in walked
    )
    seeds = words.count(spec.design.seeds if spec.design else 0, "common seed")
    text = f"From the baseline to the winner, one change after another on {seeds}: {words.listed(told)}."
    table = Table(("change", "what it bought (95 % interval)", "mean after it"), rows, "Each change")
    return Section("path", "What each change bought", (text,), parts=(table,))
