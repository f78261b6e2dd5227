"""Comparisons of sweeps in the terminal: results, costs, regret, spaces, and common configurations."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from search_spaces.texts import as_text
from sweeps.comparison import Comparison
from sweeps.search.intervals import Interval
from sweeps.terminal.outcome import difference, estimate
from sweeps.terminal.progress import params_in_brief
from sweeps.terminal.streams import console, say
from sweeps.terminal.tables import add_row, cell, records

if TYPE_CHECKING:
    import pandas as pd

_MOST = 10  # common trials shown in a table; JSON has all
_TAKEN = ("test_accuracy", "searched", "trials", "epochs", "seconds")
_SHARES = (0.1, 0.25, 0.5, 1.0)  # shares of the longest course at which the table shows regret


def tell_comparison(comparison: Comparison, *, as_json: bool) -> None:
    """Print a comparison, as tables or as JSON; only JSON has every common trial and every step of regret."""
    frames = {name: getattr(comparison, name) for name in ("sweeps", "regret", "spaces", "pairs", "common")}
    if as_json:
        about = {"metric": comparison.metric, "direction": comparison.direction}
        say(json.dumps({**about, **{name: records(frame) for name, frame in frames.items()}}))
        return
    out = console()
    out.print(_standings(comparison))
    for row in comparison.sweeps.to_dict("records"):
        if row["missing"]:
            say(f"{row['sweep']}: {row['missing']}")
    for over, unit in (("seconds", "s"), ("epochs", comparison.fidelity_unit)):
        if (table := _regrets(comparison.regret, over, unit)) is not None:
            out.print(table)
    out.print(_spaces(comparison.spaces))
    for pair in comparison.pairs.to_dict("records"):
        out.print(_common(pair, comparison.common))


def _titled(title: str, *columns: str) -> Table:
    table = Table(title=title, box=None, header_style="bold", title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _standings(comparison: Comparison) -> Table:
    title = f"{comparison.metric}, {comparison.direction}d: means of the best with their intervals where they are known"
    columns = ("sweep", "best", "mean", "seeds", "test accuracy", "best in the search", "trials")
    table = _titled(title, *columns, comparison.fidelity_unit, "s")
    for row in comparison.sweeps.to_dict("records"):
        best, seeds, *rest = (cell(row[name]) for name in ("best", "seeds", *_TAKEN))
        add_row(table, row["sweep"], best, estimate(_interval(row, "mean", row["seeds"])), seeds, *rest)
    return table


def _interval(row: Mapping[Any, Any], mean: str, n: Any) -> Interval | None:
    """Return the mean in a row with its known bounds, or None if there is no mean."""
    value, low, high = (None if cell(row[name]) == "-" else row[name] for name in (mean, "low", "high"))
    return None if value is None else Interval(n, value, low, high)


def _regrets(frame: "pd.DataFrame", over: str, unit: str) -> Table | None:
    """Return regret at a few moments, where a sweep that ended earlier keeps its last; None if there is none yet."""
    known = frame[(frame["over"] == over) & frame["regret"].notna()]
    if not len(known):
        return None
    moments = [share * float(known["at"].max()) for share in _SHARES]
    what = over if over == "seconds" else unit
    table = _titled(f"regret over {what}", "sweep", *(f"{moment:.4g} {unit}" for moment in moments))
    for name in frame["sweep"].unique():
        steps = known[known["sweep"] == name]
        told = [steps[steps["at"] <= moment]["regret"].tail(1).tolist() for moment in moments]
        add_row(table, name, *(cell(values[0]) if values else "-" for values in told))
    return table


def _spaces(frame: "pd.DataFrame") -> Table | str:
    if not len(frame):
        return "the spaces and fixed knobs are the same"
    table = _titled("where spaces and fixed knobs differ", *frame.columns)
    for row in frame.to_dict("records"):
        add_row(table, *row.values())
    return table


def _common(pair: Mapping[Any, Any], frame: "pd.DataFrame") -> Table | str:
    first, second, n = pair["sweep_first"], pair["sweep_second"], pair["n"]
    if not n:
        return f"{first} and {second} have no configuration in common"
    found = difference(_interval(pair, "difference", n))
    title = f"{n} common configuration{'' if n == 1 else 's'}: {second} minus {first} {found}"
    table = _titled(title, "trials", "at", first, second, "difference", "parameters")
    rows = frame[(frame["sweep_first"] == first) & (frame["sweep_second"] == second)].to_dict("records")
    for row in rows[:_MOST]:
        numbers = (row["fidelity"], row["value_first"], row["value_second"], row["difference"])
        params = {name: as_text(value) for name, value in row["params"].items()}
        trials = f"{row['trial_first']}, {row['trial_second']}"
        add_row(table, trials, *(cell(number) for number in numbers), params_in_brief(params))
    if len(rows) > _MOST:
        add_row(table, f"and {len(rows) - _MOST} more: see --json")
    return table
