"""The path from a sweep's baseline to its winner: a design that makes one change after another and measures each.

A change is a parameter together with everything that depends on it. A learning rate changes together with its
optimizer, because otherwise the new optimizer would train with the old one's rate. The changes come in the order of
their importance, which costs one cell per change. The original chooses each next change by trying all remaining ones,
which costs a quadratic number of cells. A function's trials end at the sweep's max_fidelity.

Source: Fawcett and Hoos, Analysing Differences Between Algorithm Configurations Through Ablation, Journal of Heuristics
22, 2016.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import FloatBy, Scalar
from search_spaces.texts import as_text
from sweeps.commands import command
from sweeps.design import Cell, Design
from sweeps.errors import SpecError
from sweeps.returning import to_resume
from sweeps.search.bounds import metric_bounds
from sweeps.search.effects import effects
from sweeps.search.history import History, TrialKey
from sweeps.search.importance import importance
from sweeps.search.intervals import Interval, paired
from sweeps.search.ranges import with_measured_space
from sweeps.spec import SweepSpec

BASELINE_CELL = "baseline"
_RATES, _OPTIMIZER = ("learning_rate", "lr"), "optimizer"


@dataclass(frozen=True)
class Step:
    """A change on the path, with its gain over the step before and the total gain over the baseline, paired by seed.

    Both are differences of the metric: if it is minimized, a value below 0 is better.
    """

    change: str
    mean: Interval | None
    bought: Interval | None
    so_far: Interval | None


def path_name(name: str) -> str:
    """Return the name of the sweep that walks a sweep's path."""
    return f"{name}-path"


def path_table(spec: SweepSpec, history: History, seeds: int) -> dict[str, Any]:
    """Return the table of the path's design.

    Raises:
        SpecError: The sweep is itself a design, has no winner, or its winner is the baseline.
    """
    if spec.design:
        raise SpecError(
            f"{spec.name!r} is a design, which has no winner to come to: see `{command('show', spec.name)}`"
        )
    winner = (history.outcome or {}).get("winner")
    if winner is None:
        raise SpecError(f"the sweep {spec.name!r} has no winner to come to: finish it with `{to_resume(spec, {})}`")
    spec = with_measured_space(spec, history)
    start, end = spec.baseline, history.trials[TrialKey(winner)].params
    cells = [Cell(name=BASELINE_CELL, params=dict(start)), *_cells(spec, history, start, end)]
    if len(cells) == 1:
        raise SpecError(f"the winner of {spec.name!r} is its baseline: there is no change between them")
    kept = {"metric", "direction", "target", "training", "resources", "retries", "seed"}
    table = {key: value for key, value in spec.to_table().items() if key in kept}
    full = {"max_fidelity": spec.max_fidelity} if spec.target and spec.max_fidelity else {}
    return {
        **table,
        "name": path_name(spec.name),
        "design": {"cells": [cell.model_dump() for cell in cells], "seeds": seeds, **full},
    }


def _cells(spec: SweepSpec, history: History, start: Mapping[str, Scalar], end: Mapping[str, Scalar]) -> Iterator[Cell]:
    """Yield each change on top of those before, together with everything that depends on its parameter."""
    made: dict[str, Scalar] = {}
    before = dict(start)
    for name in [one.parameter for one in importance(spec, history)] or list(spec.space.parameters):
        root = _root(spec, name, start, end)
        if root in made or start.get(root) == end.get(root):
            continue
        made |= {other: value for other, value in end.items() if _root(spec, other, start, end) == root}
        after = dict(spec.defaults_with(made))
        if after != before:
            yield Cell(name=_words(root, before, after), params=after)
        before = after


def _root(spec: SweepSpec, name: str, start: Mapping[str, Scalar], end: Mapping[str, Scalar]) -> str:
    """Return the parameter that another changes with: the outermost of its parents that differs, or itself."""
    parameter = spec.space.parameters[name]
    own = (_OPTIMIZER,) if name in _RATES and _OPTIMIZER in spec.space.parameters else ()
    by = (parameter.by,) if isinstance(parameter, FloatBy) else ()
    for parent in (*parameter.when, *by, *own):
        outer = _root(spec, parent, start, end)
        if start.get(outer) != end.get(outer):
            return outer
    return name


def _words(root: str, before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> str:
    """Return the change in words: the parameter itself, then everything that changed with it."""
    changed = [root, *(n for n in after if n != root and n in after and before.get(n) != after[n])]
    return ", ".join(f"{name}={as_text(after[name])}" for name in changed if name in after)


def leads_to_winner(design: Design, spec: SweepSpec, history: History) -> bool:
    """Return whether a design leads from this sweep's baseline to its current winner."""
    winner = (history.outcome or {}).get("winner")
    if winner is None:
        return False
    ends = design.cells[0].params, design.cells[-1].params
    return ends == (dict(with_measured_space(spec, history).baseline), dict(history.trials[TrialKey(winner)].params))


def steps(spec: SweepSpec, history: History) -> list[Step]:
    """Return the gain of each change of a path's design; the first step is the baseline, which has none."""
    found, bounds = effects(spec, history), metric_bounds(spec, history)
    walked = []
    for before, after in zip([None, *found], found, strict=False):
        bought = None if before is None else paired(after.values, before.values, bounds)
        walked.append(Step(after.cell, after.mean, bought, after.difference))
    return walked
