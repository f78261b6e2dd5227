"""Results in an object store, on a real S3 endpoint: any machine goes on from what another sent there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from object_stores import Endpoint
from postgresql_server import Server
from simulation import Simulation, open_driver, small_spec, told

from sweeps.errors import LedgerError, SpecError
from sweeps.execution.conclusion import _claim
from sweeps.execution.driver import Driver
from sweeps.execution.sharing import make_mark
from sweeps.search.history import Decided
from sweeps.store.folders import SweepFolder, list_folders
from sweeps.store.ledger import Ledger
from sweeps.store.objects import ObjectStore, object_store
from sweeps.store.places import new_place, remember
from sweeps.store.postgresql import Database

TARGET = "functions:bowl_with_checkpoint"


def store_at(url: str) -> ObjectStore:
    found = object_store(url)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://team/results", "http:// is no object store: give s3://BUCKET/FOLDER, or a folder"),
        ("file:///tmp/results", "file:// is no object store"),
        ("s3://key:secret@team/results", "a URL has no user, password or options: give them in the environment"),
        ("s3://team/results?access_key=1", "a URL has no user, password or options"),
        ("s3://", "names no bucket and folder"),
        ("s3://team/../other", "names no bucket and folder"),
    ],
)
def test_a_url_that_is_no_object_store_is_refused_in_one_line(url: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as refused:
        object_store(url)
    assert "secret" not in str(refused.value)


def test_a_path_is_no_url_and_a_url_that_became_a_path_is_still_one() -> None:
    assert object_store(Path("results")) is None
    assert object_store(Path("/s3/results")) is None
    assert object_store(Path("s3://team/results/")) == object_store("s3://team/results")


def test_what_is_sent_is_fetched_elsewhere_and_what_is_gone_is_gone_there_too(bucket: str) -> None:
    store = store_at(bucket)
    path = store.copy / "sweeps" / "one" / "sweep.toml"
    path.parent.mkdir(parents=True)
    path.write_text("name = 'one'")
    store.send(path)
    shutil.rmtree(store.copy)

    assert store.fetch(path)
    assert path.read_text() == "name = 'one'"
    assert store.names(store.copy / "sweeps") == ["one"]
    assert store.size(store.copy) == len("name = 'one'")
    store.remove(path.parent)
    assert not store.fetch(path)
    assert not path.exists()


def test_a_copy_of_a_model_that_was_fetched_in_part_is_completed(bucket: str) -> None:
    folder = SweepFolder(Path(bucket), "one")
    model = folder.results / "custom_cnn" / "exp_1"
    model.mkdir(parents=True)
    for name in ("metadata.json", "model.pth"):
        (model / name).write_text(name)
        store_at(bucket).send(model / name)
    (model / "model.pth").unlink()  # as after a kill in the middle

    assert folder.experiment("custom_cnn/exp_1") == model
    assert (model / "model.pth").read_text() == "model.pth"


def test_sweeps_in_a_store_are_listed_without_a_copy_and_one_that_is_not_there_is_named(bucket: str) -> None:
    folder = SweepFolder(Path(bucket), "one")
    folder.create()
    remember(folder, Database.parse("postgresql://owner@host/team", "one"))
    folder.send()
    shutil.rmtree(folder.results)

    assert [found.name for found in list_folders(Path(bucket))] == ["one"]
    with pytest.raises(LookupError, match=rf"no sweep named 'two' in {bucket} \(there: one\)"):
        folder.beside("two").require()


def test_results_in_a_store_need_a_ledger_that_can_be_locked(bucket: str) -> None:
    with pytest.raises(SpecError, match="results in an object store need a ledger in PostgreSQL"):
        new_place(SweepFolder(Path(bucket), "one"), None)


def test_a_store_that_is_away_or_lacks_the_bucket_is_one_line_before_anything_starts(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LedgerError, match=r"the object store s3://nobody/x can't be written \(.*bucket does not exist"):
        SweepFolder(Path("s3://nobody/x"), "one").create()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(LedgerError, match=r"the object store s3://team/away can't be written .* credentials"):
        SweepFolder(Path("s3://team/away"), "one").create()


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
    """Hands every leg to a machine that has no copy yet."""

    def hand_out(self, key: Any) -> Any:
        leg = super().hand_out(key)
        shutil.rmtree(leg.checkpoint.parent, ignore_errors=True)
        return leg


@pytest.mark.parametrize("seed", [0, 1])
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
        shutil.rmtree(folder.results)  # the next is on another machine

    assert [place.name for place in claimed if place] == ["exp_1", "exp_2"]


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
