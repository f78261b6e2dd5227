"""Nodes that do not see the sweep's folder take no part: a checkpoint would be lost with them."""

from pathlib import Path

import pytest

from sweeps.execution import sharing
from sweeps.execution.sharing import make_mark
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
