"""Tests of an object store on a real S3 endpoint: files are sent whole, fetched elsewhere, and refused in words."""

import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from object_stores import store_at

from sweeps.errors import LedgerError, SpecError
from sweeps.store.folders import SweepFolder, list_folders
from sweeps.store.objects import ObjectStore, object_store
from sweeps.store.places import new_place, remember
from sweeps.store.postgresql import Database


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://team/results", "http:// is no object store: give s3://BUCKET/FOLDER, or a folder"),
        ("file:///tmp/results", "file:// is no object store"),
        ("s3://key:secret@team/results", "a URL has no user, password or options: give them in the environment"),
        ("s3://key:secret/half@team/results", "a URL has no user, password or options"),
        ("s3://key@team/results", "a URL has no user, password or options"),
        ("abfss://team:secret@account/results", "a URL has no user, password or options"),
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
        """A store in which the user presses Ctrl-C as each stream opens."""

        def open_output_stream(self, key: str) -> object:
            stream = opened(key)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return stream

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process of a shell ignores it
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


def test_an_old_copy_is_brought_up_to_date_and_not_put_over_what_another_machine_wrote(bucket: str) -> None:
    folder = SweepFolder(Path(bucket), "one")
    folder.create()
    for path in (folder.best, folder.table("trials")):
        path.write_text("old")
    folder.send()
    folder.best.write_text("new")
    folder.send()
    store_at(bucket).delete(folder.table("trials"))
    folder.best.write_text("old")  # as on a machine that took no part

    folder.refresh()
    assert folder.best.read_text() == "new"
    assert not folder.table("trials").exists()
    folder.discard(folder.best)
    assert not folder.best.exists()
    assert "best.toml" not in folder.names


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


def broken(monkeypatch: pytest.MonkeyPatch, times: int, error: str) -> list[int]:
    """Let the next `times` writes of a store fail, and return a list that grows by one with each try."""
    put, tries = ObjectStore._put, list[int]()

    def fail(store: ObjectStore, path: Path) -> None:
        tries.append(1)
        if len(tries) <= times:
            raise OSError(error)
        put(store, path)

    monkeypatch.setattr(ObjectStore, "_put", fail)
    monkeypatch.setattr("sweeps.store.objects._PAUSE", 0.0)
    return tries


def test_a_worker_waits_for_a_store_that_is_away_for_a_moment(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = replace(store_at(bucket), patience=60.0)
    path = store.copy / "a"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a")
    for said in ("AWS Error NETWORK_CONNECTION during PutObject", "AWS Error SLOW_DOWN (HTTP status 503)"):
        with monkeypatch.context() as away:
            tries = broken(away, 3, said)
            store.send(path)
        assert len(tries) == 4
    path.unlink()
    assert store.fetch(path)


def test_a_store_that_refuses_is_not_asked_again_and_one_that_stays_away_is_given_up(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_at(bucket)
    path = store.copy / "a"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a")
    for patience, said in ((60.0, "AWS Error ACCESS_DENIED"), (0.0, "AWS Error NETWORK_CONNECTION")):
        with monkeypatch.context() as away:
            tries = broken(away, 3, said)
            with pytest.raises(LedgerError, match=f"can't be written .{said}"):
                replace(store, patience=patience).send(path)
        assert len(tries) == 1
