"""Tests of what travels with a job: its code, and no link, result or secret along with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_requests import fields

from sweeps.cluster import package
from sweeps.cluster.package import OURS, check_target, pack
from sweeps.cluster.requests import FILE, Request
from sweeps.errors import SpecError

REQUEST = Request(**fields())


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "inner").mkdir(parents=True)
    (folder / "bowl.py").write_text("from inner.part import VALUE\ndef distance(params, seed): yield {}\n")
    (folder / "inner" / "part.py").write_text("VALUE = 1\n")
    (folder / "all.py").write_text("from bowl import *\n")
    return folder


def sent(to: Path) -> set[str]:
    own = {path for name in OURS for path in (to / name).rglob("*")}
    return {str(path.relative_to(to)) for path in to.rglob("*") if path.is_file() and path not in own}


def test_the_function_the_packages_and_the_request_travel(code: Path, tmp_path: Path) -> None:
    to = pack(REQUEST, code, tmp_path / "to")

    assert sent(to) == {"all.py", "bowl.py", "inner/part.py", FILE}
    assert json.loads((to / FILE).read_text())["name"] == "bowl"
    seen = subprocess.run(
        [sys.executable, "-c", "import bowl, sweeps, study; print(sweeps.__file__, study.__file__)"],
        cwd=to,
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.split() == [str(to / "sweeps/__init__.py"), str(to / "study/__init__.py")]


def test_results_notebooks_and_hidden_files_stay(code: Path, tmp_path: Path) -> None:
    for name in ("results/big.parquet", "notebooks/n.ipynb", ".env", ".git/config", "inner/__pycache__/x.pyc"):
        (code / name).parent.mkdir(exist_ok=True)
        (code / name).write_text("secret")

    assert sent(pack(REQUEST, code, tmp_path / "to")) == {"all.py", "bowl.py", "inner/part.py", FILE}


def test_without_a_function_no_folder_travels(tmp_path: Path) -> None:
    assert sent(pack(REQUEST, None, tmp_path / "to")) == {FILE}


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "../outside"])
@pytest.mark.parametrize("place", ["link", "inner/link"])
def test_a_link_out_of_the_folder_is_refused(code: Path, tmp_path: Path, target: str, place: str) -> None:
    (tmp_path / "outside").write_text("secret")
    (code / place).symlink_to(target if target[0] == "/" else tmp_path / "outside")

    with pytest.raises(SpecError, match=r"link out of the folder that travels, to /.*: remove it"):
        pack(REQUEST, code, tmp_path / "to")


@pytest.mark.parametrize("hidden", [".env", ".git/config", "inner/.secret", "results/big.parquet"])
def test_a_link_to_what_stays_is_refused(code: Path, tmp_path: Path, hidden: str) -> None:
    (code / hidden).parent.mkdir(exist_ok=True)
    (code / hidden).write_text("secret")
    (code / "settings").symlink_to(code / hidden)

    with pytest.raises(SpecError, match=r"settings is a link to /.*, which does not travel: remove it"):
        pack(REQUEST, code, tmp_path / "to")


def test_a_link_within_the_folder_travels_as_what_it_leads_to(code: Path, tmp_path: Path) -> None:
    (code / "other.py").symlink_to(code / "bowl.py")
    (code / "linked").symlink_to(code / "inner")
    to = pack(REQUEST, code, tmp_path / "to")

    assert sent(to) == {"all.py", "bowl.py", "other.py", "inner/part.py", "linked/part.py", FILE}
    assert not (to / "other.py").is_symlink()


def test_a_link_to_a_folder_that_it_is_in_is_refused(code: Path, tmp_path: Path) -> None:
    (code / "inner" / "circle").symlink_to(code)

    with pytest.raises(SpecError, match=r"circle is a link to a folder that it is in"):
        pack(REQUEST, code, tmp_path / "to")


def test_a_function_that_does_not_travel_is_refused(code: Path) -> None:
    for target in ("bowl:distance", "inner.part:VALUE", "all:distance", "optuna.samplers:f"):
        check_target(target, code)
    with pytest.raises(SpecError, match=r"no function 'distanse' in /.*/bowl.py, did you mean 'distance'\?"):
        check_target("bowl:distanse", code)
    with pytest.raises(SpecError, match=r"module 'bawl' is not in /.*, the folder that travels: name .* --code"):
        check_target("bawl:distance", code)


def test_too_much_code_is_refused_and_names_the_largest_file(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "LARGEST", 1000)
    (code / "data.bin").write_bytes(b"0" * 2000)

    with pytest.raises(SpecError, match=r"data\.bin.*--code.*--data-dir"):
        pack(REQUEST, code, tmp_path / "to")


@pytest.mark.parametrize("code", [Path("/"), Path.home(), Path("/nowhere/at/all")])
def test_a_folder_that_cannot_be_meant_is_refused(code: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        pack(REQUEST, code, tmp_path / "to")


def test_links_that_lead_nowhere_are_refused(code: Path, tmp_path: Path) -> None:
    (code / "one").symlink_to(code / "two")
    with pytest.raises(SpecError, match=r"one is a link that leads nowhere: remove it"):
        pack(REQUEST, code, tmp_path / "to")
    (code / "two").symlink_to(code / "one")
    with pytest.raises(SpecError, match=r"one is a link that leads nowhere: remove it"):
        pack(REQUEST, code, tmp_path / "again")


def test_links_that_lead_to_each_other_are_not_walked_without_end(code: Path, tmp_path: Path) -> None:
    (code / "outer").mkdir()
    (code / "inner" / "out").symlink_to(code / "outer")
    (code / "outer" / "in").symlink_to(code / "inner")

    with pytest.raises(SpecError, match="is a link to a folder that it is in"):
        pack(REQUEST, code, tmp_path / "to")


def test_too_many_files_are_refused(code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MOST", 2)

    with pytest.raises(SpecError, match="has more than 2 files: name a smaller folder with --code"):
        pack(REQUEST, code, tmp_path / "to")


def test_a_module_that_is_only_importable_here_does_not_count_as_installed(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check a module from a folder as of a package installed for editing, which no other node has."""
    monkeypatch.syspath_prepend(str(code))
    (tmp_path / "elsewhere").mkdir()

    with pytest.raises(SpecError, match=f"module 'bowl' is not in {tmp_path}/elsewhere, the folder that travels"):
        check_target("bowl:distance", tmp_path / "elsewhere")
    check_target("json:loads", tmp_path / "elsewhere")
    check_target("numpy.linalg:norm", tmp_path / "elsewhere")
