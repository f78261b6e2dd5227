"""Display of a cluster's jobs in the terminal, or as JSON."""

import time
from collections.abc import Mapping
from dataclasses import asdict

from rich.table import Table

from sweeps.cluster.jobs import Cluster, Job, latest
from sweeps.commands import command
from sweeps.errors import ResourceError
from sweeps.store.rows import dump_json
from sweeps.terminal.streams import console, plain, say
from sweeps.terminal.tables import add_row

_COMMAND_FAILED = "Job entrypoint command failed"
_OUTCOMES = ("winner: ", "no winner: ")  # the first line of an outcome begins with one of these
_OWN_CODES = range(1, 7)  # exit codes of a sweep's process that ends by itself because of an error


def tell_jobs(cluster: Cluster, *, as_json: bool) -> None:
    """Print the latest job of every sweep, one per line, or all as JSON."""
    by_sweep: dict[str, list[Job]] = {}
    for job in cluster.jobs():
        by_sweep.setdefault(job.sweep, []).append(job)
    found = [latest(jobs) for jobs in by_sweep.values()]
    if as_json:
        say(dump_json([asdict(job) for job in found]))
        return
    if not found:
        say(f"no sweeps at {cluster.address.url}: start one with `sweeps submit`")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("sweep", "job is", "since", "results", "job"):
        table.add_column(title, overflow="fold")
    for job in found:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started))
        add_row(table, job.sweep, job.status.lower(), since, plain(job.metadata.get("results", "")), job.id)
    console().print(table)


def again(job: Job, there: Mapping[str, object]) -> str:
    """Return the command that resumes a sweep, ready to be typed into a shell.

    Args:
        job: The job that drove the sweep.
        there: The options with which a command finds the cluster.

    Returns:
        The command in backquotes, with the folder to call it from if the sweep trains with a function.
    """
    results = plain(job.metadata.get("results", "FOLDER"))
    place = ", from the folder of its function" if "target" in job.metadata else ""
    return f"`{command('submit', resume=job.sweep, results=results, **there)}`{place}"


def tell_job(cluster: Cluster, job: Job, there: Mapping[str, object]) -> None:
    """Print the status of a sweep's job, and what its log says about the sweep.

    That is the outcome if the job succeeded, and the last line of its log otherwise. While the job runs, this line
    gives the trials and the best of them.

    Args:
        cluster: The cluster of the job.
        job: The job.
        there: The options with which a command finds the cluster.
    """
    results = job.metadata.get("results", "?")
    say(f"{job.sweep}: {job.status.lower()} (job {job.id}, results in {plain(results)})")
    try:
        said = plain("".join(cluster.logs(job.id))) or job.message
    except ResourceError:  # its node is lost, and the log with it
        said = job.message
    lines = [line for line in said.splitlines() if line.strip()]
    outcome = next((at for at, line in enumerate(lines) if line.startswith(_OUTCOMES)), None)
    told = lines[outcome:] if outcome is not None and job.status == "SUCCEEDED" else lines[-1:]
    say("\n".join(told))
    # If its command failed, its last line gives the reason. Only Ray reports a lost node or driver.
    if job.status == "FAILED" and said != job.message and not job.message.startswith(_COMMAND_FAILED):
        say(f"Ray says: {job.message.splitlines()[0] if job.message else 'nothing'}")
    if job.status == "FAILED" and job.exit_code not in _OWN_CODES:
        say(f"its process was ended from outside; what was reported is kept: continue with {again(job, there)}")
    for later in cluster.jobs():
        if later.is_refused and (later.sweep, later.started > job.started) == (job.sweep, True):
            say(f"a later request was refused: `{command('logs', later.id, **there)}` says why")
