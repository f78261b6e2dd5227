"""Display of the trials of a sweep in the terminal: as a table in a chosen order, or one trial in full."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from sweeps.digits import number
from sweeps.errors import SpecError
from sweeps.result import Result
from sweeps.returning import to_reproduce
from sweeps.search.history import Trial
from sweeps.search.standing import shown_state
from sweeps.store.folders import first_there
from sweeps.terminal.failures import log_of, why
from sweeps.terminal.progress import params_in_brief
from sweeps.terminal.streams import console, plain, say
from sweeps.terminal.tables import add_row, cell

COLUMNS = ("trial", "value", "seconds", "fidelity")
_MOST = 8  # digits of a value in the table of reports


def ranked(result: Result, sort: str | None = None, top: int | None = None) -> list[Trial]:
    """Return the trials of the search in an order; trials without a value to sort by come last.

    Args:
        result: The sweep.
        sort: A column, parameter or metric, smallest first, or "value", best first. A leading "-" reverses the order.
            By default, trials are sorted by number or, if `top` is given, as they rank for the winner.
        top: How many trials to return; all by default.

    Raises:
        SpecError: If the sweep has no such column, or `top` is below 1.
    """
    if top is not None and top < 1:
        raise SpecError(f"--top: give 1 or more, but got {top}")
    if sort is None and top is not None:
        return _for_the_winner(result)[:top]
    sort = sort or "trial"
    name = sort.removeprefix("-")
    keys = {trial.key: _key(result, trial, name) for trial in result.history.search}
    _check_column(result, name)
    known = [trial for trial in result.history.search if keys[trial.key] is not None]
    known.sort(key=lambda trial: keys[trial.key] or (), reverse=sort.startswith("-"))
    return [*known, *(trial for trial in result.history.search if keys[trial.key] is None)][:top]


def _for_the_winner(result: Result) -> list[Trial]:
    """Return the trials by last value, best first; if no fresh seed chooses, those with the highest fidelity lead."""
    trials = ranked(result, "value")
    trials.sort(key=lambda trial: trial.state == "failed")  # a failed trial can't win
    if result.spec.selection.chooses:
        return trials
    valued = [trial for trial in trials if trial.value(result.spec.metric) is not None]
    furthest = sorted(valued, key=lambda t: (t.state == "failed", -t.last.fidelity if t.last else 0.0))
    return [*furthest, *(trial for trial in trials if trial not in valued)]


def _check_column(result: Result, name: str) -> None:
    trials = result.history.search
    parameters = list(result.spec.space.parameters)
    metrics = dict.fromkeys(metric for t in trials if t.last for metric in t.last.values)
    if name not in (names := dict.fromkeys((*COLUMNS, *parameters, *metrics))):
        raise SpecError(f"--sort: the sweep has no column {name!r}: choose from {', '.join(names)}")


def _key(result: Result, trial: Trial, name: str) -> tuple[Any, ...] | None:
    """Return the sort key of a trial, or None if it has no value there."""
    found = _value(result, trial, name)
    if found is None or (isinstance(found, float) and math.isnan(found)):  # NaN has no place in an order
        return None
    return ("", found) if isinstance(found, int | float) else (type(found).__name__, str(found))


def _value(result: Result, trial: Trial, name: str) -> Any:
    spec, last = result.spec, trial.last
    if name == "trial":
        return trial.key.number
    if name in ("value", spec.metric):
        value = trial.value(spec.metric)
        return -value if value is not None and name == "value" and spec.direction == "maximize" else value
    if name in ("seconds", "fidelity"):
        return getattr(last, name) if last else None
    if name in trial.params:
        return trial.params[name]
    return last.values.get(name) if last else None


def trials_table(result: Result, trials: list[Trial]) -> Table:
    """Return a table with a row for each trial."""
    design = result.spec.design
    title = "trials of the design" if design else "trials of the search"
    table = Table(title=title, box=None, header_style="bold", title_justify="left")
    what = "cell" if design else "parameters"
    for column in ("trial", "state", result.spec.metric, result.spec.fidelity_unit, "s", what, "reason"):
        table.add_column(plain(column), no_wrap=column != what, overflow="ellipsis")
    for trial in trials:
        last = trial.last
        fidelity, seconds = (cell(last.fidelity), cell(last.seconds)) if last else ("-", "-")
        numbers = (number(trial.value(result.spec.metric)), fidelity, seconds)
        params = params_in_brief(result.spec.space.texts(trial.params))
        if design:
            variant, replicate = design.place(trial.key.number)
            params = ", ".join(filter(None, (variant.cell, variant.protocol, f"seed {replicate}")))
        add_row(table, trial.key.label, shown_state(trial.state, result.state), *numbers, params, why(trial))
    return table


def trial_facts(result: Result, label: str) -> dict[str, Any]:
    """Return everything about a trial as values for a program; raise SpecError if there is none with that label."""
    trial = result.trial(label)
    return {
        "trial": trial.key.label,
        "state": shown_state(trial.state, result.state),
        "reason": trial.reason,
        "parameters": result.spec.space.in_order(trial.params),
        "seed": trial.seed,
        "reports": [_report(m) for m in trial.measurements],
        "log": str(log_of(trial, result.folder)),
        "checkpoint": _checkpoint(result, trial),
        "traceback": trial.detail,
        "reproduce": to_reproduce(result.spec, result.folder.where, trial.key.label) if trial.measurements else None,
    }


def _report(measurement: Any) -> dict[str, Any]:
    places = {"report": measurement.report, "fidelity": measurement.fidelity, "seconds": measurement.seconds}
    return {**places, "metrics": dict(measurement.values), "digest": measurement.digest}


def _checkpoint(result: Result, trial: Trial) -> str | None:
    """Return where the trial's last checkpoint is, or None if there is none any more."""
    found = first_there(result.folder.written_checkpoints(trial), result.folder.store)
    return None if found is None else str(found)


def print_trial(result: Result, label: str) -> None:
    """Print a trial in full: parameters with all digits, reports, log, checkpoint, and how to reproduce it."""
    facts = trial_facts(result, label)
    reason = f" ({why(result.trial(label))})" if facts["reason"] else ""
    say(f"trial {facts['trial']} of {result.name}: {facts['state']}{reason}, seed {facts['seed']}")
    for name, value in facts["parameters"].items():
        say(f"  {name} = {value!r}")
    if facts["reports"]:
        console().print(_reports_table(facts["reports"]))
    say(f"log:        {facts['log']}{'' if Path(facts['log']).exists() else ' (not there)'}")
    say(f"checkpoint: {facts['checkpoint'] or 'none is kept'}")
    if facts["traceback"]:
        say(facts["traceback"].rstrip())
    if facts["reproduce"]:
        say(f"reproduce:  {facts['reproduce']}")


def _reports_table(reports: list[Mapping[str, Any]]) -> Table:
    metrics = list(dict.fromkeys(name for report in reports for name in report["metrics"]))
    table = Table(box=None, header_style="bold")
    for column in ("report", "fidelity", "s", *metrics):
        table.add_column(plain(column), overflow="fold")
    for report in reports:
        values = [report["metrics"].get(name) for name in metrics]
        numbers = (report["fidelity"], report["seconds"], *values)
        add_row(table, str(report["report"]), *("-" if n is None else f"{n:.{_MOST}g}" for n in numbers))
    return table
