"""A sweep that was enlarged, or whose choice was set anew: the spec as it stands, from the one it was started with."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.errors import SpecError
from sweeps.search.budgets import DEVICE_HOURS, TIME, TRIAL_TIME, may_go_on, spent
from sweeps.search.history import EXTENDED, SELECTED, History, Noted
from sweeps.sections import parse_duration
from sweeps.spec import SweepSpec, parse_spec

BUDGETS = ("trials", TIME, DEVICE_HOURS, TRIAL_TIME)  # what can be enlarged
_MORE = {TIME: "+10m", DEVICE_HOURS: "+1", TRIAL_TIME: "+1m"}  # what that may look like


def extension(spec: SweepSpec, more: Mapping[str, str | float | None]) -> Noted | None:
    """The row that gives a sweep more of its budgets, by key; None where nothing is added.

    SpecError where there is nothing that could be extended.
    """
    added = {key: _amount(key, amount) for key, amount in more.items() if amount is not None}
    if not added:
        return None
    for key in added:
        if key == "trials" and spec.design:
            raise SpecError(f"{spec.name!r} can't be extended by trials: a design says itself how many there are")
        if getattr(spec, key) is None:
            raise SpecError(f"{spec.name!r} can't be extended by {key}: it has no limit, so leave {key} out")
    return Noted(EXTENDED, added)


def _amount(key: str, given: str | float) -> float:
    try:
        amount: Any = parse_duration(given) if key in ("time", "trial_time") else given
    except ValueError as error:
        raise SpecError(f"{key}: {error}, but got {given!r}") from error
    if key == "trials" and not (type(amount) is int and amount >= 1):
        raise SpecError(f"trials: give a number of 1 or more, but got {given!r}")
    if not isinstance(amount, int | float) or not 0 < amount < math.inf:
        raise SpecError(f"{key}: must be more than 0, but got {given!r}")
    return float(amount) if key != "trials" else amount


def ended_by(spec: SweepSpec, history: History) -> list[str]:
    """The budgets that ended a search before its trials had all come to their end; [] also where that was by hand."""
    cut = [trial for trial in history.in_state("cut") if trial.key.stage == "search"]
    if history.is_closed or (len(history.search) == spec.trials and not cut):
        return []
    of_trials = [TRIAL_TIME] if any(not may_go_on(spec, trial) for trial in cut) else []
    return [*spent(spec, history, history.until, "search"), *of_trials]


def more_of(budgets: Sequence[str]) -> str:
    """The options of `sweeps resume` that enlarge these budgets."""
    return " ".join(f"--{name.replace('_', '-')} {_MORE[name]}" for name in budgets)


def searching_on(spec: SweepSpec, history: History) -> str:
    """The options with which a search that is over goes on with further trials."""
    budgets = spent(spec, history, history.until, "search")  # which the selection may have used up
    is_enough = budgets and len(history.search) < spec.trials  # any of them opens what was ended by hand
    trials = "" if is_enough else f"--trials +{max(spec.trials // 2, 1)}"
    return " ".join(filter(None, (more_of(budgets), trials)))


def selecting(spec: SweepSpec, history: History, rule: Mapping[str, Any]) -> Noted:
    """The row that ends a search and sets keys of [selection] anew; SpecError for a design or a key that is wrong."""
    if spec.design:
        raise SpecError(f"{spec.name!r} is a design, which compares its cells and chooses none: see `sweeps show`")
    given = {key: value for key, value in rule.items() if value is not None}
    _check_cost(_chosen_by(spec, given), history)
    return Noted(SELECTED, given)


def _check_cost(spec: SweepSpec, history: History) -> None:
    """What a function calls a cost is known once it has reported: SpecError where nothing has that name."""
    cost, reports = spec.selection.cost, [trial.last.values for trial in history.search if trial.last]
    if spec.target is None or cost is None or not reports or any(cost in values for values in reports):
        return
    names = sorted({name for values in reports for name in values} - {spec.metric})
    known = f"it reported {', '.join(names)}" if names else f"it reported nothing beside {spec.metric}"
    raise SpecError(f"select: selection.cost: {spec.target} has never reported {cost!r}: {known}")


def _chosen_by(spec: SweepSpec, rule: Mapping[str, Any]) -> SweepSpec:
    table = spec.to_table()
    return parse_spec({**table, "selection": {**table["selection"], **rule}}, "select")


def as_extended(spec: SweepSpec, history: History) -> SweepSpec:
    """The spec with all that was added to it and, of its selection, what was said last."""
    notes = [note.body for note in history.noted(EXTENDED)]
    if notes:
        spec = spec.extended({key: sum(body[key] for body in notes if key in body) for key in BUDGETS})
    rules = [note.body for note in history.noted(SELECTED)]
    return _chosen_by(spec, {key: value for rule in rules for key, value in rule.items()}) if rules else spec
