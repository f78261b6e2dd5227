"""Display of finished and running sweeps in the terminal: outcome, selection and trials as tables or as JSON."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from sweeps.commands import command
from sweeps.comparison import Comparison
from sweeps.digits import number
from sweeps.errors import OutcomeError, SpecError, SweepError
from sweeps.names import as_path
from sweeps.result import Result
from sweeps.returning import to_finish
from sweeps.search.ranges import measured_ranges
from sweeps.search.selection import Selection, selection_of
from sweeps.search.standing import shown_state
from sweeps.store.folders import list_folders, results_option
from sweeps.store.rows import dump_json
from sweeps.terminal.failures import failure_lines
from sweeps.terminal.outcome import difference, estimate, outcome_lines, searched_in_brief
from sweeps.terminal.progress import range_in_brief
from sweeps.terminal.streams import console, drop, say
from sweeps.terminal.tables import add_row, cell, records
from sweeps.terminal.trials import print_trial, ranked, trial_facts, trials_table

if TYPE_CHECKING:
    import pandas as pd


def summary(result: Result) -> dict[str, Any]:
    """Return a sweep in a few values, for `list` and for programs."""
    history = result.history
    states: dict[str, int] = {}
    for trial in history.search:
        state = shown_state(trial.state, result.state)
        states[state] = states.get(state, 0) + 1
    return {
        "name": result.name,
        "state": result.state,
        "trials": len(history.search),
        "asked_for": result.spec.trials,
        "states": states,
        "metric": result.spec.metric,
        "outcome": history.outcome,
        "resume": to_finish(result.spec, result.history, result.folder.where),
    }


def tell_outcome(result: Result) -> None:
    """Print the outcome in words, with the commands that come next, and the table of cells of a finished design."""
    if result.spec.design and result.history.outcome:
        console().print(_cells_table(result))
    for line in outcome_lines(result):
        say(line)


def tell_end(run: Callable[[], Result], *, as_json: bool) -> None:
    """Run a sweep and print its outcome.

    Args:
        run: Runs the sweep and returns its result.
        as_json: Whether to print nothing here, because the JSON lines of the run already hold the outcome.

    Raises:
        OutcomeError: If there is no winner; raised after the outcome is printed.
    """
    try:
        result = run()
    except OutcomeError as error:
        _tell_whatever_reads(error.result, as_json=as_json)
        raise
    _tell_whatever_reads(result, as_json=as_json)


def _tell_whatever_reads(result: Result, *, as_json: bool) -> None:
    """Print the outcome; only warn if standard output can't be written, since the sweep itself ended well."""
    try:
        if not as_json:
            tell_outcome(result)
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        drop(sys.stdout)
        text = f"the outcome can't be shown here ({error}): `{result.folder.command('show')}` shows it"
        with suppress(OSError, ValueError):
            say(f"warning: {text}", error=True)


def tell_list(results: Path, *, as_json: bool) -> None:
    """Print every sweep of a results folder on a line, or why it can't be read.

    Args:
        results: The results folder.
        as_json: Whether to print one JSON list instead of a table.

    Raises:
        SpecError: If `results` is a file and JSON is not asked for.
    """
    found: list[dict[str, Any]] = []
    for folder in list_folders(results):
        try:
            found.append(summary(Result(folder)))
        except SweepError as error:
            found.append({"name": folder.name, "error": str(error)})
    if as_json:
        say(dump_json(found))
        return
    if not found and as_path(results).is_file():
        raise SpecError(f"{results} is a file: give the folder that holds sweeps with --results")
    if not found:
        start = command("run", "quickstart", **results_option(results))
        say(f"no sweeps in {as_path(results).absolute()}: start one with `{start}`")
        return
    table = Table(box=None, header_style="bold")
    for title in ("name", "trials", "states", "result"):
        table.add_column(title, overflow="fold")
    for sweep in found:
        if "error" in sweep:
            add_row(table, sweep["name"], "", "", sweep["error"])
            continue
        states = ", ".join(f"{count} {state}" for state, count in sorted(sweep["states"].items()))
        told = _result_cell(sweep)
        add_row(table, sweep["name"], f"{sweep['trials']}/{sweep['asked_for']}", states, told)
    console().print(table)


def _result_cell(sweep: dict[str, Any]) -> str:
    outcome = sweep["outcome"]
    if sweep["state"] == "running":
        return "running"
    if sweep["state"] == "stopped":
        return f"stopped: `{sweep['resume']}` continues it"
    if "complete" in outcome:
        return f"{outcome['complete']} of {sweep['asked_for']} trials of a design compared"
    if outcome["winner"] is None:
        return "no winner"
    found = f"trial {outcome['winner']}, {outcome['metric']} {number(outcome['mean'])}"
    return found if outcome["basis"] == "evaluation" else f"{found}, not confirmed"


def tell_sweep(result: Result, *, as_json: bool, top: int | None = None, sort: str | None = None) -> None:
    """Print a sweep in full.

    Args:
        result: The sweep.
        as_json: Whether to print one JSON object instead of text and tables.
        top: How many trials to print, see `ranked`.
        sort: The order of the trials, see `ranked`.
    """
    trials = ranked(result, sort, top)
    if as_json:
        frames = {name: records(frame) for name, frame in _frames(result).items()}
        if top or sort:
            places = {trial.key.number: place for place, trial in enumerate(trials)}
            rows = (row for row in frames["trials"] if row["trial"] in places)
            frames["trials"] = sorted(rows, key=lambda row: places[row["trial"]])
        tests = list(measured_ranges(result.history).values())
        say(json.dumps({**json.loads(dump_json({**summary(result), "range_tests": tests})), **frames}))
        return
    tell_outcome(result)
    for found in measured_ranges(result.history).values():
        say(range_in_brief(found))
    if result.history.selection and (selection := selection_of(result.spec, result.history)):
        console().print(_selection_table(result, selection))
    console().print(trials_table(result, trials))
    for line in failure_lines(result.history.search, result.folder):
        say(line)


def tell_trial(result: Result, label: str, *, as_json: bool) -> None:
    """Print a trial or a range test in full; raise SpecError if there is none with that label."""
    tests = {key.label: found for key, found in measured_ranges(result.history).items()}
    if as_json:
        say(dump_json(tests.get(label) or trial_facts(result, label)))
    elif label in tests:
        say(range_in_brief(tests[label]))
    else:
        print_trial(result, label)


def _frames(result: Result) -> "dict[str, pd.DataFrame]":
    if result.spec.design:
        return {"trials": result.trials, "cells": result.cells}
    return {"trials": result.trials, "selection": result.selection}


_CELLS_TITLE = (
    "mean [95 % t interval] over seeds; differences from the first cell are paired by seed, * leaves out 0 "
    "(by chance in 1 of 20)"
)


def _cells_table(result: Result) -> Table:
    """Return the table of cells with means and paired differences; a star marks an interval that excludes zero."""
    metric = result.spec.metric
    table = Table(box=None, header_style="bold", title_justify="left", title=Text(_CELLS_TITLE))
    columns = ["cell", "n", metric, "difference", "rank", "s", "s/epoch"]
    has_protocols = len(result.spec.design.protocols if result.spec.design else ()) > 1
    has_test = any(effect.test for effect in result.effects)
    columns[1:1] = ["protocol"] if has_protocols else []
    columns += ["test accuracy"] if has_test else []
    for title in columns:
        table.add_column(title, no_wrap=title not in ("cell", "missing"))
    for e in result.effects:
        row = [e.cell, str(len(e.values)), estimate(e.mean), difference(e.difference), cell(e.rank)]
        row += [cell(e.seconds), cell(e.epoch_seconds)]
        row[1:1] = [e.protocol] if has_protocols else []
        row += [estimate(e.test)] if has_test else []
        add_row(table, *row)
        if e.missing:
            add_row(table, f"  {e.missing}")
    return table


def draw(result: Result | Comparison, path: Path) -> None:
    """Write the main figure to a file; raise SpecError if the kind of file is unknown or it can't be written."""
    from study.figures import save

    try:
        save(result.figure(), as_path(path))
    except (OSError, ValueError) as error:
        raise SpecError(f"the figure {path} can't be written: {error}") from error


def _selection_table(result: Result, selection: Selection) -> Table:
    title = "final selection on fresh seeds" + ("" if result.state == "over" else ", as it would end now")
    table = Table(title=title, box=None, header_style="bold", title_justify="left")
    cost = result.spec.selection.cost
    priced = [cost, "on the front"] if cost else []
    measured = ("rank", "trial", "mean", "n", "difference from the winner", "in the search")
    for title in (*measured, *priced, "decision", "reason"):
        table.add_column(title)
    for c in selection.candidates:
        numbers = (cell(c.rank), str(c.number), number(c.mean), cell(c.n), difference(c.difference))
        costs = [number(c.costs.get(cost)), "yes" if c.on_front else ""] if cost else []
        add_row(table, *numbers, searched_in_brief(result.spec, c), *costs, c.decision, c.reason)
    return table
