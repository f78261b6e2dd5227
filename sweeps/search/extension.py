"""The current spec of a sweep that was extended or given another selection rule, from the spec it was started with."""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps.errors import SpecError
from sweeps.search.budgets import BY_HAND, DEVICE_HOURS, TIME, TRIAL_TIME, ended, may_go_on, spent
from sweeps.search.history import History, Noted, TrialKey
from sweeps.search.notes import EXTENDED, RETRY, SELECTED
from sweeps.sections import parse_duration
from sweeps.spec import SweepSpec, parse_spec

BUDGETS = ("trials", TIME, DEVICE_HOURS, TRIAL_TIME)  # the keys that can be enlarged
_LONGEST = 80  # characters of a value that an error message shows
_MORE = {TIME: "+10m", DEVICE_HOURS: "+1", TRIAL_TIME: "+1m"}  # examples of amounts, for hints


@dataclass(frozen=True)
class Changes:
    """Changes to a sweep before it continues.

    Attributes:
        wanted: The spec that the sweep should have; its budgets may only be larger than the recorded ones.
        more: Amounts to add to the budgets, by key.
        rule: Keys of [selection] with which to end the search and choose the winner.
        retry_failed: Whether failed trials run again.
    """

    wanted: SweepSpec | None = None
    more: Mapping[str, str | float | None] = field(default_factory=dict)
    rule: Mapping[str, Any] | None = None
    retry_failed: bool = False

    def rows(self, first: SweepSpec, history: History) -> Iterator[Noted]:
        """Yield the rows that record the changes; each must be applied to the history before the next is requested.

        Args:
            first: The spec that the sweep was started with.
            history: The history of all its rows.

        Raises:
            SpecError: A change is impossible.
        """
        spec = as_extended(first, history)
        more = self.more if self.wanted is None else grown(first, history, self.wanted)
        if (extended := extension(spec, more)) is not None:
            spec = spec.extended(extended.body)  # raises SpecError for an invalid result before it is recorded
            yield extended
        if self.rule is not None:
            yield selecting(spec, history, self.rule)
        if self.retry_failed and (again := retry(as_extended(first, history), history)) is not None:
            yield again

    def in_words(self, rows: Sequence[Noted]) -> str:
        """Return a description of the rows' changes for the user, or "" if there is nothing to say."""
        said = []
        for row in rows:
            match row.kind:
                case "extended":
                    said.append(f"extended by {', '.join(f'{key} {more:g}' for key, more in row.body.items())}")
                case "retry":
                    labels = [TrialKey(*key).label for key in row.body["trials"]]
                    said.append(f"these trials failed and run again: {', '.join(labels)}")
        if self.retry_failed and not any(row.kind == RETRY for row in rows):
            said.append("no trial has failed, so that there is none to run again")
        return "; ".join(said)


def grown(first: SweepSpec, history: History, wanted: SweepSpec) -> dict[str, float]:
    """Return how much more of each budget a wanted spec has than the sweep; {} for a spec that the sweep has had.

    Raises:
        SpecError: A key differs in any other way. A value that the key had before does not count as a difference.
    """
    had = [_keys(spec) for spec in _specs(first, history)]
    asked, now = _keys(wanted), had[-1]
    added, differing = dict[str, float](), list[str]()
    for key in [*now, *(key for key in asked if key not in now)]:
        value, last = asked.get(key), now.get(key)
        if any(_is_same(value, before.get(key)) for before in had):
            continue
        if key in BUDGETS and value is not None and last is not None and value > last:
            added[key] = value - last
        else:
            differing.append(f"{key}: {_brief(last)} → {_brief(value)}")
    if differing:
        raise SpecError(
            f"{wanted.name!r} is recorded with another spec ({'; '.join(differing)}): only {', '.join(BUDGETS)} may "
            "grow; set back what differs, or give the sweep another name"
        )
    return added


def _specs(first: SweepSpec, history: History) -> Iterator[SweepSpec]:
    """Yield every spec that a sweep has had, the current one last."""
    spec = first
    yield spec
    for _, note in history.notes:
        if note.kind in (EXTENDED, SELECTED):
            spec = spec.extended(note.body) if note.kind == EXTENDED else _chosen_by(spec, note.body)
            yield spec


def _keys(spec: SweepSpec) -> dict[str, Any]:
    """Return the values of a spec by key, those of its tables as "table.key", without its name."""
    flat = dict[str, Any]()
    for key, value in spec.to_table().items():
        flat |= {f"{key}.{inner}": own for inner, own in value.items()} if isinstance(value, Mapping) else {key: value}
    del flat["name"]
    return flat


def _is_same(value: object, other: object) -> bool:
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-12)  # a budget is a sum of added amounts, which may be rounded
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)


def _brief(value: object) -> str:
    text = "none" if value is None else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def extension(spec: SweepSpec, more: Mapping[str, str | float | None]) -> Noted | None:
    """Return the row that adds to the budgets of a sweep.

    Args:
        spec: The current spec of the sweep.
        more: The amounts to add, by key; None adds nothing.

    Returns:
        The row, or None if nothing is added.

    Raises:
        SpecError: An amount is invalid, the sweep has no such budget, or trials are added to a design.
    """
    added = {key: _amount(key, amount) for key, amount in more.items() if amount is not None}
    if not added:
        return None
    for key in added:
        if key == "trials" and spec.design:
            raise SpecError("the sweep can't be extended by trials: a design says itself how many there are")
        if getattr(spec, key) is None:
            raise SpecError(f"the sweep can't be extended by {key}: it has no limit, so leave {key} out")
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
    """Return the budgets that ended a search before all its trials ended, or [] if none did or it was ended by hand."""
    cut = [trial for trial in history.in_state("cut") if trial.key.stage == "search"]
    if history.is_closed or (len(history.search) == spec.trials and not cut):
        return []
    of_trials = [TRIAL_TIME] if any(not may_go_on(spec, trial) for trial in cut) else []
    closed = history.budgeted.closed_by  # a quick selection may have left more of this budget than was held back
    closing = [closed] if closed else []
    return list(dict.fromkeys([*closing, *spent(spec, history, history.until, "search"), *of_trials]))


def more_of(budgets: Sequence[str]) -> str:
    """Return the options of `sweeps resume` that enlarge these budgets."""
    return " ".join(f"--{name.replace('_', '-')} {_MORE[name]}" for name in budgets)


def searching_on(spec: SweepSpec, history: History) -> str:
    """Return the options with which a finished search continues with further trials."""
    budgets = spent(spec, history, history.until, "search")  # the selection may have used these up
    is_enough = budgets and len(history.search) < spec.trials  # any of them reopens a search ended by hand
    trials = "" if is_enough else f"--trials +{max(spec.trials // 2, 1)}"
    return " ".join(filter(None, (more_of(budgets), trials)))


def selecting(spec: SweepSpec, history: History, rule: Mapping[str, Any]) -> Noted:
    """Return the row that ends a search and changes keys of [selection].

    Raises:
        SpecError: The sweep is a design, or a key is invalid.
    """
    if spec.design:
        raise SpecError(f"{spec.name!r} is a design, which compares its cells and chooses none: see `sweeps show`")
    given = {key: value for key, value in rule.items() if value is not None}
    _check_cost(_chosen_by(spec, given), history)
    return Noted(SELECTED, given)


def retry(spec: SweepSpec, history: History) -> Noted | None:
    """Return the row that lets failed trials run again, or None if none failed.

    Raises:
        SpecError: The stages of all failed trials have ended, by a budget or by hand.
    """
    failed = history.in_state("failed")
    over = ended(spec, history, history.until)
    able = [trial for trial in failed if not over.of(trial.key.stage)]
    if failed and not able:
        why = over.of(failed[0].key.stage) or ""
        remedy = f"add {searching_on(spec, history)}" if why == BY_HAND else f"add {more_of([why])}"
        what = "the search was ended by hand" if why == BY_HAND else f"nothing is left of its {why}"
        raise SpecError(f"{spec.name!r} can't retry trial {failed[0].key.label}: {what}; {remedy}")
    if not able:
        return None
    keys = [trial.key for trial in able]
    return Noted(RETRY, {"trials": [*map(list, keys)], "from_start": [*map(list, from_start(spec, history, keys))]})


def from_start(spec: SweepSpec, history: History, again: Collection[TrialKey]) -> list[TrialKey]:
    """Return the trials that restart from scratch if `again` are retried, because none of their reports has the metric.

    If one of `again` had reported, its code never reports the metric. Running and cut trials without the metric come
    from the same code and restart too.
    """
    blank = [trial for trial in history.trials.values() if trial.valued(spec.metric) is None]
    is_of_the_code = any(trial.measurements for trial in blank if trial.key in again)
    open_too = ("running", "cut") if is_of_the_code else ()
    return [trial.key for trial in blank if trial.key in again or trial.state in open_too]


def _check_cost(spec: SweepSpec, history: History) -> None:
    """Raise SpecError if a function has reported, but never a value with the name of the cost."""
    # The names of a function's costs are unknown before its first report.
    cost, reports = spec.selection.cost, [m.values for trial in history.search for m in trial.measurements]
    if spec.target is None or cost is None or not reports or any(cost in values for values in reports):
        return
    names = sorted({name for values in reports for name in values} - {spec.metric})
    known = f"it reported {', '.join(names)}" if names else f"it reported nothing but {spec.metric}"
    raise SpecError(f"select: selection.cost: {spec.target} has never reported {cost!r}: {known}")


def _chosen_by(spec: SweepSpec, rule: Mapping[str, Any]) -> SweepSpec:
    table = spec.to_table()
    return parse_spec({**table, "selection": {**table["selection"], **rule}}, "select")


def as_extended(spec: SweepSpec, history: History) -> SweepSpec:
    """Return the spec with all recorded extensions and, for each key of [selection], the last recorded value."""
    notes = [note.body for note in history.noted(EXTENDED)]
    if notes:
        spec = spec.extended({key: sum(body[key] for body in notes if key in body) for key in BUDGETS})
    rules = [note.body for note in history.noted(SELECTED)]
    return _chosen_by(spec, {key: value for rule in rules for key, value in rule.items()}) if rules else spec
