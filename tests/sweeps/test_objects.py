"""Results in an object store, on a real S3 endpoint: any machine goes on from what another sent there."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from functions import bowl_with_checkpoint
from object_stores import Endpoint
from postgresql_server import Server
from simulation import Simulation, open_driver, small_spec, told

from sweeps.errors import LedgerError, SpecError
from sweeps.execution import conclusion
from sweeps.execution.conclusion import _claim
from sweeps.execution.driver import Driver
from sweeps.execution.sharing import make_mark
from sweeps.execution.stopping import StopWord
from sweeps.execution.worker import MESSAGE, worker_class
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


def test_an_interrupt_while_a_file_is_sent_leaves_it_whole(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(bucket)
    path = store.copy / "trials.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(100_000))
    opened = store._files.open_output_stream

    class Interrupted:
        """A store at whose every stream the user presses Ctrl-C as it opens."""

        def open_output_stream(self, key: str) -> object:
            stream = opened(key)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return stream

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
    try:
        with monkeypatch.context() as pressed:
            pressed.setattr(ObjectStore, "_files", Interrupted())
            with pytest.raises(KeyboardInterrupt):
                store.send(path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert store.size(store.copy) == 100_000


def test_a_file_that_is_not_here_is_told_of_this_machine_and_leaves_what_the_store_has(bucket: str) -> None:
    store = store_at(bucket)
    path = store.copy / "trials.parquet"
    path.parent.mkdir(parents=True)
    path.write_text("whole")
    store.send(path)
    path.unlink()
    with pytest.raises(LedgerError, match=r"the copy of s3://\S+ on \S+, \S+, can't be used \(No such file"):
        store.send(path)
    assert store.fetch(path)
    assert path.read_text() == "whole"


def test_an_empty_file_can_be_sent(bucket: str) -> None:
    store = store_at(bucket)
    path = store.copy / "unreported.jsonl"
    path.parent.mkdir(parents=True)
    path.touch()
    store.send(path)
    assert store.names(store.copy) == ["unreported.jsonl"]


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


def test_an_old_copy_is_brought_up_to_date_and_not_put_over_what_another_machine_wrote(bucket: str) -> None:
    folder = SweepFolder(Path(bucket), "one")
    folder.create()
    for path in (folder.best, folder.table("trials")):
        path.write_text("old")
    folder.send()
    folder.best.write_text("new")
    folder.send()
    store_at(bucket).delete(folder.table("trials"))
    folder.best.write_text("old")  # as on a machine that was not there

    folder.refresh()
    assert folder.best.read_text() == "new"
    assert not folder.table("trials").exists()
    folder.discard(folder.best)
    assert not folder.best.exists()
    assert "best.toml" not in folder.names


def worker_of(folder: SweepFolder, legs: list[Any], scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    spec = small_spec(target=TARGET)
    made = worker_class(spec, bowl_with_checkpoint, None, StopWord(), make_mark(folder))
    worker = made.__new__(made)  # without Tune's own set-up
    worker.setup({"leg": legs[0]})
    return worker


def test_the_log_of_every_leg_is_sent_and_gone_on_with(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SweepFolder(Path(bucket), "bowl")
    driver = open_driver(folder, small_spec(target=TARGET, trials=3))
    driver.start({})
    legs: list[Any] = [driver.next_leg() for _ in range(2)]
    worker = worker_of(folder, legs, tmp_path, monkeypatch)
    worker.step()
    worker._take(legs[1])
    assert "0.log" in store_at(bucket).names(folder.logs)
    worker.step()
    worker._take(legs[0])  # as after its promotion
    worker.step()
    worker.cleanup()
    assert "1.log" in store_at(bucket).names(folder.logs)
    assert len(folder.fetched(folder.log("0")).read_text().splitlines()) == 2


def test_a_worker_keeps_no_copy_of_what_it_left(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder(Path(bucket), "bowl")
    driver = open_driver(folder, small_spec(target=TARGET, trials=3))
    driver.start({})
    legs: list[Any] = [driver.next_leg() for _ in range(2)]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    worker = worker_of(folder, legs, scratch, monkeypatch)
    for leg in (legs[1], legs[0]):
        worker.step()
        assert len(list(scratch.rglob("checkpoint.pt"))) == 1
        worker._take(leg)
        assert not list(scratch.rglob("checkpoint.pt"))
    worker.cleanup()
    assert not list(scratch.iterdir())
    assert not list(folder.checkpoints.rglob("*"))
    assert store_at(bucket).names(folder.checkpoints) == ["0", "1"]


def test_where_the_log_cannot_be_fetched_the_trial_does_not_go_on(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SweepFolder(Path(bucket), "bowl")
    driver = open_driver(folder, small_spec(target=TARGET, trials=3))
    driver.start({})
    worker = worker_of(folder, [driver.next_leg()], tmp_path, monkeypatch)

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


def test_a_bucket_that_is_gone_takes_no_copy_with_it(tmp_path: Path, bucket: str) -> None:
    store = store_at("s3://nobody/x")
    path = store.copy / "checkpoint.pt"
    path.parent.mkdir(parents=True)
    path.write_text("the last")
    with pytest.raises(LedgerError, match="there is no bucket 'nobody'"):
        store.fetch(path)
    assert path.exists()


def test_a_key_that_leaves_its_folder_is_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(bucket)
    key = f"{store._key(store.copy / 'custom_cnn')}/exp_1/../../../escaped.txt"
    monkeypatch.setattr(ObjectStore, "_found", lambda *_, **__: [SimpleNamespace(path=key, is_file=True)])
    with pytest.raises(LedgerError, match="holds a key that leaves its folder"):
        store.complete(store.copy / "custom_cnn")
    with pytest.raises(LedgerError, match="names a model outside its results"):
        SweepFolder(Path(bucket), "one").experiment("../../elsewhere")


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
