"""Tests of a job's request: nothing that breaks a rule leaves the client, or is done on the cluster."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import TABLE

from sweeps.cluster.requests import FILE, LARGEST, _check_place, parse_request, read_request
from sweeps.errors import SpecError
from sweeps.spec import load_spec

SPEC = load_spec({**TABLE, "concurrency": 2})


def fields(**changes: Any) -> dict[str, Any]:
    return {"kind": "run", "name": "bowl", "spec": SPEC.to_table(), "results": "/shared/results", **changes}


def with_spec(**changes: Any) -> dict[str, Any]:
    return {"spec": {**SPEC.to_table(), **changes}}


def test_a_request_arrives_as_it_was_sent(tmp_path: Path) -> None:
    request = parse_request(fields(data_dir="/shared/data", ledger="postgresql://me@host/team"), "request")
    (tmp_path / FILE).write_text(request.to_json())

    assert read_request(tmp_path / FILE).to_json() == request.to_json()
    assert read_request(tmp_path / FILE).sweep() == SPEC


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a name that is a path": ({"name": "../../etc"}, "give a name like that, not a path"),
    "a name with a slash": ({"name": "a/b"}, "give a name like that, not a path"),
    "a kind of its own": ({"kind": "shell"}, "kind: must be 'run' or 'resume'"),
    "a command": ({"entrypoint": "rm -rf /"}, "unknown key 'entrypoint'"),
    "results beside the job": (
        {"results": "results"},
        "must be an absolute path or a URL, since a job runs in a copy of its",
    ),
    "results by a way around": ({"results": "/shared/../etc"}, "an absolute path without '..'"),
    "results on two lines": ({"results": "/shared\n/etc"}, "no line breaks"),
    "results with a password": ({"results": "s3://me:secret@bucket/x"}, "a URL has no user, password or options"),
    "results with half a password": ({"results": "s3://me:secr/et@bucket/x"}, "a URL has no user, password or options"),
    "results of no end": ({"results": "s3://me:secret@b/" + "x" * 1000}, "a text of at most 1,000 characters"),
    "a ledger of no end": ({"ledger": "postgresql://me:secret@h/" + "x" * 1000}, "a text of at most 1,000 characters"),
    "two ledgers": ({"ledger": ["postgresql://me:secret@h/d"]}, "ledger: a text of at most"),
    "a data folder elsewhere": ({"data_dir": "s3://bucket/data"}, "data_dir: an absolute path is needed"),
    "a password for the ledger": ({"ledger": "postgresql://me:secret@host/team"}, "does not travel in a request"),
    "a ledger of another kind": ({"ledger": "mysql://host/team"}, "postgresql://"),
    "a resume with a spec": ({"kind": "resume"}, "one to resume has none"),
    "an earlier sweep by a way around": (
        with_spec(warm_start=["/a/../b"]),
        "warm_start: an absolute path without '..'",
    ),
    "an earlier sweep beside the job": (with_spec(warm_start=["a/b"]), "warm_start: must be an absolute path"),
    "results that colour a terminal": ({"results": "/shared/\x1b[31m"}, "or other control characters"),
    "a target that is a path": (with_spec(target="../x:f"), "a target is written 'module:function'"),
    "a bound that is none": ({"kind": "resume", "spec": None, "concurrency": 0}, "concurrency: "),
    "a bound beside a spec": ({"concurrency": 2}, "a new sweep has them in its spec"),
    "no spec": ({"spec": None}, "a new sweep has a spec"),
    "an unknown key in the spec": ({"spec": {**SPEC.to_table(), "trails": 3}}, "unknown key 'trails'"),
    "a wrong value in the spec": ({"spec": {**SPEC.to_table(), "trials": 0}}, "trials: "),
    "a function of a script": ({"spec": {**SPEC.to_table(), "target": "__main__:f"}}, "does not travel"),
    "no concurrency": (
        {"spec": {key: value for key, value in SPEC.to_table().items() if key != "concurrency"}},
        "give `concurrency` in the spec, or --concurrency",
    ),
    "more of what there is not": ({"kind": "resume", "spec": None, "luck": 1}, "luck"),
    "no more trials": ({"kind": "resume", "spec": None, "trials": 0}, "trials"),
    "half a trial": ({"kind": "resume", "spec": None, "trials": 2.5}, "trials"),
    "more trials of a new one": ({"trials": 2}, "a new sweep has them in its spec"),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_breaks_a_rule_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    (tmp_path / FILE).write_text(json.dumps(fields(**changes)))
    for look in (lambda: parse_request(fields(**changes), "request"), lambda: read_request(tmp_path / FILE)):
        with pytest.raises(SpecError) as caught:
            look()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_store_is_one_also_where_a_path_has_made_one_slash_of_two() -> None:
    _check_place("results", str(Path("s3://team/results")))
    with pytest.raises(ValueError, match=r"must be an absolute path, .*, but got 's3:/team/data'"):
        _check_place("data_dir", str(Path("s3://team/data")))


def test_an_oversized_spec_is_refused_on_both_sides(tmp_path: Path) -> None:
    large = {**TABLE, "concurrency": 1, "space": {f"x{n:0400}": {"float": [0.0, 1.0]} for n in range(2_500)}}
    with pytest.raises(SpecError, match=f"of {LARGEST:,} at most"):
        parse_request(fields(spec=load_spec(large).to_table()), "request").to_json()
    (tmp_path / FILE).write_text(json.dumps(fields(spec=large)))
    with pytest.raises(SpecError, match=f"more than {LARGEST:,} bytes"):
        read_request(tmp_path / FILE)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "{", "[" * 100_000, '"text"', "null"])
def test_what_is_no_request_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(SpecError, match="the request"):
        read_request(tmp_path / FILE)


def test_a_job_without_a_request_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="submit it with `sweeps submit`"):
        read_request(tmp_path / FILE)


@given(st.text(max_size=90))
def test_no_text_becomes_a_sweeps_name_that_leaves_the_results(text: str) -> None:
    try:
        request = parse_request(fields(name=text), "request")
    except SpecError:
        return
    assert (Path("/shared/results/sweeps") / request.name).resolve().parent == Path("/shared/results/sweeps")


def test_an_earlier_sweep_may_be_one_of_these_results_or_lie_at_an_absolute_place() -> None:
    for place in ("other", "/shared/old/sweeps/other"):
        assert parse_request(fields(spec={**SPEC.to_table(), "warm_start": [place]}), "request").sweep()


def test_a_sweep_to_go_on_with_is_bounded_by_its_spec_or_by_the_request() -> None:
    resume = {"kind": "resume", "name": "bowl", "results": "/shared/results"}
    unbounded = load_spec(TABLE)

    with pytest.raises(SpecError, match="but 'bowl' was begun without: give --concurrency"):
        parse_request(resume, "request").check_bound(unbounded)
    parse_request({**resume, "concurrency": 2}, "request").check_bound(unbounded)
    parse_request(resume, "request").check_bound(SPEC)
