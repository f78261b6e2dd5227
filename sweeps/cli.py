"""The command line: each command is a few lines over the Python API, and prints every error as one line."""

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sweeps.cli_cluster import commands as clustering
from sweeps.cli_reading import commands as reading
from sweeps.cli_study import commands as studying
from sweeps.errors import SpecError
from sweeps.names import as_path
from sweeps.options import (
    RESULTS,
    CpusPerTrial,
    DataDir,
    GpusPerTrial,
    Json,
    LedgerUrl,
    Name,
    Profiled,
    Results,
    Verbose,
)
from sweeps.terminal.screen import waiting
from sweeps.terminal.secrets import hide_password
from sweeps.terminal.streams import begin, close_streams, prepare_streams, say
from sweeps.terminal.wording import worded

app = typer.Typer(
    name="sweeps",
    help="Hyperparameter sweeps over neural-network training that end in a model you can trust.",
    epilog="Exit codes: 0 done, 1 failed or not identical, 2 wrong input, 3 no such sweep, 4 ledger, 5 sweep in use, "
    "6 resources, 130 stopped.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(reading)
app.add_typer(studying)
app.add_typer(clustering)

_Number = TypeVar("_Number", int, float)


@app.callback()
def _options(debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False) -> None:
    """Accept the options before the command; `main` reads --debug itself."""


@app.command()
def run(
    spec: Annotated[str, typer.Argument(help="A preset's name, such as quickstart, or a .toml file.")],
    results: Results = RESULTS,
    name: Annotated[str | None, typer.Option(help="Name of the sweep; the spec's by default.")] = None,
    trials: Annotated[int | None, typer.Option(help="How many trials to search.")] = None,
    time: Annotated[str | None, typer.Option(help="Wall-clock of the whole sweep, like 90s, 10m or 1h30m.")] = None,
    seed: Annotated[int | None, typer.Option(help="The one seed from which all others derive.")] = None,
    data_dir: DataDir = None,
    cpus_per_trial: CpusPerTrial = None,
    gpus_per_trial: GpusPerTrial = None,
    selection: Annotated[
        str | None, typer.Option(help="none: train nothing on fresh seeds; the search's best is not confirmed.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the sweep of this name if there is one.")] = False,
    ledger: LedgerUrl = None,
    profile: Profiled = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run a sweep: search, prune, choose on fresh seeds, test once, store."""
    begin(f"{spec}: reading", as_json=as_json)
    from sweeps.api import run as run_sweep
    from sweeps.terminal.showing import tell_end

    sweep = partial(
        run_sweep,
        spec,
        results=results,
        name=name,
        trials=trials,
        time=time,
        seed=seed,
        data_dir=data_dir,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        selection=selection,
        resume=resume,
        ledger=ledger,
        progress="json" if as_json else "auto",
        verbose=verbose,
        profile=profile,
    )
    tell_end(sweep, as_json=as_json)


@app.command()
def resume(
    name: Name,
    results: Results = RESULTS,
    trials: Annotated[str | None, typer.Option(help="How many trials more, like +20.")] = None,
    time: Annotated[str | None, typer.Option(help="How much more time, like +10m.")] = None,
    device_hours: Annotated[str | None, typer.Option(help="How many more device-hours, like +0.5.")] = None,
    trial_time: Annotated[str | None, typer.Option(help="How much more time for each trial, like +1m.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Trials at a time, at most, until it stops again.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again, once their code is mended.")
    ] = False,
    data_dir: DataDir = None,
    ledger: LedgerUrl = None,
    profile: Profiled = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Resume a sweep that was interrupted in any way, or extend one that is over."""
    begin(f"{name}: reading", as_json=as_json)
    from sweeps.api import resume as resume_sweep
    from sweeps.terminal.showing import tell_end

    sweep = partial(
        resume_sweep,
        name,
        results=results,
        trials=_number("--trials", trials, int),
        time=_more("--time", time),
        device_hours=_number("--device-hours", device_hours, float),
        trial_time=_more("--trial-time", trial_time),
        concurrency=concurrency,
        retry_failed=retry_failed,
        data_dir=data_dir,
        ledger=ledger,
        progress="json" if as_json else "auto",
        verbose=verbose,
        profile=profile,
    )
    tell_end(sweep, as_json=as_json)


@app.command()
def select(
    name: Name,
    results: Results = RESULTS,
    candidates: Annotated[
        int | None, typer.Option(help="How many of the best trials are tried again; 0: none.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="On how many fresh seeds they race; 0: none.")] = None,
    published_seeds: Annotated[
        int | None, typer.Option(help="On how many further ones the winner is published; 0: none.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="best, or within_one_se: the cheapest that is as good.")] = None,
    cost: Annotated[
        str | None, typer.Option(help="parameters, epoch_seconds, latency, or a function's metric.")
    ] = None,
    data_dir: DataDir = None,
    ledger: LedgerUrl = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """End a search at its present state and choose its winner, or choose it again by another rule."""
    begin(f"{name}: reading", as_json=as_json)
    from sweeps.api import select as select_winner
    from sweeps.terminal.showing import tell_end

    sweep = partial(
        select_winner,
        name,
        candidates=candidates,
        seeds=seeds,
        published_seeds=published_seeds,
        rule=rule,
        cost=cost,
        results=results,
        data_dir=data_dir,
        ledger=ledger,
        progress="json" if as_json else "auto",
        verbose=verbose,
    )
    tell_end(sweep, as_json=as_json)


def _more(option: str, given: str | None) -> str | None:
    """Return the text after the required plus sign, without which it could be read as a new total."""
    if given is not None and not given.startswith("+"):
        raise SpecError(f"{option} says how much is added, like +20 or +10m, but got {given!r}: put a + before it")
    return given and given[1:]


def _number(option: str, given: str | None, kind: type[_Number]) -> _Number | None:
    more = _more(option, given)
    try:
        return None if more is None else kind(more)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise SpecError(f"{option} takes {what} behind its +, but got {given!r}") from None


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="Name of a sweep, or a stored experiment's folder, with its '/'.")],
    results: Results = RESULTS,
    trial: Annotated[str, typer.Option(help="best, a trial's number, or a label like 3-seed1 or range-adam.")] = "best",
    data_dir: DataDir = None,
    ledger: LedgerUrl = None,
) -> None:
    """Train a trial again in a fresh process and compare every bit; exit 0 if identical, 1 if not.

    A sweep's trial is compared with its ledger, an experiment such as results/custom_cnn/exp_1 with its own files.
    """
    if "/" in name:
        if trial != "best":
            raise SpecError(f"--trial belongs to a sweep, and {name} is one experiment: leave it out")
        with waiting(f"training {name} again"):
            from sweeps.terminal.single import reproduce_one

            replay, what = reproduce_one(as_path(name), data_dir), f"experiment {name}"
    else:
        with waiting(f"training trial {trial} of {name} again"):
            from sweeps.api import load

            replay = load(name, results=results, ledger=ledger).reproduce(trial, data_dir)
        what = f"trial {replay.label} of {name}"
    if replay.identical:
        say(f"identical: {what}, {replay.what}")
    else:
        say(f"different: {what}, {replay.difference}")
    for line in replay.environment:
        say(f"environment: {line}")
    if not replay.identical and not replay.environment:
        say("environment: the same as recorded")
    raise typer.Exit(0 if replay.identical else 1)


@app.command()
def verify(name: Name, results: Results = RESULTS, ledger: LedgerUrl = None) -> None:
    """Recompute every suggestion and pruning decision of a sweep from its ledger; exit 0 if all are as recorded.

    This trains nothing; `reproduce` does. A stored value that was changed later is reported with its trial.
    """
    with waiting(f"computing the decisions of {name} again"):
        from sweeps.api import verify as verify_sweep

        found = verify_sweep(name, results=results, ledger=ledger)
    if not found.holds:
        say(f"different: {found.difference}")
        raise typer.Exit(1)
    say(f"verified: {found.suggestions} suggestions and {found.decisions} decisions follow from the ledger")


@app.command()
def export(
    name: Name,
    to: Annotated[Path, typer.Option(help="Folder for the tables and for rows.jsonl.")],
    results: Results = RESULTS,
    ledger: LedgerUrl = None,
) -> None:
    """Write a ledger as Parquet and JSON lines; from a damaged one, write what can be read and report the rest.

    The tables are built from the rows before the damage. rows.jsonl has every row that can be read, and whether it is
    as it was written.
    """
    with waiting(f"exporting {name}"):
        from sweeps.api import export as export_sweep

        saved = export_sweep(name, to, results=results, ledger=ledger)
    say(f"exported: {saved.sound} of {saved.known} rows of {name} to {to}")
    for warning in saved.warnings:
        say(f"warning: {warning}")
    if saved.damage:
        say(f"damaged: {saved.damage}")
        raise typer.Exit(1)


@app.command()
def clean(
    name: Annotated[str | None, typer.Argument(help="A sweep that is over, whose checkpoints may go.")] = None,
    results: Results = RESULTS,
    ledger: LedgerUrl = None,
) -> None:
    """Remove the checkpoints of a sweep that is over or, without a NAME, the folders of this user's dead Rays."""
    from sweeps.terminal.cleaning import clean_rays, clean_sweep

    say(clean_rays() if name is None else clean_sweep(name, results, ledger))


def main() -> None:
    """Run the command line; print an error as one line and exit with its code, or show a traceback with --debug."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    prepare_streams()
    hide_password()
    run_app = partial(app, standalone_mode=False)
    code = run_app() if "--debug" in sys.argv else worded(run_app)
    close_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # everything is printed: a further Ctrl-C would only cause a traceback
    sys.exit(code)
