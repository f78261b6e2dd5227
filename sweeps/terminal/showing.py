"""Finished and running sweeps in the terminal: outcome, selection and trials as tables, or as JSON."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweeps.errors import SpecError, SweepError
from sweeps.result import Result
from sweeps.search.effects import Interval
from sweeps.search.ranges import FAILURE_NOTE, measured_ranges
from sweeps.store.folders import list_folders
from sweeps.store.rows import dump_json
from sweeps.terminal.progress import params_in_brief, range_in_brief

if TYPE_CHECKING:
    import pandas as pd


def _console() -> Console:
    """Piped output gets long lines, not lines broken at 80 columns."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _add_row(table: Table, *cells: str) -> None:
    """Add a row as it is: in what users write, square brackets are no markup."""
    table.add_row(*(Text(cell) for cell in cells))


def summary(result: Result) -> dict[str, Any]:
    """A sweep in a few values, for `list` and for programs."""
    history = result.history
    states: dict[str, int] = {}
    for trial in history.search:
        states[trial.state] = states.get(trial.state, 0) + 1
    return {
        "name": result.name,
        "trials": len(history.search),
        "asked_for": result.spec.trials,
        "states": states,
        "metric": result.spec.metric,
        "outcome": history.outcome,
    }


def tell_outcome(result: Result) -> None:
    """The outcome in words, with the commands that come next."""
    if result.spec.design and result.history.outcome:
        _console().print(_cells_table(result))
    for line in outcome_lines(result):
        _console().print(line, soft_wrap=True, markup=False, highlight=False)


def tell_end(result: Result, *, as_json: bool) -> None:
    """Tell the outcome of a sweep that has just run, unless JSON told it; SweepError where no trial survived."""
    if not as_json:
        tell_outcome(result)
    outcome = result.history.outcome or {}
    if result.spec.design and outcome["complete"] < result.spec.trials:
        raise SweepError(
            f"the sweep {result.name!r} is not whole: {outcome['reason']}; see `sweeps show {result.name}`"
        )
    if result.spec.design is None and outcome.get("winner") is None:
        raise SweepError(f"the sweep {result.name!r} ended without a winner: {outcome['reason']}")


def outcome_lines(result: Result) -> list[str]:
    """The outcome in words, a line each."""
    outcome = result.history.outcome
    if outcome is None:
        lines = [f"the sweep {result.name!r} is not over: go on with `sweeps resume {result.name}`"]
        return lines + [f"failed before: {note.body['reason']}" for note in result.history.noted(FAILURE_NOTE)]
    if result.spec.design:
        figures = ", ".join(path.name for path in sorted(result.folder.path.glob("*.png")))
        stored = [note.body["experiment"] for note in result.history.noted("scored")]
        return [
            f"{outcome['complete']} of {result.spec.trials} trials came to their end",
            *([f"models: {', '.join(stored)} in {result.folder.results}"] if stored else []),
            f"tables: {result.folder.path}/*.parquet, figures: {figures}",
            f"check:  sweeps reproduce {result.name} --trial 0{_results_option(result)}",
        ]
    if outcome["winner"] is None:
        return [f"no winner: {outcome['reason']}", *_time_was_over(result)]
    metric, winner = outcome["metric"], outcome["winner"]
    baseline = outcome["baseline_mean"]
    against = (
        "it is the baseline" if winner == 0 else f"the baseline has {baseline:.4f}" if baseline is not None else ""
    )
    seeds = f"{outcome['seeds']} fresh seed{_s(outcome['seeds'])}"
    lines = [
        f"winner: trial {winner}, mean {metric} {outcome['mean']:.4f} on {seeds}"
        + (f" ({against})" if against else ""),
        f"        {params_in_brief(result.spec.space.in_order(result.trial(winner).params))}",
    ]
    if "test_accuracy" in outcome:
        lines.append(f"test set, read once: accuracy {outcome['test_accuracy']:.4f}, loss {outcome['test_loss']:.4f}")
        lines.append(f"model:  {result.experiment}")
    lines += _time_was_over(result)
    lines.append(f"tables: {result.folder.path}/*.parquet")
    lines.append(f"check:  sweeps reproduce {result.name}{_results_option(result)}")
    return lines


MORE = {"time": "+10m", "device_hours": "+1", "trial_time": "+1m"}  # what an extension of each may look like


def _time_was_over(result: Result) -> list[str]:
    """Said where a budget ended the search before its trials were all there."""
    cut = [trial for trial in result.history.search if trial.state == "cut"]
    begun = len(result.history.search)
    if begun == result.spec.trials and not cut:
        return []
    names = sorted({trial.reason for trial in cut} or {name for name in ("time", "device_hours") if _has(result, name)})
    more = " ".join(f"--{name.replace('_', '-')} {MORE[name]}" for name in names)
    ended = f"{' and '.join(names)} ended after {begun} of {result.spec.trials} trials, {len(cut)} of them cut"
    return [f"{ended}: `sweeps resume {result.name} {more}` goes on"]


def _has(result: Result, budget: str) -> bool:
    return getattr(result.spec, budget) is not None


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _results_option(result: Result) -> str:
    return "" if result.folder.results == Path("results").absolute() else f" --results {result.folder.results}"


def tell_list(results: Path, *, as_json: bool) -> None:
    """Every sweep of a results folder on a line; one that can't be read says why."""
    found: list[dict[str, Any]] = []
    for folder in list_folders(results):
        try:
            found.append(summary(Result(folder)))
        except SweepError as error:
            found.append({"name": folder.name, "error": str(error)})
    if as_json:
        print(dump_json(found))
        return
    if not found:
        print(f"no sweeps in {Path(results).absolute()}: start one with `sweeps run quickstart`")
        return
    table = Table(box=None, header_style="bold")
    for title in ("name", "trials", "states", "result"):
        table.add_column(title, overflow="fold")
    for sweep in found:
        if "error" in sweep:
            _add_row(table, sweep["name"], "", "", sweep["error"])
            continue
        states = ", ".join(f"{count} {state}" for state, count in sorted(sweep["states"].items()))
        _add_row(table, sweep["name"], f"{sweep['trials']}/{sweep['asked_for']}", states, _result_cell(sweep))
    _console().print(table)


def _result_cell(sweep: dict[str, Any]) -> str:
    outcome = sweep["outcome"]
    if outcome is None:
        return "not over"
    if "complete" in outcome:
        return f"{outcome['complete']} of {sweep['asked_for']} trials of a design compared"
    if outcome["winner"] is None:
        return "no winner"
    return f"trial {outcome['winner']}, mean {outcome['metric']} {outcome['mean']:.4f}"


def tell_sweep(result: Result, *, as_json: bool) -> None:
    """One sweep in full."""
    if as_json:
        frames = {
            name: json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))
            for name, frame in _frames(result).items()
        }
        tests = list(measured_ranges(result.history).values())
        print(json.dumps({**json.loads(dump_json({**summary(result), "range_tests": tests})), **frames}))
        return
    tell_outcome(result)
    for found in measured_ranges(result.history).values():
        print(range_in_brief(found))
    if result.spec.design is None:
        _console().print(_selection_table(result))
    _console().print(_trials_table(result))


def _frames(result: Result) -> "dict[str, pd.DataFrame]":
    if result.spec.design:
        return {"trials": result.trials, "cells": result.cells}
    return {"trials": result.trials, "selection": result.selection}


_CELLS_TITLE = (
    "mean [95 % t interval] over seeds; differences from the first cell are paired by seed, * leaves out 0 "
    "(by chance in 1 of 20)"
)


def _cells_table(result: Result) -> Table:
    """Each cell with its mean and its paired difference; what leaves out zero is marked with a star."""
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
        row = [e.cell, str(len(e.values)), _interval(e.mean), _difference(e.difference), _cell(e.rank)]
        row += [_cell(e.seconds), _cell(e.epoch_seconds)]
        row[1:1] = [e.protocol] if has_protocols else []
        row += [_interval(e.test)] if has_test else []
        _add_row(table, *row)
        if e.missing:
            _add_row(table, f"  {e.missing}")
    return table


def _interval(found: Interval | None) -> str:
    if found is None:
        return "-"
    bounds = "" if found.low is None or found.high is None else f" [{found.low:.4f}, {found.high:.4f}]"
    return f"{found.mean:.4f}{bounds}"


def _difference(found: Interval | None) -> str:
    if found is None:
        return "-"
    bounds = "" if found.low is None or found.high is None else f" [{found.low:+.4f}, {found.high:+.4f}]"
    return f"{found.mean:+.4f}{bounds}{' *' if found.excludes_zero else ''}"


def draw(result: Result, path: Path) -> None:
    """The sweep's main figure as a file; SpecError for a kind of file that can't be drawn."""
    try:
        result.figure().savefig(path)
    except (OSError, ValueError) as error:
        raise SpecError(f"the figure {path} can't be written: {error}") from error


def _selection_table(result: Result) -> Table:
    frame = result.selection
    table = Table(title="final selection on fresh seeds", box=None, header_style="bold", title_justify="left")
    for title in ("rank", "trial", "mean", "in the search", "decision", "reason"):
        table.add_column(title)
    for row in frame[frame["row"] == "candidate"].to_dict("records"):
        values = (row["rank"], row["trial"], row["mean"], row["searched"], row["decision"], row["reason"])
        _add_row(table, *(_cell(value) for value in values))
    return table


def _trials_table(result: Result) -> Table:
    design = result.spec.design
    title = "trials of the design" if design else "trials of the search"
    table = Table(title=title, box=None, header_style="bold", title_justify="left")
    unit = result.spec.fidelity_unit
    what = "cell" if design else "parameters"
    for title in ("trial", "state", result.spec.metric, unit, "s", what, "reason"):
        table.add_column(title, no_wrap=title != what, overflow="ellipsis")
    for trial in result.history.search:
        last = trial.last
        numbers = (trial.value(result.spec.metric), last.fidelity if last else None, last.seconds if last else None)
        reason = trial.reason.splitlines()[0] if trial.reason else ""
        params = params_in_brief(result.spec.space.in_order(trial.params))
        if design:
            variant, replicate = design.place(trial.key.number)
            params = ", ".join(filter(None, (variant.cell, variant.protocol, f"seed {replicate}")))
        _add_row(table, trial.key.label, trial.state, *(_cell(n) for n in numbers), params, reason)
    return table


def _cell(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
