"""Tests of a full disk: one clear line, nothing acknowledged is lost, and the sweep continues once there is space."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from simulation import Simulation, open_driver, rows_of, small_spec, told

from sweeps.errors import LedgerError
from sweeps.execution.messages import Leg, Message
from sweeps.execution.ordering import InOrder
from sweeps.search.history import Measured, Row, Stamp
from sweeps.store.folders import SweepFolder

Disk = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Disk]]:
    """Yield a small disk and a function that resizes it."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)

    yield place, resize
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("target", ["bowl_with_checkpoint", "bowl_with_large_checkpoint"])
def test_a_full_disk_stops_the_sweep_in_one_line_and_loses_nothing(
    disk: tuple[Path, Disk], tmp_path: Path, target: str
) -> None:
    """Check a disk that the ledger fills, and one that the checkpoints fill."""
    place, resize = disk
    spec = small_spec(target=f"functions:{target}", deterministic=True, trials=40)
    undisturbed = SweepFolder(tmp_path / "undisturbed", "bowl")
    driver = open_driver(undisturbed, spec)
    driver.start({})
    Simulation(InOrder(driver)).run()

    folder, seen = SweepFolder(place, "bowl"), []

    def observe(stamp: Stamp, row: Row) -> None:
        seen.append((stamp, row))

    driver = open_driver(folder, spec, observe=observe)
    driver.start({})
    with pytest.raises(LedgerError, match=r"disk is full|No space left on device.*then `sweeps resume`") as caught:
        Simulation(InOrder(driver)).run()
    assert len(str(caught.value).splitlines()) == 1
    assert any(isinstance(row, Measured) for _, row in seen)
    resize("100m")

    again = open_driver(folder, spec)
    again.start({})
    Simulation(InOrder(again)).run()
    assert rows_of(folder)[: len(seen)] == seen
    assert told(folder) == told(undisturbed)


def test_what_cannot_be_saved_ends_the_session_and_not_the_trial(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec())
    driver.start({})
    leg = driver.next_leg()
    assert isinstance(leg, Leg)
    with pytest.raises(LedgerError, match=r"^the checkpoint x can't be written .no space.: .*then `sweeps resume`$"):
        driver.receive(leg.key, Message("unsaved", reason="the checkpoint x can't be written (no space)"))

    assert driver.history.trials[leg.key].state == "running"
