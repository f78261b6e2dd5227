"""The commands for a cluster: its nodes, and the sweeps that are submitted to it as jobs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cluster.addresses import DEFAULT_ADDRESS
from sweeps.commands import command
from sweeps.errors import InterruptedSweepError
from sweeps.options import Insecure, LedgerUrl, Name
from sweeps.terminal.streams import say
from sweeps.terminal.wording import STOPPED

if TYPE_CHECKING:
    from sweeps.cluster.jobs import Cluster, Job

commands = typer.Typer()
nodes = typer.Typer(help="Start, join or stop a node of a Ray cluster.", rich_markup_mode=None)
commands.add_typer(nodes, name="cluster")

Where = Annotated[
    str, typer.Option("--address", envvar="SWEEPS_ADDRESS", help="The cluster's dashboard, http://HOST:8265.")
]
Cpus = Annotated[int | None, typer.Option(min=0, help="CPUs that trials may occupy here; all without.")]
Gpus = Annotated[int | None, typer.Option(min=0, help="GPUs that trials may occupy here; all without.")]


@nodes.command("start")
def start_cluster(
    host: Annotated[str, typer.Option(help="This machine's address as other nodes reach it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where other nodes join.")] = 6379,
    dashboard_host: Annotated[str, typer.Option(help="Where the dashboard takes jobs.")] = "127.0.0.1",
    dashboard_port: Annotated[int, typer.Option(help="Its port.")] = 8265,
    cpus: Cpus = None,
    gpus: Gpus = None,
    token: Annotated[bool, typer.Option(help="Ask everybody for the token.")] = True,
) -> None:
    """Start a cluster's first node, with a token and on loopback unless you say otherwise."""
    from sweeps.cluster.nodes import start_head

    say(
        start_head(
            host,
            port=port,
            dashboard_host=dashboard_host,
            dashboard_port=dashboard_port,
            cpus=cpus,
            gpus=gpus,
            token=token,
        )
    )


@nodes.command("join")
def join_cluster(
    address: Annotated[str, typer.Argument(help="HOST:PORT of the head, as `sweeps cluster start` said.")],
    host: Annotated[str | None, typer.Option(help="This machine's address as the others reach it.")] = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """Make this machine a further node of a cluster."""
    from sweeps.cluster.nodes import join

    say(join(address, host=host, cpus=cpus, gpus=gpus))


@nodes.command("stop")
def stop_cluster() -> None:
    """End this machine's node at once; if it is the head, its cluster's sweeps end too: `sweeps stop` them first."""
    from sweeps.cluster.nodes import stop

    say(stop())


@commands.command()
def submit(
    results: Annotated[str, typer.Option(help="Absolute folder or URL, as the cluster's nodes see it.")],
    spec: Annotated[str | None, typer.Argument(help="A preset's name or a .toml file; none with --resume.")] = None,
    address: Where = DEFAULT_ADDRESS,
    resume: Annotated[str | None, typer.Option(help="Go on with the sweep of this name instead.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the sweep; the spec's by default.")] = None,
    trials: Annotated[int | None, typer.Option(help="How many trials to search; with --resume, how many more.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="How many trials at a time, at most.")] = None,
    code: Annotated[Path | None, typer.Option(help="Folder of the spec's function; this one by default.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where full data sets lie, as the nodes see it.")] = None,
    ledger: LedgerUrl = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its log until its end.")] = False,
    insecure: Insecure = False,
) -> None:
    """Run a sweep as a job of a cluster, or resume one there."""
    cluster = cluster_at(address, insecure=insecure)  # it is not contacted before the request is known to be valid
    job = cluster.submit(
        spec,
        resume=resume,
        results=results,
        name=name,
        trials=trials,
        concurrency=concurrency,
        code=code,
        data_dir=data_dir,
        ledger=ledger,
    )
    sweep, there = job.sweep, _there(address, insecure=insecure)
    say(f"submitted: {sweep}, as job {job.id}")
    if not follow:
        watch = f"`{command('logs', sweep, follow=True, **there)}`, `{command('status', sweep, **there)}`"
        say(f"watch it: {watch}; end it: `{command('stop', sweep, **there)}`")
        return
    _follow(cluster, job, there)


@commands.command()
def status(name: Name, address: Where = DEFAULT_ADDRESS, insecure: Insecure = False) -> None:
    """Show the status of a sweep's job; exit 1 if it failed."""
    from sweeps.cluster.showing import tell_job

    cluster = cluster_at(address, insecure=insecure)
    job = cluster.job(name)
    tell_job(cluster, job, _there(address, insecure=insecure))
    raise typer.Exit(1 if job.status == "FAILED" else 0)


@commands.command()
def logs(
    name: Name,
    address: Where = DEFAULT_ADDRESS,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until its end.")] = False,
    insecure: Insecure = False,
) -> None:
    """Show the output of a sweep's job."""
    cluster = cluster_at(address, insecure=insecure)
    if follow:
        _follow(cluster, cluster.job(name), _there(address, insecure=insecure))
    _tell(cluster.logs(name))


def _tell(pieces: Iterable[str]) -> None:
    from sweeps.terminal.streams import plain

    for piece in pieces:
        print(plain(piece), end="", flush=True)


@commands.command()
def stop(name: Name, address: Where = DEFAULT_ADDRESS, insecure: Insecure = False) -> None:
    """Stop a sweep's job: running trials save, the ledger is closed, and the tables are written."""
    from sweeps.cluster.showing import again

    cluster = cluster_at(address, insecure=insecure)
    if (job := cluster.job(name)).is_over:
        say(f"{job.sweep}: nothing to stop, its job {job.id} is over ({job.status.lower()})")
        return
    had_begun = job.status != "PENDING"
    job = cluster.stop(name)
    onwards = f"continue with {again(job, _there(address, insecure=insecure))}"
    if job.status != "STOPPED":
        say(f"{job.sweep}: {job.status.lower()}")
    elif had_begun:
        say(f"{job.sweep}: stopped; {onwards}")
    else:
        say(f"{job.sweep}: stopped before its job had begun; submit it again, or {onwards} if it has trials already")


def _there(address: str, *, insecure: bool) -> dict[str, object]:
    """Return the options of another command for the same cluster."""
    return {"address": None if address == DEFAULT_ADDRESS else address, "insecure": insecure}


def cluster_at(address: str, *, insecure: bool) -> "Cluster":
    """Return a cluster that is not contacted yet; print a warning if others may read the token that is sent there."""
    from sweeps.cluster.jobs import Cluster

    cluster = Cluster(address, insecure=insecure)
    if cluster.caution:
        say(cluster.caution, error=True)
    return cluster


def _follow(cluster: "Cluster", job: "Job", there: Mapping[str, object]) -> None:
    """Print a job's log until its end and exit as the job did; `there` has the options of further commands."""
    try:
        _tell(cluster.logs(job, follow=True))
    except KeyboardInterrupt:
        raise InterruptedSweepError(
            f"not followed any more; the job continues: "
            f"`{command('logs', job.sweep, follow=True, **there)}` shows it again, "
            f"`{command('stop', job.sweep, **there)}` ends it"
        ) from None
    ended = cluster.now(job)
    raise typer.Exit({"SUCCEEDED": 0, "STOPPED": STOPPED}.get(ended.status, ended.exit_code or 1))
