"""The README: every command, file and program in it is run, in the order in which a newcomer meets them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from killed_job import Job

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent

_BY_SERVER = "tests/sweeps/test_postgresql_outages.py runs the like on a server of its own"
RUN_ELSEWHERE = {
    "pip install uv && uv run sweeps run quickstart": "tests/test_main_job.py runs it, kills it and resumes it",
    "uv run pytest": "that is this",
    "uv run sweeps run quickstart --name shared --ledger postgresql://me@dbhost/team": _BY_SERVER,
    "uv run sweeps resume shared": _BY_SERVER,
    "uv run sweeps dashboard quickstart": "tests/sweeps/test_dashboard.py serves it",
    "uv venv && uv pip install --torch-backend cpu -e . && uv run --no-sync sweeps run quickstart": "untested, it says",
}


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block, in order."""
    return BLOCK.findall((ROOT / "README.md").read_text("utf-8"))


def commands() -> list[str]:
    return [line for language, text in blocks() if language == "sh" for line in text.splitlines()]


@pytest.fixture(scope="module")
def place(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's files, and the results of its quickstart."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(job.results, folder / "results")
    for language, text in blocks():
        if language != "sh":
            (folder / text.splitlines()[0].removeprefix("# ")).write_text(text, "utf-8")
    return folder


def test_each_file_says_its_name_and_each_command_is_run() -> None:
    assert {language for language, _ in blocks()} == {"sh", "python", "toml"}
    for language, text in blocks():
        if language != "sh":
            assert re.match(r"# \w+\.(py|toml)\n", text), text
    assert set(commands()) >= set(RUN_ELSEWHERE)


@pytest.mark.parametrize("command", [line for line in commands() if line not in RUN_ELSEWHERE])
def test_a_command_of_the_readme_works(place: Path, command: str) -> None:
    program, *arguments = command.removeprefix("uv run ").split()
    done = subprocess.run([str(BIN / program), *arguments], cwd=place, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    if "reproduce" in arguments:
        assert re.search("^identical", done.stdout, re.MULTILINE)


def test_every_path_that_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    named = set(re.findall(r"\]\(([^)]+)\)", text)) | {"CONTRIBUTING.md", "sweeps/presets/quickstart.toml"}
    named |= {"results/README.md", "study/digits/README.md", "notebooks/README.md"}

    assert [path for path in named if not (ROOT / path).exists()] == []
