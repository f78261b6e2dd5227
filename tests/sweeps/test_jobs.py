"""Tests of sweeps as jobs of a real cluster on loopback: submitted, followed, stopped, resumed, and refused."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import pandas as pd
import pytest
from loopback import Loopback, history_of, hurry, project
from waiting import until

import sweeps
from sweeps.cli_cluster import _follow, submit
from sweeps.cluster import jobs
from sweeps.cluster.addresses import parse_address
from sweeps.cluster.jobs import Cluster, Job
from sweeps.errors import InterruptedSweepError, ResourceError, SpecError
from sweeps.spec import load_spec


def test_a_submitted_sweep_runs_there_and_its_results_replay_here(
    cluster: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, results = project(tmp_path, "far", "distance", 6), tmp_path / "results"
    where = ("--results", str(results), "--code", str(tmp_path))
    done = cluster.sweeps("submit", str(spec), *where, "--follow")

    assert (done.returncode, done.stderr) == (0, ""), done.stdout  # Ray's own lines about uploads are not shown
    assert "winner: trial" in done.stdout
    assert "winner: trial" in cluster.sweeps("logs", "far").stdout
    status, listed = cluster.sweeps("status", "far"), cluster.sweeps("list", "--address", cluster.url, "--json")
    assert (status.returncode, "far: succeeded" in status.stdout) == (0, True)
    assert status.stdout.splitlines()[-1].startswith("check:  sweeps reproduce far")
    (job,) = [job for job in json.loads(listed.stdout) if job["sweep"] == "far"]
    assert job["metadata"]["results"] == str(results)
    assert job["metadata"]["spec_hash"] == load_spec(spec).hash
    monkeypatch.syspath_prepend(str(tmp_path))
    assert sweeps.load("far", results=results).reproduce().identical

    again = cluster.sweeps("submit", str(spec), *where, "--follow")
    assert again.returncode == 2  # when followed, a job ends with the exit code that the command has here
    assert "there is a sweep named 'far'" in again.stdout
    assert f"continue with `sweeps submit --resume far --results {results}`" in again.stdout
    refused = json.loads(cluster.sweeps("list", "--address", cluster.url, "--json").stdout)
    status = cluster.sweeps("status", "far")
    assert [job["status"] for job in refused if job["sweep"] == "far"] == ["SUCCEEDED"]
    assert (status.returncode, "far: succeeded" in status.stdout) == (0, True)
    assert status.stdout.splitlines()[-1].startswith("a later request was refused: `sweeps logs sweep-far-2 --address ")
    assert "there is a sweep named 'far'" in cluster.sweeps("logs", "sweep-far-2").stdout
    assert "nothing to stop, its job sweep-far-1 is over (succeeded)" in cluster.sweeps("stop", "far").stdout


def test_a_stopped_job_has_saved_and_is_gone_on_with(cluster: Loopback, tmp_path: Path) -> None:
    spec, results = project(tmp_path, "halted", "steady", 6), tmp_path / "results"
    where = ("--results", str(results), "--code", str(tmp_path))
    assert cluster.sweeps("submit", str(spec), *where).returncode == 0
    again = cluster.sweeps("submit", str(spec), *where)
    assert (again.returncode, "a job drives a sweep named 'halted' there already" in again.stderr) == (2, True)
    until(lambda: any(trial.measurements for trial in history_of("halted", results).search))

    stopped = cluster.sweeps("stop", "halted")
    before = history_of("halted", results)
    assert (stopped.returncode, "halted: stopped" in stopped.stdout) == (0, True), stopped.stderr
    again = (
        f"`sweeps submit --resume halted --results {results} --address {cluster.url}`, from the folder of its function"
    )
    assert again in stopped.stdout
    assert f"`sweeps submit --resume halted --results {results}`" in cluster.sweeps("status", "halted").stdout
    assert cluster.sweeps("logs", "halted", "--follow").returncode == 130
    assert before.running
    assert not list(before.noted("warning"))
    assert len(pd.read_parquet(results / "sweeps/halted/measurements.parquet")) == sum(
        len(trial.measurements) for trial in before.trials.values()
    )

    hurry(tmp_path)
    away = cluster.sweeps("submit", "--resume", "halted", "--results", str(results))
    assert (away.returncode, "the target's module 'far_targets' is not in" in away.stderr) == (2, True), away.stderr
    words = ("submit", "--resume", "halted", "--trials", "+2", "--results", str(results), "--follow")
    done = cluster.sweeps(*words, cwd=tmp_path)  # from its function's folder, as when it was submitted
    after = history_of("halted", results)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {trial.state for trial in after.search} == {"complete"}
    assert len(after.search) == 6 + 2
    for key, trial in before.trials.items():
        assert after.trials[key].measurements[: len(trial.measurements)] == trial.measurements
    assert not list(after.noted("warning"))  # none started again


def test_of_two_who_submit_a_sweep_at_the_same_moment_one_is_refused(cluster: Loopback, tmp_path: Path) -> None:
    spec = project(tmp_path, "twice", "distance", 2)
    words = ("submit", str(spec), "--results", str(tmp_path / "results"), "--code", str(tmp_path))
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: cluster.sweeps(*words), range(2))

    assert sorted([first.returncode, second.returncode]) == [0, 2], first.stderr + second.stderr
    assert "a job drives a sweep named 'twice' there already (sweep-twice-1)" in first.stderr + second.stderr
    assert cluster.sweeps("logs", "twice", "--follow").returncode == 0


def test_a_number_that_another_took_since_the_look_is_a_job_that_drives_the_sweep() -> None:
    def refuses(**job: Any) -> str:
        raise RuntimeError(f"500: Job with submission_id {job['submission_id']} already exists.")

    cluster = unasked()
    cluster._client.submit_job = refuses  # type: ignore[method-assign]
    with pytest.raises(SpecError, match=r"a job drives a sweep named 'far' there already \(sweep-far-1\)"):
        cluster._once_it_is_up("sweep-far-1", {}, {"sweep": "far"})


def test_a_job_that_comes_between_the_look_and_the_submit_has_the_number() -> None:
    came: list[SimpleNamespace] = []
    numbers: list[str] = []
    client: Any = SimpleNamespace(list_jobs=lambda: list(came))

    def meanwhile(_: object) -> None:
        about = {"metadata": {"sweep": "far"}, "message": "", "start_time": 1000}
        came.append(SimpleNamespace(submission_id="sweep-far-1", status="RUNNING", **about))

    class Looks(Cluster):
        _check_place = staticmethod(meanwhile)  # type: ignore[assignment]

        def _once_it_is_up(self, id_: str, *_: object) -> None:
            numbers.append(id_)

    cluster = Looks()
    cluster._client = client
    cluster.submit("quickstart", name="far", results="/results", concurrency=1)

    assert numbers == ["sweep-far-1"]  # Ray refuses it, since that number is taken


def unasked(*jobs: Job) -> Cluster:
    """Return a cluster that has these jobs, and that can answer nothing else."""
    found = [
        SimpleNamespace(
            **vars(job), submission_id=job.id, start_time=1000 * job.started, driver_exit_code=job.exit_code
        )
        for job in jobs
    ]
    cluster = Cluster()
    client: Any = SimpleNamespace(list_jobs=lambda: found)
    cluster._client = client
    return cluster


def test_a_sweep_that_is_named_like_the_job_of_another_is_the_one_that_is_meant() -> None:
    cluster = unasked(
        Job("sweep-far-1", "far", "RUNNING", "", {"sweep": "far"}, 2.0),
        Job("sweep-sweep-far-1-1", "sweep-far-1", "SUCCEEDED", "", {"sweep": "sweep-far-1"}, 1.0),
    )

    assert cluster.job("sweep-far-1").sweep == "sweep-far-1"
    assert cluster.job("far").id == "sweep-far-1"
    assert cluster.job("sweep-sweep-far-1-1").sweep == "sweep-far-1"


def test_a_sweep_keeps_its_name_when_it_goes_on() -> None:
    with pytest.raises(SpecError, match=r"--resume continues 'far' under the name that it has: leave --name b out"):
        unasked().submit(resume="far", results="/results", name="b")


def test_a_wrong_request_is_told_before_any_cluster_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_client", lambda *_, **__: pytest.fail("it was asked"))
    with pytest.raises(SpecError, match="give a name like that, not a path"):
        submit(results="/results", spec="quickstart", name="../../evil")
    with pytest.raises(SpecError, match=r"nothere\.toml can't be read"):
        submit(results="/results", spec="nothere.toml")
    with pytest.raises(SpecError, match="the folder /nowhere, whose code is to travel, is not there"):
        submit(results="/results", spec="quickstart", concurrency=1, code=Path("/nowhere"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"spec": 7}, "a spec is a preset's name, a .toml file, a table or a SweepSpec, but got 7"),
        ({"results": None}, "results: a path is needed, but got None"),
        ({"code": 3}, "code: a path is needed, but got 3"),
    ],
)
def test_what_python_gives_that_is_no_path_and_no_spec_is_told_so(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        unasked().submit(**{"spec": "quickstart", "results": "/results", "concurrency": 1, **given})


def test_who_stops_looking_on_stops_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    class Looking:
        def logs(self, job: Job, *, follow: bool) -> Iterator[str]:
            yield "a line\n"
            raise KeyboardInterrupt

    job = Job("sweep-far-1", "far", "RUNNING", "", {}, 0.0)
    with pytest.raises(
        InterruptedSweepError, match=r"the job continues: `sweeps logs far --follow --address http://h:1`.*stop"
    ):
        _follow(Looking(), job, {"address": "http://h:1"})  # type: ignore[arg-type]


def test_a_request_that_was_refused_says_nothing_of_its_sweep() -> None:
    about = ("far", "FAILED", "", {"sweep": "far"})
    refused, failed = Job("sweep-far-3", *about, 3.0, 2), Job("sweep-far-2", *about, 2.0, 1)

    assert unasked(refused, failed).job("far") == failed
    assert unasked(refused).job("far") == refused
    assert unasked(refused, failed).job("sweep-far-3") == refused


def test_what_answers_and_is_no_ray_is_told_so() -> None:
    address = parse_address("http://h:8265")
    with pytest.raises(ResourceError, match="what answers at http://h:8265 is no Ray dashboard"), jobs._worded(address):
        raise RuntimeError("Version check returned 404. Jobs API is not supported on the Ray cluster.")


def test_two_sweeps_share_a_cluster_by_their_concurrency(cluster: Loopback, tmp_path: Path) -> None:
    results, names = tmp_path / "results", ("left", "right")
    for name in names:  # each waits in its first trial until the other has one in training
        spec = project(tmp_path, name, "meeting", 3)
        text = spec.read_text().replace("concurrency = 2", "concurrency = 1")
        spec.write_text(text.replace("[space]", f'[space]\nside = "{name}"'))
        where = ("--results", str(results), "--code", str(tmp_path))
        assert cluster.sweeps("submit", str(spec), *where).returncode == 0

    for name in names:
        done = cluster.sweeps("logs", name, "--follow")
        assert done.returncode == 0, done.stdout
        assert {trial.state for trial in history_of(name, results).search} == {"complete"}


def test_a_sweep_that_was_begun_without_a_bound_is_given_one_on_a_cluster(cluster: Loopback, tmp_path: Path) -> None:
    spec, results = project(tmp_path, "unbounded", "distance", 2), tmp_path / "results"
    spec.write_text(spec.read_text().replace("concurrency = 2\n", ""))
    where = ("--results", str(results))
    refused = cluster.sweeps("submit", str(spec), *where, "--code", str(tmp_path))
    assert (refused.returncode, "give `concurrency` in the spec" in refused.stderr) == (2, True)

    assert cluster.sweeps("run", str(spec), *where, PYTHONPATH=str(tmp_path)).returncode == 0
    code = ("--code", str(tmp_path))
    onwards = ("submit", "--resume", "unbounded", "--trials", "+1", *where, *code, "--follow")
    done = cluster.sweeps(*onwards)
    assert done.returncode == 2
    assert "but 'unbounded' was begun without: give --concurrency" in done.stdout
    done = cluster.sweeps(*onwards, "--concurrency", "1")
    assert done.returncode == 0, done.stdout
    assert "`concurrency` bounds it to 1" in done.stdout


def test_a_second_node_on_this_machine_is_refused(cluster: Loopback) -> None:
    for words in (("start", "--port", "7777"), ("join", "127.0.0.1:6379")):
        refused = cluster.sweeps("cluster", *words)
        assert refused.returncode == 6, refused.stdout
        assert "a node of a cluster runs on this machine already" in refused.stderr


def test_who_shows_no_token_or_another_is_refused(cluster: Loopback, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("0" * 64)
    (tmp_path / "other").chmod(0o600)
    for path in (tmp_path / "other", tmp_path / "none"):
        refused = cluster.sweeps("list", "--address", cluster.url, RAY_AUTH_TOKEN_PATH=str(path))
        assert refused.returncode == 6, refused.stdout
        assert refused.stderr.startswith("error: ")
        assert len(refused.stderr.splitlines()) == 1
    asked = urllib.request.Request(f"{cluster.url}/api/jobs/", data=b"{}", headers={"Content-Type": "application/json"})
    with pytest.raises(HTTPError) as answer:
        urllib.request.urlopen(asked)
    assert answer.value.code == 401
    assert cluster.token.stat().st_mode & 0o077 == 0


THROUGH_RAY = """
import sys, time
from ray.job_submission import JobSubmissionClient

client = JobSubmissionClient(sys.argv[1])
job = client.submit_job(entrypoint="python -m sweeps.cluster.job", runtime_env={"working_dir": sys.argv[2]})
while not client.get_job_status(job).is_terminal():
    time.sleep(0.1)
print(client.get_job_status(job).value, client.get_job_logs(job))
"""
THROUGH_A_SWEEPS_RAY = """
import sys
import sweeps
from sweeps.cluster.jobs import Cluster
from sweeps.execution.session import LOCAL

Cluster.nodes = lambda _: [{"CPU": 2.0, LOCAL: 1.0}]
try:
    sweeps.connect(sys.argv[1]).submit(sys.argv[2], results="/nowhere", code=".")
except sweeps.SweepError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../../elsewhere"}, "give a name like that, not a path"),
        ({"results": "results"}, "must be an absolute path or a URL"),
    ],
)
def test_what_breaks_a_rule_is_refused_on_the_cluster_too(
    cluster: Loopback, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    request = {"kind": "resume", "name": "bowl", "results": str(tmp_path / "results"), **change}
    (folder / "sweep-request.json").write_text(json.dumps(request))
    log = cluster.python(THROUGH_RAY, cluster.url, str(folder)).stdout

    assert log.startswith("FAILED")
    assert words in log
    assert "Traceback" not in log
    assert not (tmp_path / "results").exists()


def test_the_ray_of_a_sweep_that_runs_by_itself_takes_no_job(cluster: Loopback, tmp_path: Path) -> None:
    spec = project(tmp_path, "lost", "distance", 2)
    said = cluster.python(THROUGH_A_SWEEPS_RAY, cluster.url, str(spec)).stdout

    assert "is the Ray of a sweep that runs by itself, and ends with it: start a cluster" in said


def test_what_fits_on_no_node_is_refused_before_a_job_begins(cluster: Loopback, tmp_path: Path) -> None:
    spec = project(tmp_path, "wide", "distance", 2)
    spec.write_text(spec.read_text().replace("[space]", "resources = { cpus_per_trial = 64 }\n[space]"))
    refused = cluster.sweeps("submit", str(spec), "--results", str(tmp_path / "results"))

    assert refused.returncode == 6
    assert "a trial asks for 64 CPUs" in refused.stderr
    assert "wide" not in cluster.sweeps("list", "--address", cluster.url).stdout


def test_of_two_jobs_of_a_sweep_the_one_that_runs_is_meant() -> None:
    def told(number: int, status: str) -> SimpleNamespace:
        about = {"submission_id": f"sweep-far-{number}", "metadata": {"sweep": "far"}, "message": ""}
        return SimpleNamespace(**about, status=status, start_time=1000 * number)

    cluster = Cluster()
    client: Any = SimpleNamespace(list_jobs=lambda: [told(1, "RUNNING"), told(3, "FAILED"), told(2, "SUCCEEDED")])
    cluster._client = client

    assert cluster.job("far").id == "sweep-far-1"
    assert [job.id for job in cluster.jobs()] == ["sweep-far-1", "sweep-far-3", "sweep-far-2"]
