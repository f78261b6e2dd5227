"""Tests of real processes that are stopped: Ctrl-C, SIGTERM, and a script that contains its function."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from simulation import SLOW_SWEEP

import sweeps

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("sweeps")
ENOUGH = 60  # s for what takes seconds: only a hang runs into it, not slowness

SCRIPT = """
import sys
import time
import sweeps

def target(params, seed):
    for report in range(9):
        time.sleep(0.05)
        yield {"loss": params["x"] / (report + 1)}

SPEC = {
    "name": "script", "trials": 6, "metric": "loss", "direction": "minimize",
    "space": {"x": {"float": [0.0, 1.0]}}, "pruning": {"name": "none", "max_fidelity": 9},
    "selection": {"candidates": 1, "seeds": 1, "published_seeds": 1},
}
if sys.argv[1] == "run":
    sweeps.run(SPEC, target=target, progress="json")
elif sys.argv[1] == "again":
    result = sweeps.run(SPEC, target=target, progress="json", resume=True)
    print("best", result.best["x"], "of", len(result.trials))
else:
    result = sweeps.resume("script", target=target, progress="none")
    print("best", result.best["x"], "of", len(result.trials))
"""


def started(place: Path, *command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    return subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def measured(process: subprocess.Popen[str], enough: int) -> list[int]:
    """Return the sequence numbers of the first `enough` measurements that the process acknowledges."""
    seqs: list[int] = []
    assert process.stdout is not None
    while len(seqs) < enough:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        row = json.loads(line)
        seqs += [row["seq"]] if row["kind"] == "measured" else []
    return seqs


# Both are handled in one place, which tests/sweeps/test_single.py tests with both.
@pytest.mark.parametrize(
    ("number", "is_to_all"),  # to the whole process group, as `timeout` sends it
    [
        (signal.SIGTERM, True),
        pytest.param(signal.SIGINT, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, False, marks=pytest.mark.slow),
    ],
)
def test_a_stop_signal_keeps_what_was_reported_and_says_how_to_resume(
    tmp_path: Path, number: signal.Signals, is_to_all: bool
) -> None:
    (tmp_path / "slow.toml").write_text(SLOW_SWEEP)
    process = started(tmp_path, str(COMMAND), "run", "slow.toml", "--json", "--profile")
    acknowledged = measured(process, 12)
    if is_to_all:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    rest, err = process.communicate(timeout=ENOUGH)

    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == (
        "error: stopped; everything reported is kept: "
        f"continue with `sweeps resume slow --results {tmp_path / 'results'}`"
    )
    assert "where the time of all slots went" in rest
    table = pd.read_parquet(tmp_path / "results/sweeps/slow/measurements.parquet")
    assert set(acknowledged) <= set(table["seq"])

    resumed = started(tmp_path, str(COMMAND), "resume", "slow", "--profile")
    out, err = resumed.communicate(timeout=ENOUGH)
    assert resumed.returncode == 0, err
    assert "where the time of all slots went" in out
    assert "winner: trial" in out
    result = sweeps.load("slow", results=tmp_path / "results")
    assert len(result.trials) == 8
    assert set(acknowledged) <= set(result.measurements["seq"])


def test_a_function_of_a_script_goes_on_from_its_script_alone(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    process = started(tmp_path, sys.executable, "script.py", "run")
    acknowledged = measured(process, 12)
    process.kill()
    process.communicate(timeout=ENOUGH)

    refused = started(tmp_path, str(COMMAND), "resume", "script")
    _, err = refused.communicate(timeout=ENOUGH)
    assert refused.returncode == 2
    assert "was defined in a script: run or resume the sweep from that script" in err

    resumed = started(tmp_path, sys.executable, "script.py", "resume")
    out, err = resumed.communicate(timeout=ENOUGH)
    assert resumed.returncode == 0, err
    assert out.startswith("best ")
    assert out.strip().endswith("of 6")
    result = sweeps.load("script", results=tmp_path / "results")
    assert set(acknowledged) <= set(result.measurements["seq"])
    assert set(result.trials["state"]) == {"complete"}
    # Without a checkpoint a trial starts again; its repeated reports were compared, not stored twice.
    assert (result.measurements.groupby(["trial", "replicate"])["report"].count() == 9).all()


def test_a_script_that_is_stopped_and_run_again_continues_its_sweep(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    process = started(tmp_path, sys.executable, "script.py", "again")
    acknowledged = measured(process, 12)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=ENOUGH)

    call = f"sweeps.resume('script', target=target, results={str(tmp_path / 'results')!r})"
    assert f"run the script again with resume=True, or continue with `{call}`" in err

    for _ in range(2):  # the second run finds the sweep over
        out, err = started(tmp_path, sys.executable, "script.py", "again").communicate(timeout=2 * ENOUGH)
        assert out.strip().splitlines()[-1].endswith("of 6"), err
    assert [folder.name for folder in (tmp_path / "results/sweeps").iterdir()] == ["script"]
    result = sweeps.load("script", results=tmp_path / "results")
    assert set(acknowledged) <= set(result.measurements["seq"])
    assert len(list(result.history.noted("outcome"))) == 1


def child_of(process: subprocess.Popen[str], name: str) -> int:
    """Return the id of a process that Ray runs for a driver."""
    found = subprocess.run(["pgrep", "-P", str(process.pid), "-f", name], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[0])


@pytest.mark.slow
@pytest.mark.parametrize("part", ["raylet/raylet", "gcs/gcs_server"])
def test_a_ray_that_is_killed_takes_nothing_with_it(tmp_path: Path, part: str) -> None:
    """Check both parts: without a raylet a session may even end; without the GCS Ray ends the driver after a minute."""
    (tmp_path / "slow.toml").write_text(SLOW_SWEEP.replace("trials = 8", "trials = 40"))
    process = started(tmp_path, str(COMMAND), "run", "slow.toml", "--json")
    acknowledged = measured(process, 12)
    os.kill(child_of(process, part), signal.SIGKILL)
    out, _ = process.communicate(timeout=5 * ENOUGH)
    acknowledged += [row["seq"] for row in map(json.loads, out.splitlines()) if row["kind"] == "measured"]

    resumed = started(tmp_path, str(COMMAND), "resume", "slow")
    out, err = resumed.communicate(timeout=ENOUGH)
    assert resumed.returncode == 0, err
    assert "winner: trial" in out
    result = sweeps.load("slow", results=tmp_path / "results")
    assert len(result.trials) == 40
    assert set(acknowledged) <= set(result.measurements["seq"])
    assert not result.trials["state"].isin(["running", "failed"]).any()
