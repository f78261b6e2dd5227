"""The quickstart as a new user runs it, killed with `kill -9` partway and resumed, for several tests to inspect."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

COMMAND = [str(Path(sys.executable).with_name("sweeps"))]
KILL_AFTER = 25  # measurements: some trials have ended, some are paused, and two are training


@dataclass(frozen=True)
class Job:
    """A finished quickstart whose driver was killed partway and resumed."""

    results: Path
    acknowledged: list[dict[str, object]]  # measurements that the killed driver had written out
    resumed: subprocess.CompletedProcess[str]

    def sweeps(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments, "--results", str(self.results)], capture_output=True, text=True, check=False
        )


def killed_and_resumed(results: Path) -> Job:
    """Run the quickstart into `results`, kill its driver after KILL_AFTER measurements, and resume it."""
    lines = []
    with subprocess.Popen(
        [*COMMAND, "run", "quickstart", "--json", "--results", str(results)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as driver:
        assert driver.stdout is not None
        for line in driver.stdout:
            lines.append(json.loads(line))
            if sum(row["kind"] == "measured" for row in lines) == KILL_AFTER:
                break
        os.kill(driver.pid, signal.SIGKILL)
        # Lines that are still in the pipe were acknowledged too; the last one may be cut off.
        lines += [json.loads(line) for line in driver.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        os.killpg(driver.pid, signal.SIGKILL)
    resumed = subprocess.run(
        [*COMMAND, "resume", "quickstart", "--results", str(results)], capture_output=True, text=True, check=False
    )
    return Job(results, [row for row in lines if row["kind"] == "measured"], resumed)
