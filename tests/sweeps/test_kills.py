"""A test of twenty kills at random moments of one sweep of models: nothing acknowledged is lost, no result changes."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from simulation import rows_of, told

import sweeps
from sweeps.search.history import Decided, Moved
from sweeps.store.folders import SweepFolder

COMMAND = str(Path(sys.executable).with_name("sweeps"))
KILLS = 20
SPEC = """
name = "digits"
trials = 40
deterministic = true

[training]
epochs = 3

[space]
preset = "custom_cnn"
batch_size = 512

[selection]
candidates = 2
seeds = 2
published_seeds = 2
"""


@dataclass
class Watcher:
    """An observer outside the driver, which keeps every measurement that it acknowledges."""

    acknowledged: list[dict[str, Any]] = field(default_factory=list)

    def follow(self, driver: subprocess.Popen[bytes], enough: int, seconds: float) -> None:
        """Read until `enough` measurements are acknowledged and `seconds` more have passed, or the driver ends."""
        assert driver.stdout is not None
        end, rest = None, b""
        while end is None or time.monotonic() < end:
            if end is None and enough <= 0:
                end = time.monotonic() + seconds
            ready, _, _ = select.select([driver.stdout], [], [], 60 if end is None else end - time.monotonic())
            chunk = os.read(driver.stdout.fileno(), 2**16) if ready else b""
            if ready and not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            enough -= self._keep(lines)

    def drain(self, driver: subprocess.Popen[bytes]) -> None:
        """Keep what the pipe of a dead driver still holds, which was acknowledged too, except lines that were cut."""
        assert driver.stdout is not None
        self._keep([line for line in driver.stdout.read().split(b"\n")[:-1] if line.startswith(b"{")])

    def _keep(self, lines: list[bytes]) -> int:
        found = [row for row in map(json.loads, lines) if row["kind"] == "measured"]
        self.acknowledged += found
        return len(found)


def started(results: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [COMMAND, *words, "--json", "--results", str(results)]
    return subprocess.Popen(command, cwd=results, stdout=subprocess.PIPE, start_new_session=True)


@pytest.mark.slow
def test_twenty_kills_of_the_driver_at_random_moments_change_nothing(tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("undisturbed", "killed")}
    for place in places.values():
        place.mkdir()
        (place / "digits.toml").write_text(SPEC)
    started(places["undisturbed"], "run", "digits.toml").communicate()
    expected = SweepFolder(places["undisturbed"], "digits")

    rng, watcher, kills = random.Random(20261125), Watcher(), 0
    folder = SweepFolder(places["killed"], "digits")
    while kills < KILLS:
        driver = started(
            places["killed"], *(("resume", "digits") if folder.ledger.exists() else ("run", "digits.toml"))
        )
        watcher.follow(driver, enough=rng.choice([0, 1, 1, 2, 3]), seconds=rng.uniform(0, 0.5))
        assert driver.poll() is None, "the sweep was over before the last kill"
        os.kill(driver.pid, signal.SIGKILL)
        kills += 1
        watcher.drain(driver)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    driver = started(places["killed"], "resume", "digits")
    watcher.follow(driver, enough=sys.maxsize, seconds=0)
    assert driver.wait() == 0

    result = sweeps.load("digits", results=places["killed"])
    stored = {row["seq"]: row for row in result.measurements.to_dict("records")}
    assert len(watcher.acknowledged) > KILLS
    for row in watcher.acknowledged:
        assert (row["trial"], row["replicate"], row["report"], row["digest"]) == tuple(
            stored[row["seq"]][name] for name in ("trial", "replicate", "report", "digest")
        )
    ends = Counter(
        row.key
        for _, row in rows_of(folder)
        if (isinstance(row, Moved) and row.state != "running") or (isinstance(row, Decided) and row.verdict == "stop")
    )
    assert set(ends.values()) == {1}
    assert told(folder) == told(expected)
    outcomes = [sweeps.load("digits", results=place).history.outcome for place in places.values()]
    assert outcomes[0] == outcomes[1]
    assert sweeps.verify("digits", results=places["killed"]).holds
    assert result.reproduce("best").identical
