"""Figures of sweeps: learning curves of a search; differences, ranks and runs of a design; regret of several sweeps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from study.files import replacing
from sweeps.design import BY_CLOCK
from sweeps.search.comparing import COURSES, Course, Entry, Regret
from sweeps.search.effects import Effect, effects
from sweeps.search.history import History, Trial
from sweeps.search.intervals import CONFIDENCE
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from study.figures import Bundle, Descent, Estimate

_WORDS = {  # for a winner's value, by the stage that it comes from
    "evaluation": "mean on fresh seeds",
    "selection": "not confirmed: mean on the seeds that chose",
    "search": "not confirmed: best of the search",
}
FEW = 7  # the most cells whose runs can be told apart in one figure


def figures(spec: SweepSpec, history: History) -> "Mapping[str, Figure]":
    """Return all figures of a sweep by name, the most informative one first."""
    if spec.design is None:
        return {"learning_curves": _learning_curves(spec, history)}
    found = effects(spec, history)
    drawn = {}
    if len(spec.design.cells) > 1:
        drawn["differences"] = _differences(spec, found)
    if len(spec.design.protocols) > 1 and len(spec.design.cells) > 1:
        drawn["ranks"] = _ranks(spec, found)
    if len(spec.design.cells) <= FEW:
        drawn["runs"] = _runs(spec, history)
    return drawn


def write_figures(folder: SweepFolder, spec: SweepSpec, history: History) -> None:
    """Write each figure of a design as PNG into the sweep's folder; a search is drawn only on request."""
    if spec.design is None:
        return
    from study.figures import save

    for name, figure in figures(spec, history).items():
        with replacing(folder.figure(name)) as temporary:
            save(figure, temporary, format="png")


def _learning_curves(spec: SweepSpec, history: History) -> "Figure":
    from study.figures import Curve, learning_curves

    curves = [
        Curve(t.key.label, [m.fidelity for m in t.with_metric(spec.metric)], _values(spec, t), t.state == "complete")
        for t in history.search
    ]
    outcome = history.outcome or {}
    winner = None if outcome.get("winner") is None else str(outcome["winner"])
    title = f"{spec.name}: {len(curves)} trial{'' if len(curves) == 1 else 's'}" + (
        f", {_WORDS[outcome['basis']]} {outcome['mean']:.4g}" if winner is not None else ""
    )
    return learning_curves(
        curves, winner, metric=spec.metric, direction=spec.direction, unit=spec.fidelity_unit, title=title
    )


def _values(spec: SweepSpec, trial: Trial) -> list[float]:
    return [m.values[spec.metric] for m in trial.with_metric(spec.metric)]


def _differences(spec: SweepSpec, found: list[Effect]) -> "Figure":
    from study.figures import differences_figure

    assert spec.design is not None
    return differences_figure(
        difference_panels(spec, found),
        labels=[cell.name for cell in spec.design.cells[1:]],
        reference=spec.design.cells[0].name,
        metric=spec.metric,
        better="higher" if spec.direction == "maximize" else "lower",
        title=f"{spec.name}: paired differences on {_seeds(spec)}, {CONFIDENCE:.0%} t intervals",
    )


def difference_panels(spec: SweepSpec, found: list[Effect]) -> "list[tuple[str, list[Estimate]]]":
    """Return the differences of a design's cells from its reference.

    Returns:
        For each protocol, how long the cells train and an estimate for each cell that has a difference.
    """
    from study.figures import Estimate

    assert spec.design is not None
    return [
        (
            _duration(spec, protocol),
            [
                Estimate(e.cell, e.difference.mean, e.difference.low, e.difference.high)
                for e in found
                if e.protocol == protocol and e.difference is not None
            ],
        )
        for protocol in spec.design.protocols
    ]


def _duration(spec: SweepSpec, protocol: str) -> str:
    """Return how long the cells train under a protocol, in words."""
    assert spec.design is not None
    if protocol == BY_CLOCK:
        return f"{spec.design.seconds:g} s of training"
    epochs = spec.design.epochs or spec.training.get("epochs")
    return f"{epochs} epoch{'' if epochs == 1 else 's'}" if epochs else "as configured"


def _seeds(spec: SweepSpec) -> str:
    assert spec.design is not None
    return f"{spec.design.seeds} common seed{'' if spec.design.seeds == 1 else 's'}"


def _ranks(spec: SweepSpec, found: list[Effect]) -> "Figure":
    from study.figures import ranks_figure

    assert spec.design is not None
    left, right = spec.design.protocols
    by_place = {(e.cell, e.protocol): e.rank for e in found}
    ranks = [
        (cell.name, before, after)
        for cell in spec.design.cells
        if (before := by_place[cell.name, left]) is not None and (after := by_place[cell.name, right]) is not None
    ]
    title = f"{spec.name}: ranks by mean {spec.metric.replace('_', ' ')} on {_seeds(spec)}"
    return ranks_figure(ranks, left=_duration(spec, left), right=_duration(spec, right), title=title)


def _runs(spec: SweepSpec, history: History) -> "Figure":
    from study.figures import bundles_figure

    assert spec.design is not None
    panels = run_panels(spec, history)
    units = ["seconds" if protocol == BY_CLOCK else spec.fidelity_unit for protocol in spec.design.protocols]
    title = f"{spec.name}: each run"
    return bundles_figure(panels, metric=spec.metric, direction=spec.direction, units=units, title=title)


def run_panels(spec: SweepSpec, history: History) -> "list[tuple[str, list[Bundle]]]":
    """Return all runs of a design's cells.

    Returns:
        For each protocol, how long the cells train and a bundle of runs for each cell.
    """
    assert spec.design is not None
    return [
        (_duration(spec, protocol), [_bundle(spec, history, cell.name, protocol) for cell in spec.design.cells])
        for protocol in spec.design.protocols
    ]


def _bundle(spec: SweepSpec, history: History, cell: str, protocol: str) -> "Bundle":
    from study.figures import Bundle

    assert spec.design is not None
    runs = []
    for trial in history.search:
        variant, _ = spec.design.place(trial.key.number)
        if (variant.cell, variant.protocol) == (cell, protocol):
            runs.append(trial)
    places = [[m.seconds if protocol == BY_CLOCK else m.fidelity for m in t.with_metric(spec.metric)] for t in runs]
    return Bundle(cell, places, [_values(spec, t) for t in runs])


def regret_of_sweeps(entries: Sequence[Entry], found: Sequence[Regret]) -> "Figure":
    """Draw how far each search was behind the best value of all, over its session time and its epochs."""
    from study.figures import regret_figure

    spec = entries[0].spec
    extreme = max if spec.direction == "maximize" else min
    reached = [regret.value for regret in found if regret.value is not None]
    labels = {
        "seconds": "time of the sweep's sessions (s)",
        "epochs": f"trained by all its trials ({spec.fidelity_unit})",
    }
    return regret_figure(
        [(labels[over], [_descent(entry.name, over, found) for entry in entries]) for over in COURSES],
        metric=spec.metric,
        reference=f"the best value that any of them has seen, {extreme(reached):.6g}"
        if reached
        else "nothing seen yet",
        title=", ".join(entry.name for entry in entries),
    )


def _descent(name: str, over: Course, found: Sequence[Regret]) -> "Descent":
    from study.figures import Descent

    steps = [(r.at, r.regret) for r in found if r.sweep == name and r.over == over and r.regret is not None]
    return Descent(name, [at for at, _ in steps], [regret for _, regret in steps])
