"""The largest selection that a budget suffices for, and what is held back from the search for it: pure functions.

If less is left than the selection takes, it is reduced in this order: fewer seeds, down to one each; then fewer
candidates; then the best of the search on a published seed, without a choice. The last resort is no training at all:
the best of the search then wins as it is and is not confirmed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sweeps.search.history import History
from sweeps.search.pace import pace, selection_costs, slots
from sweeps.sections import SelectionRule, Stage
from sweeps.spec import SweepSpec

# Multiples of a selection's estimated duration: held back for it, and required to be left when it begins.
_AHEAD, AT_HAND = 1.25, 1.05


def smaller(rule: SelectionRule) -> Iterator[SelectionRule]:
    """Yield the rule, then ever smaller ones, down to one that trains nothing."""
    most = max(rule.seeds * rule.chooses, rule.published_seeds)
    for seeds in range(most, 0, -1):
        yield _with(rule, rule.candidates, min(rule.seeds, seeds), min(rule.published_seeds, seeds))
    if rule.chooses:
        for candidates in range(rule.candidates - 1, 0, -1):
            yield _with(rule, candidates, 1, min(rule.published_seeds, 1))
        yield _with(rule, 0, 0, min(rule.published_seeds, 1))
    yield _with(rule, 0, 0, 0)


def _with(rule: SelectionRule, candidates: int, seeds: int, published_seeds: int) -> SelectionRule:
    return rule.model_copy(update={"candidates": candidates, "seeds": seeds, "published_seeds": published_seeds})


def with_rule(spec: SweepSpec, keys: Mapping[str, int]) -> SweepSpec:
    """Return the spec with other numbers of candidates and seeds."""
    return spec.model_copy(update={"selection": spec.selection.model_copy(update=dict(keys))})


def as_fitted(spec: SweepSpec, history: History) -> SweepSpec:
    """Return the spec with the selection that the budgets suffice for, once that is recorded."""
    return spec if history.budgeted.fitted is None else with_rule(spec, history.budgeted.fitted)


@dataclass(frozen=True)
class Held:
    """The seconds of a budget that a stage leaves to the next ones; in `wait` of them its trials may still report."""

    seconds: float = 0.0
    wait: float = 0.0


def held_back(spec: SweepSpec, history: History, stage: Stage, most: float, *, of_workers: bool) -> Held:
    """Return how much of a budget a stage leaves to the next ones, s.

    Args:
        spec: The spec of the sweep.
        history: The sweep's recorded history.
        stage: The stage.
        most: The most that is held back from the search, s. The largest selection that fits into it counts.
        of_workers: Whether to count seconds for which workers are held instead of wall-clock time.

    Returns:
        The seconds held back; none for a design, for the last stage, and before the first report.
    """
    usual = None if spec.design or stage == "publication" else pace(spec, history)
    if usual is None:
        return Held()
    at_a_time = None if of_workers else slots(history)
    if history.budgeted.fitted is not None:  # the search is over: fresh runs say more than its estimates
        fresh = [run.occupied for run in history.selection if run.state == "complete"]
        rule = as_fitted(spec, history).selection
        costs = selection_costs(rule, [max(fresh, default=usual.training)] * 2, at_a_time)
        return Held(AT_HAND * costs.of(stage))
    for rule in smaller(spec.selection):
        costs = selection_costs(rule, [usual.training] * _runs(rule, spec.trials), at_a_time)
        if costs.both and (seconds := _AHEAD * costs.both + usual.report) <= most:
            return Held(seconds, usual.report) if stage == "search" else Held(costs.publication)
    return Held()


def _runs(rule: SelectionRule, trials: int) -> int:
    """Return the number of candidates with the baseline; without a seed that chooses, as few as can be published."""
    if not rule.chooses and rule.published_seeds == 1:
        return 1
    return min(max(rule.candidates, 1) + 1, trials)
