"""Tests of the published page: its numbers are those of the tables next to it."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from sweeps.search.history import History
from sweeps.search.intervals import interval, of_accuracy
from sweeps.spec import load_spec
from sweeps.store.export import tables

REFERENCE = Path(__file__).parents[1] / "results/reference"


def rows(first_column: str) -> list[dict[str, str]]:
    """Return the rows of the table in reference/README.md whose first column has that title."""
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


def ranks_told(mean: float, low: float, high: float, sign: str = "") -> str:
    return f"{mean:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]".replace("-", "−")


@pytest.mark.parametrize(
    ("name", "first_column", "seeds"),
    [("peers", "searcher", 20), ("settings", "setting of TPE", 20), ("thinning", "what TPE is shown", 6)],
)
def test_the_ranks_of_searchers_are_told_as_they_came_out(name: str, first_column: str, seeds: int) -> None:
    frame = pd.read_parquet(REFERENCE / f"search/{name}.parquet")
    over_time = frame.groupby(["arm", "task", "seed"])["rank"].mean()
    at_the_end = frame[frame["share"] == 1].set_index(["arm", "task", "seed"])["rank"]
    told = rows(first_column)

    assert frame["task"].nunique() == 4
    assert frame["seed"].nunique() == seeds
    assert [row[first_column] for row in told] == frame["arm"].unique().tolist()
    for row in told:
        arm = row[first_column]
        for column, values in (("rank over time", over_time[arm]), ("rank at the end", at_the_end[arm])):
            found = interval(values.tolist())
            assert found is not None
            assert row[column] == ranks_told(found.mean, found.low, found.high)
        if arm != "ours":
            found = interval((over_time[arm] - over_time["ours"]).tolist())
            assert found is not None
            assert row["minus ours"] == ranks_told(found.mean, found.low, found.high, "+")


def test_what_we_are_behind_is_told() -> None:
    frame = pd.read_parquet(REFERENCE / "search/peers.parquet")
    at_the_end = frame[frame["share"] == 1].set_index(["arm", "task", "seed"])["rank"]
    found = interval((at_the_end["ours"] - at_the_end["Syne Tune CQR"]).tolist())
    assert found is not None
    mean, low, high = (f"{value:+.2f}".replace("-", "−") for value in (found.mean, found.low, found.high))
    text = " ".join((REFERENCE / "README.md").read_text("utf-8").split())

    assert f"ours minus CQR is {mean} ranks, 95 % interval {low} to {high}" in text


def test_the_regrets_of_searchers_are_told_as_they_came_out() -> None:
    frame = pd.read_parquet(REFERENCE / "search/peers.parquet")
    at_the_end = frame[frame["share"] == 1].groupby(["arm", "task"])["regret"].apply(sorted)
    units = {"naval_propulsion": "10⁻⁵", "parkinsons_telemonitoring": "10⁻³", "protein_structure": "10⁻³"}
    units |= {"slice_localization": "10⁻⁵"}

    for row in rows("searcher"):
        for task, unit in units.items():
            scaled = [regret * (1e5 if unit == "10⁻⁵" else 1e3) for regret in at_the_end[row["searcher"], task]]
            middle, low, high = (scaled[9] + scaled[10]) / 2, scaled[5], scaled[14]  # 95.9 % interval, from 20 seeds
            assert row[f"{task.partition('_')[0]}, {unit}"] == f"{middle:.1f} [{low:.1f}, {high:.1f}]"


def test_the_small_cnn_is_where_it_should_be() -> None:
    cells = pd.read_parquet(REFERENCE / "mnist_baselines/cells.parquet").set_index("model")

    assert cells.loc["custom_cnn", "test_accuracy"] >= 0.992
    assert (cells["n"] >= 3).all()


def test_what_pruners_need_is_told_as_it_came_out() -> None:
    sys.path.insert(0, str(REFERENCE.parents[1] / "tests/benchmarks"))
    from pruners import ratios

    told = {row["pruner"]: row for row in rows("pruner")}
    for column, name in (("400 configurations", "pruners"), ("eight tasks", "pruners_by_task")):
        found = ratios(pd.read_parquet(REFERENCE / f"curves/{name}.parquet"))
        assert list(told) == list(found.index)
        for arm, row in told.items():
            ratio, low, high = found.loc[arm, ["ratio", "low", "high"]]
            expected = "1" if ratio == 1 else f"{ratio:.2f} [{low:.2f}, {high:.2f}]"
            assert row[column] == expected, (arm, column)


def test_the_recorded_curves_are_as_many_as_it_says() -> None:
    curves = pd.read_parquet(REFERENCE / "curves/learning_curves.parquet")
    runs = curves.groupby(["config", "replicate"])["report"].max()

    assert (len(runs), set(runs), curves["config"].nunique()) == (800, {27}, 400)


def test_the_defaults_told_in_the_readme_are_those_of_the_benchmarks() -> None:
    text = " ".join((REFERENCE.parents[1] / "README.md").read_text("utf-8").split())
    for row in rows("pruner"):
        if row["pruner"] in ("Ray ASHAScheduler", "Optuna MedianPruner"):
            assert row["eight tasks"].replace("[", "(").replace("]", ")").replace(", ", " to ") in text


def test_the_selections_told_are_those_of_the_table() -> None:
    found = pd.read_parquet(REFERENCE / "selection/coverage.parquet")
    by_line = {(row["task"], row["metric"].removeprefix("validation_"), row["arm"]): row for _, row in found.iterrows()}
    told = rows("table and metric")

    assert found["selections"].min() >= 1000
    assert len(told) == 12
    for line in told:
        row = by_line[(*line["table and metric"].split(", "), line["selection"])]
        coverage = f"{row['coverage']:.3f} [{row['coverage_low']:.3f}, {row['coverage_high']:.3f}]"
        assert line["coverage"] == coverage
        regret = f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"
        assert line["regret, of the best single run's"] == regret
        assert float(line["single run looks too good by"]) == pytest.approx(row["optimism_single"], abs=0.00006)
        assert float(line["trainings"]) == pytest.approx(row["runs"], abs=0.06)


def words(path: Path) -> str:
    return " ".join(path.read_text("utf-8").split())


def outcome_of(sweep: str) -> dict[str, Any]:
    """Return the last outcome that a published sweep's ledger recorded, from the sweep's tables."""
    found: dict[str, Any] = json.loads(pq.read_schema(REFERENCE / sweep / "selection.parquet").metadata[b"outcome"])
    return found


@pytest.mark.parametrize("sweep", ["quickstart", "mnist"])
def test_the_tables_of_a_published_sweep_have_the_columns_of_today(sweep: str) -> None:
    spec = load_spec(REFERENCE / sweep / "sweep.toml")

    for name, table in tables(spec, History()).items():
        published = pq.read_schema(REFERENCE / sweep / f"{name}.parquet")
        # The table of measurements also has a column for each metric, which a sweep without any report lacks.
        assert [field for field in published if field.name in table.schema.names] == list(table.schema)


def test_the_sweep_on_full_mnist_is_told_as_its_tables_say() -> None:
    found, page = outcome_of("mnist"), words(REFERENCE / "README.md")
    low, high = (f"{found[f'difference_{side}']:+.4f}".replace("-", "−") for side in ("low", "high"))
    test = of_accuracy(found["test_accuracy"], found["test_images"])
    reports = pd.read_parquet(REFERENCE / "mnist/measurements.parquet")
    searched = reports[reports["replicate"] == 0].groupby("trial")["fidelity"].max()
    candidates = pd.read_parquet(REFERENCE / "mnist/selection.parquet").query("row == 'candidate'")

    assert (
        f"({searched.sum():.0f} epochs in all, where {len(searched)} whole trainings are {10 * len(searched)})" in page
    )
    assert f"of which {(candidates['decision'] == 'raced out').sum()} candidates were raced out" in page
    assert f"from {found['n']} further seeds: validation accuracy {mean_of(found)}, the baseline's" in page
    assert f"the baseline's {mean_of(found, 'baseline_')}, in pairs {found['difference']:+.4f} [{low}, {high}]" in page
    assert f"read once, its model has {with_interval(test.mean, test.low, test.high)} (10,000 images)" in page
    assert f"had seen the winner at {found['searched']:.4f} after" in page
    assert found["test_reads"] == 1


def mean_of(found: Mapping[str, Any], prefix: str = "") -> str:
    return with_interval(*(found[f"{prefix}{name}"] for name in ("mean", "low", "high")))


def test_the_report_and_the_readme_tell_the_same_of_it() -> None:
    found = outcome_of("mnist")
    mean, test = f"{100 * found['mean']:.2f} %", f"{100 * found['test_accuracy']:.2f} %"
    report, readme = words(REFERENCE / "mnist/report.html"), words(REFERENCE.parents[1] / "README.md")

    assert f"Trial {found['winner']} won: {mean} validation accuracy on {found['n']} fresh seeds" in report
    assert f"its model has {test} (95 % interval" in report
    assert f"{mean.removesuffix(' %')} % validation and {test} test accuracy](results/reference/README.md)" in readme


def test_the_outcome_that_the_readme_shows_is_that_of_the_published_quickstart() -> None:
    found, readme = outcome_of("quickstart"), words(REFERENCE.parents[1] / "README.md")
    low, high = (f"{found[f'difference_{side}']:+.4f}" for side in ("low", "high"))
    test = of_accuracy(found["test_accuracy"], found["test_images"])

    assert f"winner: trial {found['winner']}, validation_accuracy {mean_of(found)} on {found['n']} further" in readme
    assert f"(the baseline has {mean_of(found, 'baseline_')}: {found['difference']:+.4f} [{low}, {high}]" in readme
    assert (
        f"read once: accuracy {with_interval(test.mean, test.low, test.high)}, loss {found['test_loss']:.4f}" in readme
    )


def test_what_both_pages_say_of_the_pick_is_what_the_lines_of_the_default_say() -> None:
    found = pd.read_parquet(REFERENCE / "selection/coverage.parquet")
    usual = found[found["arm"] == "as it comes"]
    is_rare = (usual["task"] == "few") & (usual["metric"] == "validation_accuracy")  # one seed in twenty collapses
    (rare,) = usual[is_rare].to_dict("records")
    low, high = (f"{bound:.2f}" for bound in (usual[~is_rare]["ratio"].min(), usual[~is_rare]["ratio"].max()))
    covered = [
        f"{bound:.0%}".rstrip("%") for bound in (usual[~is_rare]["coverage"].min(), usual[~is_rare]["coverage"].max())
    ]
    readme, page = words(REFERENCE.parents[1] / "README.md"), words(REFERENCE / "README.md")

    assert f"covers the truth in {covered[0]} to {covered[1]} %" in readme
    assert f"the pick's regret is {low} to {high} of the best single run's" in readme
    assert (
        f"{rare['coverage']:.0%}".replace("%", " %") + f" and {rare['ratio']:.2f} where a configuration collapses"
        in readme
    )
    assert f"The interval covers the truth in {covered[0]} to {covered[1]} %** as it comes" in page
    assert f"The pick costs {low} to {high} of the regret** of the best single run, and {rare['ratio']:.2f} on" in page


def test_the_intervals_of_the_live_sweeps_cover_the_truth() -> None:
    live = pd.read_parquet(REFERENCE / "selection/live.parquet")

    assert len(live) == 3
    assert live["covered"].all()


@pytest.mark.parametrize("metric", ["validation_accuracy", "validation_loss"])
def test_on_a_thousand_digits_the_interval_is_honest_and_the_pick_costs_half(metric: str) -> None:
    found = pd.read_parquet(REFERENCE / "selection/coverage.parquet")
    asked = found[
        (found["metric"] == metric) & (found["arm"] == "as it comes") & found["task"].isin(["uniform", "leaders"])
    ]

    assert len(asked) == 2
    assert asked["coverage"].between(0.92, 0.98).all()
    assert (asked["ratio"] <= 0.5).all()
