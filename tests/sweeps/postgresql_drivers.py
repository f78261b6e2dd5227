"""Helpers that drive and read ledgers in PostgreSQL: drivers, processes, and looks from outside."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from simulation import small_spec

from sweeps.errors import LeaseError
from sweeps.execution.driver import Driver
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.places import new_place, remember
from sweeps.store.postgresql import Database

HERE = Path(__file__).parent
ENOUGH = 120  # s for what takes seconds: only a hang runs into it, not slowness


def seqs(place: Database) -> list[int]:
    with closing(Ledger.open(place, read_only=True)) as reader:
        return [stamp.seq for stamp, _ in reader.rows()]


def everything_in(folder: Path) -> str:
    return "".join(path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


def driver_of(folder: SweepFolder, url: str, **options: object) -> Driver:
    """Return a driver on a new ledger in a database."""
    spec = small_spec(name=folder.name, **options)
    place = new_place(folder, url)
    folder.create()
    driver = Driver(spec, folder, Ledger.create(place, spec))
    remember(folder, place)
    return driver


def python(*arguments: str, cwd: Path | None = None, env: Mapping[str, str] = os.environ) -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **env, "PYTHONPATH": paths},
    )


def opened_when_free(place: Database) -> Ledger:
    """Return the ledger as soon as the server has noticed that its driver is dead."""
    deadline = time.monotonic() + ENOUGH
    while True:
        try:
            return Ledger.open(place)
        except LeaseError:
            assert time.monotonic() < deadline


def read_until(process: "subprocess.Popen[str]", measured: int) -> list[dict[str, Any]]:
    """Return the lines that the process prints, up to `measured` measurements."""
    lines: list[dict[str, Any]] = []
    assert process.stdout is not None
    while sum(line["kind"] == "measured" for line in lines) < measured:
        text = process.stdout.readline()
        assert text, process.communicate()[1]
        lines.append(json.loads(text))
    return lines
