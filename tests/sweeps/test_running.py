"""Tests of starting a sweep from a spec: which folder it gets, and that a sweep refused at its start leaves none."""

import threading
from pathlib import Path

import pytest
from functions import bowl, flat
from simulation import open_driver, small_spec

from sweeps.errors import InterruptedSweepError, ResourceError, SpecError, SweepNotFoundError
from sweeps.execution.driver import Driver
from sweeps.execution.functions import source_hash
from sweeps.running import _changed_source, _check_bound, new_folder, start
from sweeps.search.history import History, Noted, Stamp
from sweeps.store.folders import SweepFolder
from sweeps.store.lease import is_held, lease


def test_the_specs_own_name_gets_a_number_where_it_is_taken(folder: SweepFolder) -> None:
    spec = small_spec()
    names = []
    for _ in range(3):
        claimed, named = new_folder(folder.results, spec, name_was_given=False)
        open_driver(claimed, named)
        names.append(named.name)

    assert names == ["bowl", "bowl-2", "bowl-3"]


def test_a_given_name_that_is_taken_is_refused(folder: SweepFolder) -> None:
    open_driver(folder, small_spec())

    with pytest.raises(SpecError, match=r"there is a sweep named 'bowl'.*`sweeps resume bowl --results /.*`, or"):
        new_folder(folder.results, small_spec(), name_was_given=True)


def test_a_folder_that_a_kill_left_before_the_first_commit_is_free(folder: SweepFolder) -> None:
    folder.create()
    folder.spec.write_text("a spec")

    assert new_folder(folder.results, small_spec(), name_was_given=True)[0] == folder
    with pytest.raises(SweepNotFoundError):
        folder.require()


def test_a_folder_whose_driver_is_about_to_begin_is_taken(folder: SweepFolder) -> None:
    folder.create()
    assert not is_held(folder.lease)
    with lease(folder.lease, "bowl"):
        assert is_held(folder.lease)
        assert new_folder(folder.results, small_spec(), name_was_given=False)[1].name == "bowl-2"
    assert not is_held(folder.lease)


def test_a_sweep_refused_before_it_began_leaves_no_folder(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ResourceError("more than there is")

    monkeypatch.setattr("sweeps.running._drive", refused)
    with pytest.raises(ResourceError):
        start(small_spec(), folder, None, None, "none", verbose=False)

    assert not folder.path.exists()


def test_what_was_recorded_stays_whatever_is_raised_later(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def later(driver: Driver, *_: object, **__: object) -> None:
        driver.start({})
        raise ResourceError("more than there is")

    monkeypatch.setattr("sweeps.running._drive", later)
    with pytest.raises(ResourceError):
        start(small_spec(), folder, None, None, "none", verbose=False)

    assert folder.ledger.exists()
    assert Path(folder.spec).exists()


def test_a_function_that_was_changed_between_two_sessions_is_told() -> None:
    history = History()
    assert _changed_source(bowl, history) is None
    history.apply(Stamp(1, 0.0), Noted("session", {"source_hash": source_hash(bowl)}))

    assert _changed_source(bowl, history) is None
    assert "changed since the last session" in str(_changed_source(flat, history))
    assert _changed_source(None, history) is None


def test_a_session_is_bounded_by_one_or_more_and_a_deterministic_sweep_by_its_spec_alone() -> None:
    _check_bound(small_spec(), 2)
    with pytest.raises(SpecError, match="concurrency: give 1 or more, but got 0"):
        _check_bound(small_spec(), 0)
    with pytest.raises(SpecError, match="a deterministic sweep has the one in its spec"):
        _check_bound(small_spec(deterministic=True, concurrency=3), 2)


def test_a_second_sweep_in_a_process_is_refused_while_the_first_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), list[str]()

    def drive(driver: Driver, *_: object, **__: object) -> None:
        begun.set()
        may_end.wait(60)
        ended.append(driver.spec.name)

    def run(name: str) -> None:
        start(small_spec(name=name), SweepFolder(tmp_path, name), None, None, "none", verbose=False)

    monkeypatch.setattr("sweeps.running._drive", drive)
    first = threading.Thread(target=run, args=("one",))
    first.start()
    assert begun.wait(60)
    with pytest.raises(ResourceError, match="one at a time"):
        run("two")
    assert not SweepFolder(tmp_path, "two").path.exists()
    may_end.set()
    first.join()
    run("two")

    assert ended == ["one", "two"]


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])  # raised by our handlers and by Ray's
def test_a_signal_while_ray_starts_stops_the_sweep_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: type[BaseException]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise signal

    monkeypatch.setattr("sweeps.running.session", interrupted)
    with pytest.raises(InterruptedSweepError, match="stopped; everything reported is kept"):
        start(small_spec(), SweepFolder(tmp_path, "bowl"), None, None, "none", verbose=False)
