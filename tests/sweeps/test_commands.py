"""Advised commands: whatever a user's folder is called, a shell reads back the same words."""

import shlex
import subprocess
from pathlib import Path

import pytest
from strange import FOLDERS

from sweeps.commands import command, install
from sweeps.names import as_path
from sweeps.store.folders import SweepFolder, list_folders

SHELL = 'eval "set -- $1"; printf "%s\\0" "$@"'


def words_of(line: str) -> list[bytes]:
    """What bash takes a line for."""
    done = subprocess.run(["bash", "-c", SHELL, "bash", line], capture_output=True, check=True)
    return done.stdout.split(b"\0")[:-1]


@pytest.mark.parametrize("name", FOLDERS, ids=ascii)
def test_a_shell_reads_back_every_word_of_a_command(name: str) -> None:
    line = command("resume", "small", results=f"/out/{name}", trials=None, insecure=True, follow=False)

    expected = ["sweeps", "resume", "small", "--results", f"/out/{name}", "--insecure"]
    assert words_of(line) == [word.encode("utf-8", "surrogateescape") for word in expected]
    if name.isprintable():
        assert shlex.split(line) == expected


@pytest.mark.parametrize("name", FOLDERS, ids=ascii)
def test_the_command_about_a_sweep_finds_its_folder(tmp_path: Path, name: str) -> None:
    folder = SweepFolder(tmp_path / name, "small")
    folder.create()
    folder.ledger.touch()

    found = words_of(folder.command("show"))[-1].decode("utf-8", "surrogateescape")

    assert [each.path for each in list_folders(Path(found))] == [folder.path]


def test_the_default_folder_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert SweepFolder(Path("results"), "small").command("show") == "sweeps show small"
    assert SweepFolder(Path("with blank"), "small").command("show", trial=3) == (
        f"sweeps show small --trial 3 --results '{tmp_path}/with blank'"
    )


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert SweepFolder(Path("~/out"), "small").results == tmp_path / "out"
    assert as_path("~") == tmp_path
    assert as_path("a~b/~") == Path("a~b/~")


def test_an_extra_can_be_installed_without_a_clone() -> None:
    assert "pip install 'nn-training-study[dashboard]'" in install("dashboard")
