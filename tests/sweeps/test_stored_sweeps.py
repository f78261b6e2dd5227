"""Tests of sweeps with results in an object store, on a real S3 endpoint: any machine continues from another's."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from functions import bowl_with_checkpoint
from object_stores import Endpoint, store_at
from postgresql_server import Server
from simulation import Simulation, open_driver, small_spec, told

from sweeps.errors import LedgerError
from sweeps.execution import conclusion
from sweeps.execution.conclusion import _claim
from sweeps.execution.driver import Driver
from sweeps.execution.sharing import make_mark
from sweeps.execution.stopping import StopWord
from sweeps.execution.worker import MESSAGE, worker_class
from sweeps.search.history import Decided
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.objects import ObjectStore
from sweeps.store.postgresql import Database

TARGET = "functions:bowl_with_checkpoint"


def test_a_node_that_can_fetch_the_mark_takes_part_and_one_that_fetches_another_does_not(bucket: str) -> None:
    folder = SweepFolder(Path(bucket), "one")
    folder.create()
    mark = make_mark(folder)
    shutil.rmtree(folder.results)
    assert mark.missing() is None

    shutil.rmtree(folder.results)
    folder.drop(folder.logs)
    assert "does not see" in (mark.missing() or "")


class Elsewhere(Driver):
    """A driver that hands every leg to a machine without a copy of the checkpoint."""

    def hand_out(self, key: Any) -> Any:
        leg = super().hand_out(key)
        shutil.rmtree(leg.checkpoint.parent, ignore_errors=True)
        return leg


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_sweep_whose_every_leg_is_on_another_machine_is_told_like_one_on_a_single_machine(
    bucket: str, tmp_path: Path, seed: int
) -> None:
    results = {"one": tmp_path / "one", "many": Path(bucket)}
    folders = {}
    for kind, place in results.items():
        folders[kind] = SweepFolder(place, "bowl")
        folders[kind].create()
        spec = small_spec(target=TARGET, trials=6)
        driver = (Elsewhere if kind == "many" else Driver)(
            spec, folders[kind], Ledger.create(folders[kind].ledger, spec)
        )
        driver.start({})
        Simulation(driver, seed=seed).run()
        assert not list(driver.history.noted("warning"))

    rows = told(folders["many"])
    assert rows == told(folders["one"])
    assert [row for row in rows if isinstance(row, Decided) and row.verdict == "promote"]


def test_a_store_that_goes_away_ends_the_session_and_no_trial(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder(Path(bucket), "bowl")
    driver = open_driver(folder, small_spec(target=TARGET, trials=2))
    driver.start({})

    def refuse(*_: object) -> None:
        raise LedgerError("the object store is away")

    with monkeypatch.context() as away:
        away.setattr(ObjectStore, "send", refuse)
        with pytest.raises(
            LedgerError, match=r"the checkpoint of trial \d can't be written \(the object store is away"
        ):
            Simulation(driver).run()
    assert {trial.state for trial in driver.history.search} == {"running"}

    again = open_driver(folder, small_spec(target=TARGET, trials=2))
    again.start({})
    Simulation(again).run()
    assert "running" not in {trial.state for trial in again.history.search}


def test_two_sweeps_that_store_a_model_get_a_number_each(bucket: str, server: Server, database: str) -> None:
    claimed = []
    for name in ("one", "two"):
        folder = SweepFolder(Path(bucket), name)
        folder.create()
        spec = small_spec(name=name)
        driver = Driver(spec, folder, Ledger.create(Database.parse(server.url(database), name), spec))
        claimed.append(_claim(driver, "custom_cnn"))
        shutil.rmtree(folder.results)  # the next one runs on another machine

    assert [place.name for place in claimed if place] == ["exp_1", "exp_2"]


def test_a_model_that_was_not_sent_before_a_kill_is_not_taken_for_a_stored_one(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SweepFolder(Path(bucket), "bowl")
    driver = open_driver(folder, small_spec(target=TARGET, trials=1))
    driver.start({})
    Simulation(driver).run()
    trial = driver.history.search[0]
    model = folder.results / "custom_cnn" / "exp_1"
    model.mkdir(parents=True)
    (model / "metadata.json").write_text("whole, but here alone")
    facts = {"sweep": "bowl", "trial": trial.key.label, "digest": trial.last and trial.last.digest}
    monkeypatch.setattr(conclusion, "load_experiment", lambda found: SimpleNamespace(folder=found, metadata=facts))
    monkeypatch.setattr(conclusion, "_scores", lambda found, results: {"experiment": found.folder.name})
    monkeypatch.setattr(type(driver.spec), "trial_config", lambda *_: SimpleNamespace(model="custom_cnn"))

    assert conclusion._stored(driver, trial) is None
    store_at(bucket).send(model / "metadata.json")
    assert conclusion._stored(driver, trial) == {"experiment": "exp_1"}


@pytest.fixture
def legs(bucket: str) -> tuple[SweepFolder, list[Any]]:
    """Return the folder of a sweep in a store, and the legs of its first two trials."""
    folder = SweepFolder(Path(bucket), "bowl")
    driver = open_driver(folder, small_spec(target=TARGET, trials=3))
    driver.start({})
    return folder, [driver.next_leg() for _ in range(2)]


@pytest.fixture
def worker(legs: tuple[SweepFolder, list[Any]], scratch: Path) -> Any:
    """Return a worker that holds the first leg, without Tune's own set-up."""
    folder, (first, _) = legs
    made = worker_class(small_spec(target=TARGET), bowl_with_checkpoint, None, StopWord(), make_mark(folder))
    worker = made.__new__(made)
    worker.setup({"leg": first})
    return worker


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which this process makes temporary folders."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_log_of_every_leg_is_sent_and_gone_on_with(
    bucket: str, legs: tuple[SweepFolder, list[Any]], worker: Any
) -> None:
    folder, (first, second) = legs
    worker.step()
    worker._take(second)
    assert "0.log" in store_at(bucket).names(folder.logs)
    worker.step()
    worker._take(first)  # as after its promotion
    worker.step()
    worker.cleanup()
    assert "1.log" in store_at(bucket).names(folder.logs)
    assert len(folder.fetched(folder.log("0")).read_text().splitlines()) == 2


def test_a_worker_keeps_no_copy_of_what_it_left(
    bucket: str, legs: tuple[SweepFolder, list[Any]], worker: Any, scratch: Path
) -> None:
    folder, (first, second) = legs
    for leg in (second, first):
        worker.step()
        assert len(list(scratch.rglob("checkpoint.pt"))) == 1
        worker._take(leg)
        assert not list(scratch.rglob("checkpoint.pt"))
    worker.cleanup()
    assert not list(scratch.iterdir())
    assert not list(folder.checkpoints.rglob("*"))
    assert store_at(bucket).names(folder.checkpoints) == ["0", "1"]


def test_where_the_log_cannot_be_fetched_the_trial_does_not_go_on(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LedgerError("the object store is away")

    monkeypatch.setattr(ObjectStore, "fetch", refuse)
    message = worker.step()[MESSAGE]
    assert (message.kind, message.reason) == ("unsaved", "the object store is away")


def test_what_cannot_be_removed_from_a_store_is_a_warning_and_ends_nothing(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise LedgerError("the object store is away")

    driver = open_driver(SweepFolder(Path(bucket), "bowl"), small_spec(target=TARGET, trials=6))
    driver.start({})
    monkeypatch.setattr(ObjectStore, "remove", refuse)
    Simulation(driver).run()

    assert "running" not in {trial.state for trial in driver.history.search}
    texts = [note.body["text"] for note in driver.history.noted("warning")]
    assert texts
    assert all("`sweeps clean` removes it (the object store is away)" in text for text in texts)


SPEC = """
trials = 3
space.learning_rate = { float = [0.005, 0.1], log = true, default = 0.02 }
training = { epochs = 2, batch_size = 256 }
selection = { candidates = 1, seeds = 1, published_seeds = 1 }
"""


@pytest.mark.slow
def test_a_sweep_in_a_store_is_run_shown_extended_and_replayed_from_machines_without_a_copy(
    bucket: str, endpoint: Endpoint, server: Server, database: str, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(SPEC)
    environment = {**os.environ, "SWEEPS_LEDGER": server.url(database)}

    def call(*arguments: str) -> str:
        cache = tmp_path / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        command = [str(Path(sys.executable).with_name("sweeps")), *arguments, "--results", bucket]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert str(cache) not in done.stdout or "(sent to" in done.stdout
        return done.stdout + done.stderr

    told = call("run", "small.toml")
    assert f"model:  {bucket}/custom_cnn/exp_1" in told
    assert f"tables: {bucket}/sweeps/small/*.parquet" in told
    assert "small" in call("list")
    more = call("resume", "small", "--trials", "+3")
    assert "starts again" not in more
    assert "identical: trial " in call("reproduce", "small")
    assert f"(sent to {bucket}/sweeps/small)" in call("report", "small")
    assert "verified" in call("verify", "small")

    store = store_at(bucket)
    folder = SweepFolder(Path(bucket), "small")
    tables = {"trials.parquet", "measurements.parquet", "selection.parquet"}
    assert {*tables, "sweep.toml", "best.toml", "report.html", "ledger.url", "logs"} <= set(folder.names)
    assert store.size(folder.checkpoints) > 0
    assert "removed the checkpoints" in call("clean", "small")
    assert store.size(folder.checkpoints) == 0
    secret = endpoint.environment["AWS_SECRET_ACCESS_KEY"].encode()
    store.complete(store.copy)
    kept = [path for path in store.copy.rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert not [path for path in kept if secret in path.read_bytes()]
