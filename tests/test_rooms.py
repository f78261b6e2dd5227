"""Tests of the rooms and their arrows: which imports are allowed, what stays light, and what each door shows."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("search_spaces", "study", "sweeps")
FORBIDDEN = {
    "search_spaces": {"study", "sweeps", "ray", "optuna", "torch", "torchvision", "numpy", "pandas"},
    "study": {"search_spaces", "sweeps", "ray", "optuna", "pandas", "pyarrow"},
    "sweeps": {"torchvision"},
}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a module imports anywhere in its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_where_its_arrows_point(room: str) -> None:
    assert modules(room)
    for path in modules(room):
        assert not imported(path) & FORBIDDEN[room], path


# Within sweeps: what a room may import from the others. The modules at its top that all may use hold no state.
INNER = {
    "search": {"search"},
    "store": {"search", "store"},
    "execution": {"search", "store", "execution"},
    "report": {"search", "store", "report", "result"},
    "terminal": {"search", "store", "execution", "terminal", "result", "comparison"},
    "cluster": {"store", "execution", "terminal", "cluster", "api"},
}
COMMON = {
    "clock",
    "direction",
    "commands",
    "design",
    "digits",
    "errors",
    "names",
    "returning",
    "rules",
    "sections",
    "signals",
    "spec",
    "spec_files",
}


@pytest.mark.parametrize("room", INNER)
def test_a_room_of_sweeps_imports_only_from_the_rooms_beneath_it(room: str) -> None:
    paths = sorted((ROOT / "sweeps" / room).glob("*.py"))
    assert len(paths) > 1
    for path in paths:
        names = re.findall(r"(?:from|import) sweeps\.(\w+)", path.read_text("utf-8"))
        assert set(names) <= INNER[room] | COMMON, path


def test_the_search_is_pure() -> None:
    impure = {"ray", "time", "os", "pathlib", "sqlalchemy", "pyarrow", "pandas", "random"}
    for path in sorted((ROOT / "sweeps" / "search").glob("*.py")):
        assert not imported(path) & impure, path


@pytest.mark.parametrize("path", [path for room in ROOMS for path in modules(room)], ids=str)
def test_a_module_opens_with_a_sentence_and_fits_one_idea(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))

    assert docstring is not None
    assert docstring.split("\n\n")[0].rstrip().endswith((".", "?"))
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("room", ROOMS)
def test_everything_in_all_can_be_had(room: str) -> None:
    package = importlib.import_module(room)

    assert package.__all__ == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name


LIGHT = {
    "search_spaces": ("torch", "numpy", "pydantic", "ray"),
    "study": ("torch", "numpy"),
    "study.config": ("torch", "numpy"),
    "study.measurement": ("torch", "numpy"),
    "study.seeds": ("torch", "numpy"),
    "study.data": ("torch", "torchvision"),
    "study.experiments": ("torch",),
    "study.figures": ("torch", "matplotlib"),
    "study.panel": ("ipywidgets", "matplotlib"),
    "study.predictions": ("torch",),
    "sweeps": ("torch", "ray", "pandas", "optuna"),
    "sweeps.cli": ("torch", "ray", "pandas", "optuna"),
    "sweeps.api": ("torch", "ray", "optuna"),
    "sweeps.running": ("torch", "ray", "optuna"),
    "sweeps.execution.tune": ("torch", "torchvision"),
    "sweeps.execution.worker": ("torch", "torchvision"),
}


@pytest.mark.parametrize("module", LIGHT)
def test_importing_stays_light(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {LIGHT[module]!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.strip() == "[]"


def test_reading_a_sweeps_results_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys; import sweeps, sweeps.result, sweeps.store.export; "
        "import sweeps.terminal.showing, sweeps.search.optuna_view; "
        "print([name for name in ('torch', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.strip() == "[]"
