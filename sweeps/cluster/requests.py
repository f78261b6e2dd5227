"""The request of a job: a validated spec or the name of a sweep to resume, and the place of its results."""

import json
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from sweeps.errors import SpecError
from sweeps.names import check_name
from sweeps.rules import explain
from sweeps.sections import Section
from sweeps.spec import SweepSpec, parse_spec
from sweeps.store.objects import object_store
from sweeps.store.postgresql import Database

LARGEST = 1_000_000  # bytes of a request, which holds a spec
FILE = "sweep-request.json"
STOP_WAIT = 60  # s that a job has to save before Ray kills it
_LONGEST_PATH = 1000
_SHARED = "a sweep on a shared cluster says how many trials it has at a time"


class Request(Section):
    """A job's request, checked where it is made and again on the cluster.

    It may come from any user who has the token.
    """

    kind: Literal["run", "resume"]
    name: str
    spec: dict[str, Any] | None = None  # of a new sweep, as its TOML table
    results: str  # an absolute folder or a URL, as the cluster sees it
    data_dir: Annotated[str, Field(max_length=_LONGEST_PATH)] | None = None
    ledger: str | None = None
    trials: Annotated[int, Field(ge=1)] | None = None  # how many more, for a sweep to resume
    concurrency: Annotated[int, Field(ge=1)] | None = None  # trials at a time, for a sweep to resume

    @model_validator(mode="before")
    @classmethod
    def _urls(cls, fields: Any) -> Any:
        """Check two fields before all other rules, whose errors repeat a value: here it may hold a secret."""
        for key in ("results", "ledger"):
            value = fields.get(key)
            if value is not None and not (isinstance(value, str) and len(value) <= _LONGEST_PATH):
                raise ValueError(f"{key}: a text of at most {_LONGEST_PATH:,} characters is needed")
        return fields

    @model_validator(mode="after")
    def _rules(self) -> Self:
        check_name(self.name)
        if (self.kind == "run") != (self.spec is not None):
            raise ValueError("a new sweep has a spec, and one to resume has none")
        if self.kind == "run" and (self.trials is not None or self.concurrency is not None):
            raise ValueError("trials and concurrency: a new sweep has them in its spec")
        _check_place("results", self.results)
        if self.data_dir is not None:
            _check_place("data_dir", self.data_dir)
        if self.ledger is not None and Database.parse(self.ledger, self.name).has_secret:
            raise ValueError(
                "ledger: a password does not travel in a request: give SWEEPS_LEDGER, PGPASSWORD or ~/.pgpass "
                "where the cluster's head runs"
            )
        return self

    def sweep(self) -> SweepSpec:
        """Return the spec of a new sweep, checked by all its rules; raise SpecError for the first that is broken."""
        spec = parse_spec({**(self.spec or {}), "name": self.name}, f"the request for {self.name!r}")
        if spec.target and spec.target.partition(":")[0] == "__main__":
            raise SpecError(
                f"the target {spec.target!r} was defined in a script, which does not travel: put the function into a "
                "module next to it"
            )
        if spec.concurrency is None:
            raise SpecError(f"{_SHARED}: give `concurrency` in the spec, or --concurrency")
        for place in spec.warm_start:
            if "/" in place:  # otherwise it is the name of another sweep of these results
                try:
                    _check_place("warm_start", place)
                except ValueError as error:
                    raise SpecError(str(error)) from None
        return spec

    def check_bound(self, spec: SweepSpec) -> None:
        """Raise SpecError if a resumed sweep would occupy the whole cluster.

        A sweep that was begun on a single machine may have no bound on its concurrency; the request must then give one.

        Args:
            spec: The spec of the sweep to resume.
        """
        if self.kind == "resume" and spec.at_a_time is None and self.concurrency is None:
            raise SpecError(f"{_SHARED}, but {self.name!r} was begun without: give --concurrency")

    def to_json(self) -> str:
        """Return the request as JSON, in the form in which it travels; raise SpecError if it is too large."""
        text = self.model_dump_json(exclude_none=True)
        if len(text.encode()) > LARGEST:
            raise SpecError(f"the request for {self.name!r} has {len(text.encode()):,} bytes, of {LARGEST:,} at most")
        return text


def _check_place(key: str, text: str) -> None:
    """Raise ValueError unless a place means the same to every process of a cluster and holds no secret."""
    if any(unicodedata.category(sign) == "Cc" for sign in text):  # other users' terminals would act on them
        raise ValueError(f"{key}: a path has no line breaks or other control characters, but got {text!r}")
    if "://" in text and key != "results":
        raise ValueError(f"{key}: an absolute path is needed, as the cluster's nodes see it")
    if key == "results" and object_store(text) is not None:
        return
    if not Path(text).is_absolute():
        what = "an absolute path or a URL" if key == "results" else "an absolute path"
        raise ValueError(f"{key}: must be {what}, since a job runs in a copy of its folder, but got {text!r}")
    if ".." in Path(text).parts:
        raise ValueError(f"{key}: an absolute path without '..' is needed, but got {text!r}")


def parse_request(fields: dict[str, Any], source: str) -> Request:
    """Return a Request of these fields, its spec checked; raise SpecError with key, rule and value if invalid."""
    try:
        request = Request(**fields)
    except ValidationError as error:
        raise SpecError(explain(error, source, Request)) from None
    if request.kind == "run":
        request.sweep()
    return request


def read_request(path: Path) -> Request:
    """Return the request in a job's folder; raise SpecError if it is too large, no JSON, or breaks a rule."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise SpecError(f"the request has more than {LARGEST:,} bytes")
        fields = json.loads(text)
    except OSError as error:
        raise SpecError(f"the job has no request ({error.strerror}): submit it with `sweeps submit`") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"the request is no JSON ({error})") from None
    if not isinstance(fields, dict):
        raise SpecError(f"the request must be a table, but is a {type(fields).__name__}")
    return parse_request(fields, "request")
