"""Explanation of a search in the terminal: importance of parameters, gain of each change, and advice."""

from dataclasses import asdict

from rich.table import Table

from sweeps.result import Result
from sweeps.returning import to_resume, to_walk
from sweeps.search.importance import Importance
from sweeps.store.rows import dump_json
from sweeps.terminal.outcome import difference, estimate
from sweeps.terminal.screen import waiting
from sweeps.terminal.streams import console, say
from sweeps.terminal.tables import add_row


def tell_explanation(result: Result, *, as_json: bool) -> None:
    """Print the importance of each parameter, the path from baseline to winner if it was walked, and advice."""
    with waiting(f"explaining {result.name}"):
        found, path, advice = result.importance, result.path, result.advice
    if as_json:
        kinds = {"importance": [asdict(one) for one in found], "path": [asdict(step) for step in path]}
        say(dump_json({"name": result.name, **kinds, "advice": advice}))
        return
    told = [one for one in found if one.share is not None]
    if told:
        console().print(_importance_table(told))
    for note in dict.fromkeys(one.note for one in found if one.share is None):
        names = ", ".join(one.parameter for one in found if one.note == note)
        say(f"no share for {names}: {note}")
    if path:
        better = "higher" if result.spec.direction == "maximize" else "lower"
        title = f"from the baseline to the winner, paired by seed ({better} is better)"
        table = Table(title=title, box=None, title_justify="left")
        for title in ("change", result.spec.metric, "bought", "so far"):
            table.add_column(title)
        for step in path:
            add_row(table, step.change, estimate(step.mean), difference(step.bought), difference(step.so_far))
        console().print(table)
    elif result.history.outcome and result.history.outcome.get("winner"):
        say(f"which change bought how much: {_how_to_walk(result)}")
    for line in advice:
        say(f"advice: {line}")
    if not found and not advice:
        say(f"the sweep {result.name!r} has nothing to explain yet")


def _how_to_walk(result: Result) -> str:
    """Return what to do about a path that is not walked yet, is unfinished, or leads to an earlier winner."""
    walked = result.walked
    if walked is None:
        return f"`{to_walk(result.spec, result.folder.where)}` walks from the baseline to the winner"
    if walked.history.outcome is None:
        return f"`{to_resume(walked.spec, walked.folder.where)}` walks on from the baseline to the winner"
    return (
        f"the sweep {walked.name!r} leads to an earlier winner: remove {walked.folder.shown}, then "
        f"`{to_walk(result.spec, result.folder.where)}` walks to this one"
    )


def _importance_table(found: list[Importance]) -> Table:
    title = "how much each parameter mattered (share, 95 % by bootstrap)"
    table = Table(title=title, box=None, header_style="bold", title_justify="left")
    for column in ("parameter", "share", "interval", "trials", "where", "note"):
        table.add_column(column)
    for one in found:
        interval = f"{one.low:.0%} … {one.high:.0%}" if one.low is not None and one.high is not None else "-"
        add_row(table, one.parameter, f"{one.share or 0:.0%}", interval, str(one.trials), one.condition, one.note)
    return table
