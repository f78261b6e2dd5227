"""A job's own process on the cluster's head: reads its request, checks it again, and drives the sweep.

Run by Ray as `python -m sweeps.cluster.job`, in a folder with the request and the code that travelled with it.
"""

import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

from sweeps.cluster.requests import FILE, Request, read_request
from sweeps.errors import ResourceError, SweepError
from sweeps.execution.session import set_environment
from sweeps.terminal.wording import worded

_RESUME = re.compile("`sweeps resume[^`]*`")


def drive(request: Request) -> int:
    """Run or go on with the sweep on the cluster that this job belongs to; gives the exit code."""
    from sweeps.api import resume, run
    from sweeps.terminal.showing import tell_end

    _join()
    where: dict[str, Any] = {"results": request.results, "data_dir": request.data_dir, "ledger": request.ledger}
    if request.kind == "run":
        result = run(request.sweep(), name=request.name, progress="auto", **where)
    else:
        _tell_if_unbounded(request)
        result = resume(request.name, progress="auto", trials=request.trials, **where)
    tell_end(result, as_json=False)
    return 0


def _tell_if_unbounded(request: Request) -> None:
    """A sweep that was begun on a machine of its own may say nothing of how much it takes of a shared cluster."""
    from sweeps.api import load

    spec = load(request.name, results=request.results, ledger=request.ledger).spec
    if spec.at_a_time is None:
        print(f"warning: the spec of {request.name} has no `concurrency`: it takes every free place of the cluster")


def drive_or_say_how_to_go_on(request: Request) -> int:
    """The same; what goes on with a sweep of a job is another job, whatever an error advises."""
    try:
        return drive(request)
    except SweepError as error:
        again = f"`sweeps submit --resume {request.name} --results {request.results}`"
        text = _RESUME.sub(f"{again}, from the folder of its function if it has one", str(error))
        raise type(error)(text) from None


def _join() -> None:
    """Join this process to its cluster: Ray tells a job where that is."""
    set_environment()
    import ray

    address = os.environ.get("RAY_ADDRESS")
    if not address:
        raise ResourceError("this is the process of a cluster's job: start it with `sweeps submit`")
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def main() -> None:
    """Drive what the request says; an error is one line in the job's log."""
    sys.exit(worded(lambda: drive_or_say_how_to_go_on(read_request(Path(FILE)))))


if __name__ == "__main__":
    main()
