"""Tests of nodes that do not see the sweep's folder: they take no part, since checkpoints would be lost with them."""

from pathlib import Path

import pytest
import ray
from ray.exceptions import NodeDiedError, RayTaskError

from sweeps.execution import sharing
from sweeps.execution.sharing import _answer, make_mark
from sweeps.store.folders import SweepFolder


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_PATIENCE", 0.0)


def test_who_sees_the_folder_sees_the_mark(folder: SweepFolder) -> None:
    folder.create()

    assert make_mark(folder).missing() is None


def test_an_earlier_sessions_mark_or_none_is_another_folder(folder: SweepFolder) -> None:
    folder.create()
    earlier = make_mark(folder)
    mark = make_mark(folder)

    assert "does not see" in str(earlier.missing())
    mark.path.unlink()
    assert str(folder.path) in str(mark.missing())


def test_a_node_without_the_folder_says_so_at_once_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "_PATIENCE", 3600.0)
    folder = SweepFolder(tmp_path, "bowl")
    folder.create()
    mark = make_mark(folder)
    folder.path.rename(tmp_path / "elsewhere")

    assert "does not see" in str(mark.missing())
    assert not folder.path.exists()


def test_a_node_that_cannot_run_our_code_takes_no_part_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise RayTaskError("look", "Traceback\nModuleNotFoundError: No module named 'pyarrow'", ValueError())

    monkeypatch.setattr(ray, "get", fails)
    assert _answer(None, "worker-3") == (
        "the node worker-3 can't run what this sweep needs (ModuleNotFoundError: No module named 'pyarrow')"
    )


def test_a_node_that_died_meanwhile_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise NodeDiedError("gone")

    monkeypatch.setattr(ray, "get", fails)
    assert _answer(None, "worker-3") is None
