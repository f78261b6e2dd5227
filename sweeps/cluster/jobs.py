"""A cluster as its users see it: sweeps are submitted to it as Ray jobs, watched, stopped and resumed."""

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.cluster.addresses import DEFAULT_ADDRESS, Address, check_token, parse_address
from sweeps.cluster.package import check_target, pack, require_folder
from sweeps.cluster.requests import STOP_WAIT, Request, parse_request
from sweeps.cluster.tokens import TOKEN_FILE, has_token, use_token
from sweeps.commands import command
from sweeps.errors import ResourceError, SpecError, SweepNotFoundError
from sweeps.execution.session import ENVIRONMENT, LOCAL, set_environment
from sweeps.names import as_path
from sweeps.spec import SweepSpec, load_spec

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ENTRYPOINT = "python -m sweeps.cluster.job"
_MARK = "sweep"  # the key of a job's metadata for the sweep that it drives
_TARGET = "target"  # the key for the function that it trains with
_MOST_NODES = 10_000  # the limit given to Ray, whose default is one hundred
_PAUSE = 0.5  # s between two requests about a job
_READY = 30.0  # s that a cluster may take to start
_OVER = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class Job:
    """A job that drives, or drove, a sweep."""

    id: str
    sweep: str
    status: str  # PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED
    message: str
    metadata: Mapping[str, str]  # sweep, kind and results; spec_hash of a new sweep; target of a function
    started: float  # seconds since the epoch
    exit_code: int | None = None  # of its process, once that has ended

    @property
    def is_over(self) -> bool:
        return self.status in _OVER

    @property
    def is_refused(self) -> bool:
        """Return whether its request broke a rule, such as a name that is taken, so it has driven nothing."""
        return self.status == "FAILED" and self.exit_code == SpecError.exit_code


def connect(address: str = DEFAULT_ADDRESS, *, insecure: bool = False) -> "Cluster":
    """Return the cluster whose dashboard is at an address.

    Args:
        address: The address of the dashboard.
        insecure: Whether to contact another machine even without a token.

    Raises:
        ResourceError: No cluster answers, or the token is refused.
        SpecError: The address can't be read, or there is no token for another machine.
    """
    cluster = Cluster(address, insecure=insecure)
    cluster.reach()
    return cluster


class Cluster:
    """A Ray cluster that takes sweeps as jobs; it is contacted only when a method needs it."""

    def __init__(self, address: str = DEFAULT_ADDRESS, *, insecure: bool = False) -> None:
        self.address = parse_address(address)
        check_token(self.address, insecure=insecure)
        set_environment()
        if not insecure:
            use_token()  # before Ray is imported, which reads it once

    @property
    def caution(self) -> str | None:
        """Return a warning for the user if the token would be sent in clear text, or None."""
        if not (self.address.is_overheard and has_token()):
            return None
        return (
            f"warning: the token goes to {self.address.url} in clear text: prefer https, or a tunnel "
            f"(`ssh -L {self.address.port}:127.0.0.1:{self.address.port} {self.address.host}`)"
        )

    @cached_property
    def _client(self) -> "JobSubmissionClient":
        return _client(self.address)

    def reach(self) -> None:
        """Raise ResourceError if no cluster answers or the token is refused."""
        _ = self._client

    def submit(
        self,
        spec: str | Path | Mapping[str, Any] | SweepSpec | None = None,
        *,
        resume: str | None = None,
        results: str | Path,
        name: str | None = None,
        trials: int | None = None,
        concurrency: int | None = None,
        code: str | Path | None = None,
        data_dir: str | Path | None = None,
        ledger: str | None = None,
    ) -> Job:
        """Start a job that runs a new sweep or resumes an existing one.

        Args:
            spec: The spec of a new sweep, or None with `resume`.
            resume: The name of a sweep to resume.
            results: The absolute folder or the URL of the results, as the cluster's nodes see it.
            name: The name of a new sweep; the spec's by default.
            trials: How many trials to search; with `resume`, how many more.
            concurrency: How many trials at a time, at most; with `resume`, until the sweep stops again.
            code: The folder of the spec's function, by default the working folder. It travels without hidden files,
                results/, notebooks/, tests/ and the other folders that `sweeps.cluster.package` leaves out.
            data_dir: The absolute folder of full data sets, as the nodes see it.
            ledger: The URL of a ledger in PostgreSQL, without a password.

        Raises:
            SpecError: The request breaks a rule, the code must not travel, or a job already drives this sweep.
            ResourceError: No cluster answers, or no node has room for a trial.
        """
        if (spec is None) == (resume is None):
            got = "neither" if spec is None else "both"
            raise SpecError(f"give a spec, or with --resume the name of a sweep to resume, but got {got}")
        if resume is not None and name is not None:
            raise SpecError(f"--resume continues {resume!r} under the name that it has: leave --name {name} out")
        places = {"results": results, "data_dir": data_dir, "code": code}
        for key, given in places.items():
            if not isinstance(given, str | Path) and (given is not None or key == "results"):
                raise SpecError(f"{key}: a path is needed, but got {given!r}")
        if code is not None:
            require_folder(as_path(code))
        where = {"results": str(results), "data_dir": data_dir and str(data_dir), "ledger": ledger}
        if spec is not None:
            loaded = load_spec(spec, name=name, trials=trials, concurrency=concurrency)
            table: dict[str, Any] = {"kind": "run", "name": loaded.name, "spec": loaded.to_table(), **where}
        else:
            table = {"kind": "resume", "name": resume, "trials": trials, "concurrency": concurrency, **where}
        request = parse_request(table, "request")
        mine = [job for job in self.jobs() if job.sweep == request.name]
        if (driving := next((job for job in mine if not job.is_over), None)) is not None:
            raise _taken(request.name, driving.id)
        id_ = _next_id(request.name, mine)  # from the same list: a submission missing in it gets the same number
        self._check_place(request)
        target = (
            loaded.target if spec is not None else next(filter(None, (job.metadata.get(_TARGET) for job in mine)), None)
        )
        if target:
            code = Path.cwd() if code is None else as_path(code)
            check_target(target, code)
        return self._submit(id_, request, None if code is None else as_path(code), target)

    def _submit(self, id_: str, request: Request, code: Path | None, target: str | None) -> Job:
        metadata = {_MARK: request.name, "kind": request.kind, "results": request.results}
        if request.kind == "run":
            metadata["spec_hash"] = request.sweep().hash
        if target:
            metadata[_TARGET] = target
        stopping = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT)}
        with tempfile.TemporaryDirectory(prefix="sweeps-job-") as folder:
            travels = pack(request, code, Path(folder))
            environment = {"working_dir": str(travels), "env_vars": {**ENVIRONMENT, **stopping}}
            with _worded(self.address):
                self._once_it_is_up(id_, environment, metadata)
        return self._by_id(id_)

    def now(self, job: Job) -> Job:
        """Return the same job with its current status."""
        return self._by_id(job.id)

    def _once_it_is_up(self, id_: str, environment: dict[str, Any], metadata: dict[str, str]) -> None:
        """Submit a job, with retries while a cluster that has just started is not ready for jobs."""
        last = time.monotonic() + _READY
        while True:
            try:
                self._client.submit_job(
                    entrypoint=ENTRYPOINT,
                    submission_id=id_,
                    runtime_env=environment,
                    metadata=metadata,
                )
                return
            except RuntimeError as error:
                if f"{id_} already exists" in str(error):  # another user submitted it after the jobs were listed
                    raise _taken(metadata[_MARK], id_) from None
                if "No available agent" not in str(error) or time.monotonic() > last:
                    raise
                time.sleep(_PAUSE)

    def jobs(self) -> list[Job]:
        """Return the jobs that drive or drove sweeps: unfinished ones first, then the latest first.

        Jobs that Ray's head forgot in a restart are missing.
        """
        with _worded(self.address):
            found = self._client.list_jobs()
        jobs = [_job(details) for details in found if _MARK in (details.metadata or {}) and details.submission_id]
        return sorted(jobs, key=lambda job: (not job.is_over, job.started), reverse=True)

    def job(self, name: str) -> Job:
        """Return the job of a sweep: the one that drives it, or the latest that was not refused.

        Args:
            name: The name of a sweep or, if no job has a sweep of that name, the id of a job.

        Raises:
            SweepNotFoundError: There is no job of that name or id.
        """
        jobs = self.jobs()
        mine = [job for job in jobs if job.sweep == name] or [job for job in jobs if job.id == name]
        if not mine:
            known = ", ".join(sorted({job.sweep for job in jobs})) or "none"
            raise SweepNotFoundError(
                f"no job for a sweep named {name!r} at {self.address.url} (there: {known}): a head that was restarted "
                "has forgotten its jobs, `sweeps submit --resume` continues their sweeps"
            )
        return latest(mine)

    def _by_id(self, id_: str) -> Job:
        found = next((job for job in self.jobs() if job.id == id_), None)
        if found is None:
            raise SweepNotFoundError(
                f"the cluster at {self.address.url} has forgotten its job {id_}: was it restarted?"
            )
        return found

    def logs(self, job: str | Job, *, follow: bool = False) -> Iterator[str]:
        """Yield the log of a job in pieces.

        Args:
            job: A job, or a name as in `job`.
            follow: Whether to continue until the job ends.
        """
        told, job = 0, job if isinstance(job, Job) else self.job(job)
        while True:
            is_over = self.now(job).is_over
            with _worded(self.address):
                text = self._client.get_job_logs(job.id)
            if len(text) > told:
                yield text[told:]
                told = len(text)
            if is_over or not follow:
                return
            time.sleep(_PAUSE)

    def stop(self, name: str) -> Job:
        """Stop a sweep's job and return it, after the sweep has saved and ended.

        All reports are kept, and `submit --resume` continues the sweep.
        """
        job = self.job(name)
        if not job.is_over:
            with _worded(self.address):
                self._client.stop_job(job.id)
            while not (job := self.now(job)).is_over:
                time.sleep(_PAUSE)
        return job

    def nodes(self) -> list[dict[str, float]]:
        """Return the CPUs, GPUs and other resources of each living node."""
        from ray.util.state import list_nodes

        with _worded(self.address), _no_other_address():
            found = list_nodes(address=self.address.url, limit=_MOST_NODES)  # a filter makes it fail if a node is dead
        return [dict(node.resources_total) for node in found if node.state == "ALIVE"]

    def _check_place(self, request: Request) -> None:
        """Raise ResourceError if no node fits a trial, or if this is a single sweep's own Ray, which ends with it."""
        nodes = self.nodes()
        if any(LOCAL in node for node in nodes):
            raise ResourceError(
                f"at {self.address.url} is the Ray of a sweep that runs by itself, and ends with it: start a cluster "
                "with `sweeps cluster start --dashboard-port`, and give its --address"
            )
        if request.kind == "run":
            from sweeps.execution.placing import slots_of

            for resources in request.sweep().every_resources:
                slots_of(resources, nodes)


def latest(jobs: Sequence[Job]) -> Job:
    """Return the first of a sweep's jobs that was not refused, since a refused job says nothing about the sweep."""
    return next((job for job in jobs if not job.is_refused), jobs[0])


def _next_id(sweep: str, jobs: list[Job]) -> str:
    """Return a sweep's next job id; ids are numbered, so Ray takes only one of two simultaneous submissions."""
    found = (re.fullmatch(rf"sweep-{re.escape(sweep)}-(\d+)", job.id) for job in jobs)
    return f"sweep-{sweep}-{max((int(number[1]) for number in found if number), default=0) + 1}"


def _taken(name: str, job: str) -> SpecError:
    return SpecError(
        f"a job drives a sweep named {name!r} there already ({job}): `{command('stop', name)}` first, "
        "or give another --name"
    )


def _job(details: Any) -> Job:
    metadata = {key: str(value) for key, value in details.metadata.items()}
    started = (details.start_time or 0) / 1000
    status = getattr(details.status, "value", str(details.status))
    exit_code = getattr(details, "driver_exit_code", None)
    return Job(details.submission_id, metadata[_MARK], status, details.message or "", metadata, started, exit_code)


def _client(address: Address) -> "JobSubmissionClient":
    with _worded(address), _no_other_address():
        from ray.job_submission import JobSubmissionClient

        for name in ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they log every upload
        return JobSubmissionClient(address.url)


@contextmanager
def _no_other_address() -> Iterator[None]:
    """Hide the environment variables that Ray prefers to a given address, and that would redirect a job."""
    kept = {name: os.environ.pop(name) for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def _worded(address: Address) -> Iterator[None]:
    """Turn Ray's errors into ResourceErrors of one line when a cluster is away or refuses."""
    import requests
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError:
        raise ResourceError(
            f"{address.url} refuses {'this token' if has_token() else 'who has no token'}: the cluster's must be in "
            f"{TOKEN_FILE} or RAY_AUTH_TOKEN"
        ) from None
    except (ConnectionError, requests.exceptions.RequestException) as error:
        raise ResourceError(
            f"no cluster answers at {address.url} ({type(error).__name__}): is it up, and is this its dashboard's "
            "address? `sweeps cluster start` starts one"
        ) from None
    except RuntimeError as error:
        if "Version check returned" in str(error):
            raise ResourceError(f"what answers at {address.url} is no Ray dashboard: look after the address") from None
        raise ResourceError(f"the cluster at {address.url} refused: {' '.join(str(error).split())[:500]}") from None
