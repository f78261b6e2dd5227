"""Tests of the README and the pages it links: each command, file and program is run, in the order a user meets them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from killed_job import Job
from pydantic.fields import FieldInfo

from sweeps.sections import Section
from sweeps.spec import SweepSpec

ROOT = Path(__file__).parents[1]
# In this order a later page may use what an earlier one has made.
PAGES = ("README.md", "sweeps/README.md", "study/README.md", "search_spaces/README.md", "sweeps/cluster/README.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent

_BY_SERVER = "tests/sweeps/test_postgresql_outages.py runs the like on a server of its own"
_BY_CLUSTER = "tests/sweeps/test_jobs.py runs the like on a cluster of its own"
_BY_NODES = "tests/sweeps/test_cluster.py runs the like on nodes that share nothing else"
_SECRETS = "AWS_ACCESS_KEY_ID=me AWS_SECRET_ACCESS_KEY=secret AWS_ENDPOINT_URL=http://store:9000 PGPASSWORD=secret"
_SUBMITTED = (
    "uv run sweeps submit small.toml --results s3://bucket/team --ledger postgresql://me@dbhost/team --concurrency 2"
)
RUN_ELSEWHERE = {
    f"export {_SECRETS}": _BY_NODES,
    _SUBMITTED: _BY_NODES,
    "uv run sweeps cluster start": _BY_CLUSTER,
    "uv run sweeps submit small.toml --results /shared/results --concurrency 2 --follow": _BY_CLUSTER,
    "uv run sweeps list --address http://127.0.0.1:8265": _BY_CLUSTER,
    "uv run sweeps status small": _BY_CLUSTER,
    "uv run sweeps logs small --follow": _BY_CLUSTER,
    "uv run sweeps stop small": _BY_CLUSTER,
    "uv run sweeps submit --resume small --results /shared/results": _BY_CLUSTER,
    "uv run sweeps cluster stop": _BY_CLUSTER,
    "pip install uv && uv run sweeps run quickstart": "tests/test_main_job.py runs it, kills it and resumes it",
    "uv run pytest": "that is this",
    "uv run sweeps run quickstart --name shared --ledger postgresql://me@dbhost/team": _BY_SERVER,
    "uv run sweeps resume shared": _BY_SERVER,
    "uv run sweeps dashboard quickstart": "tests/sweeps/test_dashboard.py serves it",
    "uv venv && uv pip install --torch-backend cpu -e . && uv run --no-sync sweeps run quickstart": "untested, it says",
}
LONG = {
    "uv run python example.py",
    "uv run python effects.py",
    "uv run sweeps baseline --epochs 1",
    "uv run sweeps ablate --factor batch_size --factor dropout --epochs 2 --seconds 1",
    "uv run sweeps resume quickstart --trials +2",
}


def blocks() -> list[tuple[str, str]]:
    """Return the language and the text of each block, in order."""
    return [block for page in PAGES for block in BLOCK.findall((ROOT / page).read_text("utf-8"))]


def commands() -> list[str]:
    return [line for language, text in blocks() if language == "sh" for line in text.splitlines()]


@pytest.fixture(scope="module")
def place(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the README's files and the results of its quickstart."""
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
    assert set(commands()) >= {*RUN_ELSEWHERE, *LONG}


def run_here() -> list[Any]:
    """Return the commands, with those that take most of a minute marked as slow."""
    lines = [line for line in commands() if line not in RUN_ELSEWHERE]
    return [pytest.param(line, marks=[pytest.mark.slow] if line in LONG else []) for line in lines]


@pytest.mark.parametrize("command", run_here())
def test_a_command_of_the_readme_works(place: Path, command: str) -> None:
    program, *arguments = command.removeprefix("uv run ").split()
    done = subprocess.run([str(BIN / program), *arguments], cwd=place, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    if "reproduce" in arguments:
        assert re.search("^identical", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("page", [*PAGES, "tests/README.md"])
def test_every_path_that_a_page_links_is_there(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", (ROOT / page).read_text("utf-8"))

    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_readme_is_one_page() -> None:
    text = (ROOT / "README.md").read_text("utf-8")

    assert len(text.splitlines()) <= 160
    assert len(text.split()) <= 1200


def told_defaults() -> dict[str, str]:
    """Return the default of each key in the table of all keys, by the key."""
    text = (ROOT / "sweeps/README.md").read_text("utf-8").partition("## Every key")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[2] for row in rows}


def keys_of(model: type[Section], prefix: str = "") -> dict[str, FieldInfo]:
    """Return the fields of a spec by their keys; tables are listed with their keys."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        tables = [kind for kind in kinds if issubclass(kind, Section)]
        if not tables or prefix:
            found[f"{prefix}{name}"] = field
        if tables and not prefix:
            found |= keys_of(tables[0], f"{name}.")
    return found


def test_the_table_of_keys_has_every_key_and_its_default() -> None:
    told, fields = told_defaults(), keys_of(SweepSpec)

    assert told.keys() - {"design", "sampler"} == fields.keys() - {"sampler.name"}
    for key, field in fields.items():
        default = field.get_default(call_default_factory=True) if not field.is_required() else None
        if default not in (None, (), {}):
            words = str(default).lower() if isinstance(default, bool) else str(default)
            assert told["sampler" if key == "sampler.name" else key] == words
