"""How much of a selection a budget suffices for, and what is held back from the search for it: pure functions.

Where less is left than the selection takes: fewer seeds, down to one each; then fewer candidates; then the best of the
search on a published seed, without a choice; then nothing, so that it wins as it is and is not confirmed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sweeps.search.history import History
from sweeps.search.pace import pace, selection_costs, slots
from sweeps.sections import SelectionRule, Stage
from sweeps.spec import SweepSpec

# Of what a selection is estimated to take: what is held back for it, and what must be left when it begins.
_AHEAD, AT_HAND = 1.25, 1.05


def smaller(rule: SelectionRule) -> Iterator[SelectionRule]:
    """Yield the rule, then ever smaller ones, to one that trains nothing."""
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
    """Return the spec with the selection for which the budgets suffice, once that is recorded."""
    return spec if history.budgeted.fitted is None else with_rule(spec, history.budgeted.fitted)


@dataclass(frozen=True)
class Held:
    """Seconds of a budget that a stage leaves to the next ones; wait: those of them in which its trials may report."""

    seconds: float = 0.0
    wait: float = 0.0


def held_back(spec: SweepSpec, history: History, stage: Stage, most: float, *, of_workers: bool) -> Held:
    """Return what a stage leaves to the next ones, s: of wall-clock, or for which workers are held.

    From the search at most `most`, for the largest selection that fits into it; nothing as long as no trial reported.
    """
    usual = None if spec.design or stage == "publication" else pace(spec, history)
    if usual is None:
        return Held()
    at_a_time = None if of_workers else slots(history)
    if history.budgeted.fitted is not None:  # the search is over: how long it took says more than how long it would
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
    """How many candidates there will be, with the baseline; where no seed chooses, as few as can be published."""
    if not rule.chooses and rule.published_seeds == 1:
        return 1
    return min(max(rule.candidates, 1) + 1, trials)
