"""The rooms and their arrows: who may import whom, what stays light, and that each door shows what it has."""

import ast
import importlib
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
    """The top-level packages that a module names, wherever in it."""
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
    "sweeps": ("torch", "ray", "pandas", "optuna"),
    "sweeps.cli": ("torch", "ray", "pandas", "optuna"),
    "sweeps.api": ("torch", "ray", "optuna"),
    "sweeps.running": ("torch", "ray", "optuna"),
    "sweeps.execution": ("torch", "torchvision"),
    "sweeps.worker": ("torch", "torchvision"),
}


@pytest.mark.parametrize("module", LIGHT)
def test_importing_stays_light(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {LIGHT[module]!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.strip() == "[]"


def test_reading_a_sweeps_results_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys; import sweeps, sweeps.result, sweeps.export, sweeps.showing, sweeps.optuna_view; "
        "print([name for name in ('torch', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.strip() == "[]"
