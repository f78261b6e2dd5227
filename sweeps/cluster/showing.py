"""The jobs of a cluster in the terminal, or as JSON."""

import time
from dataclasses import asdict

from rich.table import Table

from sweeps.cluster.jobs import Cluster, Job, latest
from sweeps.errors import ResourceError
from sweeps.store.rows import dump_json
from sweeps.terminal.tables import add_row, console

_COMMAND_FAILED = "Job entrypoint command failed"


def tell_jobs(cluster: Cluster, *, as_json: bool) -> None:
    """The latest job of every sweep, on a line."""
    by_sweep: dict[str, list[Job]] = {}
    for job in cluster.jobs():
        by_sweep.setdefault(job.sweep, []).append(job)
    found = [latest(jobs) for jobs in by_sweep.values()]
    if as_json:
        print(dump_json([asdict(job) for job in found]))
        return
    if not found:
        print(f"no sweeps at {cluster.address.url}: start one with `sweeps submit`")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("sweep", "job is", "since", "results", "job"):
        table.add_column(title, overflow="fold")
    for job in found:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started))
        add_row(table, job.sweep, job.status.lower(), since, job.metadata.get("results", ""), job.id)
    console().print(table)


def tell_job(cluster: Cluster, job: Job) -> None:
    """What becomes of a sweep's job, and what it said last: while it runs, trials and the best of them."""
    print(f"{job.sweep}: {job.status.lower()} (job {job.id}, results in {job.metadata.get('results', '?')})")
    try:
        said = "".join(cluster.logs(job.id)) or job.message
    except ResourceError:  # its node is gone, and the log with it
        said = job.message
    if lines := [line for line in said.splitlines() if line.strip()]:
        print(lines[-1])
    # Where its command failed, the reason is the last line it wrote; of a lost node or driver only Ray tells.
    if job.status == "FAILED" and said != job.message and not job.message.startswith(_COMMAND_FAILED):
        print(f"Ray says: {job.message.splitlines()[0] if job.message else 'nothing'}")
    for later in cluster.jobs():
        if later.is_refused and (later.sweep, later.started > job.started) == (job.sweep, True):
            print(f"a later request was refused: `sweeps logs {later.id}` says why")
