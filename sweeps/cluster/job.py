"""The process of a cluster's job, on its head: it reads its request, checks it again, and drives the sweep.

Ray runs it as `python -m sweeps.cluster.job`, in a folder with the request and the code that travelled with it.
"""

import logging
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

from sweeps.cluster.requests import FILE, STOP_WAIT, Request, read_request
from sweeps.commands import command
from sweeps.errors import ResourceError, SweepError
from sweeps.execution import stopping
from sweeps.execution.session import set_environment
from sweeps.terminal.wording import worded

_RESUME = re.compile(r"""`sweeps resume(?:"[^"]*"|'[^']*'|[^`"'])*`""")


def drive(request: Request) -> int:
    """Run or resume the sweep on the cluster that this job belongs to, and return the exit code."""
    from sweeps.api import load, resume, run
    from sweeps.terminal.showing import tell_end

    _join()
    where: dict[str, Any] = {"results": request.results, "data_dir": request.data_dir, "ledger": request.ledger}
    if request.kind == "run":
        sweep = partial(run, request.sweep(), name=request.name, progress="auto", **where)
    else:
        request.check_bound(load(request.name, results=request.results, ledger=request.ledger).spec)
        more: dict[str, Any] = {"trials": request.trials, "concurrency": request.concurrency}
        sweep = partial(resume, request.name, progress="auto", **more, **where)
    tell_end(sweep, as_json=False)
    return 0


def drive_or_say_how_to_go_on(request: Request) -> int:
    """Call `drive`, and let any error advise `sweeps submit --resume` instead of `sweeps resume`.

    Only another job can resume the sweep of a job.
    """
    try:
        return drive(request)
    except SweepError as error:
        again = f"`{command('submit', resume=request.name, results=request.results)}`"
        text = _RESUME.sub(lambda _: f"{again}, from the folder of its function if it has one", str(error))
        raise type(error)(text) from None


def _join() -> None:
    """Join this process to its cluster, whose address Ray gives a job."""
    set_environment()
    import ray

    stopping.patience = STOP_WAIT / 2  # the rest is for the ledger, the tables and their figures
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        raise ResourceError("this is the process of a cluster's job: start it with `sweeps submit`")
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def main() -> None:
    """Drive the sweep of the request; an error becomes one line in the job's log."""
    sys.exit(worded(lambda: drive_or_say_how_to_go_on(read_request(Path(FILE)))))


if __name__ == "__main__":
    main()
