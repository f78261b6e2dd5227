"""The commands that read sweeps and change none: list, show, report, explain, compare and dashboard."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.errors import SpecError
from sweeps.options import RESULTS, Insecure, Json, LedgerUrl, Name, Results
from sweeps.terminal.screen import waiting
from sweeps.terminal.streams import say

if TYPE_CHECKING:
    from sweeps.result import Result

commands = typer.Typer()


def _loaded(name: str, results: Path, ledger: str | None) -> "Result":
    """Return the present result of a sweep; print that it is being read if that takes long."""
    with waiting(f"reading {name}"):
        from sweeps.api import load

        return load(name, results=results, ledger=ledger)


@commands.command("list")
def list_sweeps(
    results: Results = RESULTS,
    as_json: Json = False,
    address: Annotated[str | None, typer.Option(help="List the jobs of the cluster there instead.")] = None,
    insecure: Insecure = False,
) -> None:
    """List the sweeps of a results folder, or those that are jobs of a cluster."""
    if address is None:
        from sweeps.terminal.showing import tell_list

        tell_list(results, as_json=as_json)
    else:
        if results != RESULTS:
            raise SpecError("--results and --address are two lists, of a folder and of a cluster's jobs: give one")
        from sweeps.cli_cluster import cluster_at
        from sweeps.cluster.showing import tell_jobs

        tell_jobs(cluster_at(address, insecure=insecure), as_json=as_json)


@commands.command()
def show(
    name: Name,
    results: Results = RESULTS,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the sweep's main figure into this file (png, svg, pdf).")
    ] = None,
    top: Annotated[int | None, typer.Option(help="Only so many trials, by rank without --sort.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="Order of trials: value (best first), trial, seconds, fidelity, a parameter or a metric."),
    ] = None,
    trial: Annotated[
        str | None,
        typer.Option(help="One trial in full: best, a number, or a label like 3-seed1 or range-adam."),
    ] = None,
) -> None:
    """Show a sweep: its outcome, its selection and its trials; or one of its trials in full.

    `--sort=-seconds` reverses an order.
    """
    if trial is not None and (top or sort):
        raise SpecError("--trial shows one trial, and --top and --sort belong to a table of them: leave them out")
    result = _loaded(name, results, ledger)
    from sweeps.terminal.showing import draw, tell_sweep, tell_trial

    if trial is None:
        tell_sweep(result, as_json=as_json, top=top, sort=sort)
    else:
        tell_trial(result, trial, as_json=as_json)
    if figure is not None:
        draw(result, figure)


@commands.command()
def compare(
    names: Annotated[list[str], typer.Argument(help="Names of two sweeps or more, as `sweeps list` shows them.")],
    results: Results = RESULTS,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw regret over time and over training into this file (png, svg, pdf).")
    ] = None,
) -> None:
    """Compare sweeps: what each found, its cost, speed and space, and the configurations that two have tried.

    They may be running, stopped or over. Facts that a sweep cannot provide yet are listed as missing.
    """
    with waiting(f"reading {', '.join(names)}"):
        from sweeps.api import compare as compare_sweeps
        from sweeps.terminal.comparing import tell_comparison
        from sweeps.terminal.showing import draw

        comparison = compare_sweeps(*names, results=results, ledger=ledger)
    tell_comparison(comparison, as_json=as_json)
    if figure is not None:
        draw(comparison, figure)


@commands.command()
def dashboard(
    name: Name,
    results: Results = RESULTS,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where on 127.0.0.1; 0 takes one that is free.")] = 8080,
    ledger: LedgerUrl = None,
) -> None:
    """Serve Optuna's dashboard of a sweep, which may be running; needs the extra `dashboard`.

    The dashboard reads the ledger and changes nothing: it refuses notes, names and artifacts.
    """
    from sweeps.terminal.dashboard import serve

    serve(name, results, port, ledger)


@commands.command()
def explain(name: Name, results: Results = RESULTS, ledger: LedgerUrl = None, as_json: Json = False) -> None:
    """Explain which parameters mattered, what each change from baseline to winner gained, and what to do better."""
    result = _loaded(name, results, ledger)
    from sweeps.terminal.explaining import tell_explanation

    tell_explanation(result, as_json=as_json)


@commands.command()
def report(name: Name, results: Results = RESULTS, ledger: LedgerUrl = None) -> None:
    """Write the report of a sweep, which may be running or stopped, as one self-contained HTML page."""
    result = _loaded(name, results, ledger)
    with waiting(f"drawing the report of {name}"):
        page = result.report()
    say(f"report: {page}" + (f" (sent to {result.folder.shown})" if result.folder.store else ""))
