"""Tests of the notebook: it runs from top to bottom, and the committed copy was run and reveals no machine."""

import copy
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "nn_training_study.ipynb"
LIMIT = 300  # seconds per cell; all cells together take a few minutes on two cores


@pytest.fixture(scope="module")
def committed() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def executed(folder: Path) -> nbformat.NotebookNode:
    """Return the notebook, run in a fresh kernel; CellExecutionError names a cell that fails."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the ids of the cells that show a figure."""
    outputs = [(cell.id, output.get("data", {})) for cell in code(notebook) for output in cell.outputs]
    return [cell for cell, data in outputs if "image/png" in data]


def printed(notebook: nbformat.NotebookNode) -> str:
    return "".join(o.text for cell in code(notebook) for o in cell.outputs if o.output_type == "stream")


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(executed: nbformat.NotebookNode) -> None:
    assert [cell.execution_count for cell in code(executed)] == list(range(1, len(code(executed)) + 1))


@pytest.mark.slow
def test_each_figure_of_the_committed_notebook_is_there_again(
    committed: nbformat.NotebookNode, executed: nbformat.NotebookNode
) -> None:
    assert pictures(executed) == pictures(committed)


@pytest.mark.slow
def test_the_winner_replays_and_the_panel_names_a_wrong_choice(executed: nbformat.NotebookNode) -> None:
    assert "identical: True" in printed(executed)
    assert "learning_rate: must be greater than 0, but got 0.0" in printed(executed)


@pytest.mark.slow
def test_it_leaves_nothing_where_it_ran(executed: nbformat.NotebookNode, folder: Path) -> None:
    assert not list(folder.iterdir())


def test_what_is_committed_was_run_as_a_whole(committed: nbformat.NotebookNode) -> None:
    assert [cell.execution_count for cell in code(committed)] == list(range(1, len(code(committed)) + 1))
    assert len(pictures(committed)) > 10
    assert not [o for cell in code(committed) for o in cell.outputs if o.get("name") == "stderr"]


# At least two folders from the root, and neither the end of a tag nor part of an address.
ABSOLUTE_PATH = re.compile(r"(?<![\w<.:/])/[A-Za-z][\w.-]*/[\w.-]*")


def text_of(notebook: nbformat.NotebookNode) -> str:
    """Return the notebook's text without pictures and widget buffers, whose encoding can contain any text."""
    bare = copy.deepcopy(notebook)
    for cell in code(bare):
        for output in cell.outputs:
            output.get("data", {}).pop("image/png", None)
    for states in bare.metadata.get("widgets", {}).values():
        for widget in states["state"].values():
            widget.pop("buffers", None)
    return nbformat.writes(bare)


def test_an_absolute_path_is_known_as_one() -> None:
    assert ABSOLUTE_PATH.search(f"in {Path(__file__).absolute()}")
    assert ABSOLUTE_PATH.search(f'"{Path.home()}/')
    assert not ABSOLUTE_PATH.search("<td>a/b</td> results/custom_cnn and https://example.org/a/b")


def test_what_is_committed_holds_no_path_of_a_machine(committed: nbformat.NotebookNode) -> None:
    assert ABSOLUTE_PATH.findall(text_of(committed)) == []


@pytest.mark.parametrize("word", ["iopub.", "http://"])
def test_what_is_committed_tells_nothing_of_a_machine(word: str) -> None:
    assert word not in NOTEBOOK.read_text("utf-8")
