"""Tests of advised commands: whatever a user's folder is called, a shell reads back the same words."""

import shlex
import subprocess
from pathlib import Path

import pytest
from strange import FOLDERS

from study.downloads import DATA_DIR_VARIABLE, default_data_dir
from study.experiments import ExperimentError, load_experiment
from sweeps.commands import command, install
from sweeps.errors import SpecError
from sweeps.names import as_path
from sweeps.spec import load_spec
from sweeps.store.earlier import read_warm_start
from sweeps.store.folders import SweepFolder, list_folders

SHELL = 'eval "set -- $1"; printf "%s\\0" "$@"'


def words_of(line: str) -> list[bytes]:
    """Return the words into which bash splits a line."""
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


def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(DATA_DIR_VARIABLE, "~/data")
    (tmp_path / "mine.toml").write_text("trials = 1\n[space]\nlearning_rate = { float = [0.01, 0.1] }\n")

    assert load_spec("~/mine.toml").name == "mine"
    assert default_data_dir() == tmp_path / "data"
    with pytest.raises(ExperimentError, match=f"no experiment in {tmp_path}/exp_1"):
        load_experiment("~/exp_1")
    with pytest.raises(SpecError, match=f"{tmp_path}/earlier/trials.parquet"):
        read_warm_start(load_spec("quickstart"), "~/earlier", tmp_path)


def test_an_extra_can_be_installed_without_a_clone() -> None:
    assert "pip install 'nn-training-study[dashboard]'" in install("dashboard")
