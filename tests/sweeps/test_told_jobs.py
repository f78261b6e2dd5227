"""Tests of what is said of a job: its outcome, how to continue after a kill, and nothing that controls a terminal."""

from types import SimpleNamespace
from typing import Any

import pytest

from sweeps import cli_cluster
from sweeps.cluster.jobs import Job
from sweeps.cluster.showing import tell_job
from sweeps.errors import ResourceError


def test_a_job_whose_log_is_gone_is_told_with_what_ray_says_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    class Gone:
        jobs = staticmethod(list)

        def logs(self, name: str) -> Any:
            raise ResourceError("the cluster refused: status code 500")

    tell_job(Gone(), Job("sweep-far-1", "far", "FAILED", "its node died", {"results": "/r"}, 0.0), {})  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == [
        "far: failed (job sweep-far-1, results in /r)",
        "its node died",
        "its process was ended from outside; what was reported is kept: continue with "
        "`sweeps submit --resume far --results /r`",
    ]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Job entrypoint command failed with exit code 1, last available logs (truncated):\nerror: …", []),
        (
            "Job supervisor actor died: its node was lost.\nmore",
            ["Ray says: Job supervisor actor died: its node was lost."],
        ),
    ],
)
def test_a_job_that_failed_is_told_with_what_it_said_last_and_what_only_ray_knows(
    message: str, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    class Cluster:
        jobs = staticmethod(list)

        def logs(self, name: str) -> Any:
            return iter(["#12 0.93\n", "error: the disk is full\n"])

    job = Job("sweep-far-1", "far", "FAILED", message, {"results": "/shared"}, 0.0, exit_code=1)
    tell_job(Cluster(), job, {})  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines()[1:] == ["error: the disk is full", *told]


def a_job(status: str, exit_code: int | None, **metadata: str) -> Job:
    return Job(
        "sweep-bowl-1", "bowl", status, "it ended", {"sweep": "bowl", "results": "/r", **metadata}, 0.0, exit_code
    )


def said_of(job: Job, log: str, capsys: pytest.CaptureFixture[str]) -> str:
    cluster: Any = SimpleNamespace(logs=lambda _: [log], jobs=lambda: [job])
    tell_job(cluster, job, {"address": "http://h:1"})
    return capsys.readouterr().out


def test_a_job_that_was_killed_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    onwards = (
        "continue with `sweeps submit --resume bowl --results '/r s' --address http://h:1`, from the folder of its"
    )

    assert onwards in said_of(a_job("FAILED", -9, results="/r s", target="m:f"), "0:30 trial 4 paused", capsys)
    assert "continue with" not in said_of(a_job("FAILED", 4), "error: the disk is full", capsys)


def test_the_status_of_a_job_that_is_over_is_its_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    log = "0:30 trial 4 paused\nwinner: trial 4, loss 0.1\n        x=0.3\ncheck:  sweeps reproduce bowl\n"

    assert said_of(a_job("SUCCEEDED", 0), log, capsys).splitlines()[1:] == log.splitlines()[1:]
    assert said_of(a_job("RUNNING", None), log[:20], capsys).splitlines()[1:] == ["0:30 trial 4 paused"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("RUNNING", "STOPPED", "bowl: stopped; continue with `sweeps submit --resume bowl --results /r`"),
        (
            "PENDING",
            "STOPPED",
            "bowl: stopped before its job had begun; submit it again, or continue with "
            "`sweeps submit --resume bowl --results /r` if it has trials already",
        ),
        ("PENDING", "FAILED", "bowl: failed"),
        ("SUCCEEDED", "", "bowl: nothing to stop, its job sweep-bowl-1 is over (succeeded)"),
    ],
)
def test_stop_says_what_is_true_of_a_job_that_has_not_begun(
    before: str, after: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = SimpleNamespace(job=lambda _: a_job(before, None), stop=lambda _: a_job(after, None))
    monkeypatch.setattr(cli_cluster, "cluster_at", lambda *_, **__: cluster)
    cli_cluster.stop("bowl")

    assert capsys.readouterr().out.splitlines() == [told]


def test_what_others_wrote_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_of(a_job("RUNNING", None, results="/r\x1b[31m"), "\x1b]0;title\x07 0:30 trial 4 paused", capsys)

    assert "\x1b" not in said
    assert "\x07" not in said
    assert "trial 4 paused" in said
