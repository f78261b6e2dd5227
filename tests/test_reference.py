"""What is published: the numbers that a page tells are those of the tables beside it."""

import re
from pathlib import Path

import pandas as pd
import pytest

from sweeps.search.effects import interval

REFERENCE = Path(__file__).parents[1] / "results/reference"


def rows(first_column: str) -> list[dict[str, str]]:
    """The table of reference/README.md whose first column has that title."""
    text = (REFERENCE / "README.md").read_text("utf-8")
    table = next(block for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE) if f"| {first_column} |" in block)
    titles, _, *lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
    return [dict(zip(titles, line, strict=True)) for line in lines]


def with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def test_the_baselines_told_are_those_of_the_table() -> None:
    cells = pd.read_parquet(REFERENCE / "mnist_baselines/cells.parquet").to_dict("records")
    told = rows("model")

    assert [row["model"] for row in told] == [cell["model"] for cell in cells]
    for row, cell in zip(told, cells, strict=True):
        assert (row["epochs"], row["seeds"]) == (str(cell["epochs"]), str(cell["n"]))
        assert row["validation accuracy"] == with_interval(cell["mean"], cell["low"], cell["high"])
        assert row["test accuracy"] == with_interval(cell["test_accuracy"], cell["test_low"], cell["test_high"])
        assert float(row["s an epoch"]) == pytest.approx(cell["epoch_seconds"], rel=0.02)
        assert float(row["s a run"]) == pytest.approx(cell["seconds"], rel=0.02)


def test_what_range_tests_bought_is_told_as_it_came_out() -> None:
    runs = pd.read_parquet(REFERENCE / "range_test/quickstart_space.parquet")
    names = ("winner_mean", "searched", "test_accuracy", "ramp_epochs", "epochs_trained", "epochs_until_good")
    means = runs.groupby("arm")[list(names)].mean()
    by_seed = runs.pivot_table(index="seed", columns="arm", values="winner_mean")
    text = (REFERENCE / "README.md").read_text("utf-8")

    assert len(by_seed) >= 5
    for row in rows("bounds"):
        arm, *told = row.values()
        assert [float(value) for value in told] == pytest.approx(means.loc[arm].tolist(), abs=0.05)
        assert [float(value) for value in told[:3]] == pytest.approx(means.loc[arm].tolist()[:3], abs=0.00006)
    for arm, start in (("preset", "paired by seed: "), ("wide", "minus wide: ")):
        found = interval((by_seed["measured"] - by_seed[arm]).tolist())
        assert found is not None
        low, high = (f"{bound:+.4f}".replace("-", "−") for bound in (found.low, found.high))
        assert re.search(rf"{start}\{found.mean:+.4f}, (95 % interval )?{low}\s+to\s+\{high}", text)


def test_the_small_cnn_is_where_it_should_be() -> None:
    cells = pd.read_parquet(REFERENCE / "mnist_baselines/cells.parquet").set_index("model")

    assert cells.loc["custom_cnn", "test_accuracy"] >= 0.992
    assert (cells["n"] >= 3).all()
