"""What is published of speed: the numbers that the page tells are those of the tables beside it."""

import math

import pandas as pd
from test_reference import REFERENCE, rows


def spread(values: pd.Series, form: str = ".2f") -> str:
    return f"{values.median():{form}} ({values.min():{form}} to {values.max():{form}})"


def speed_of(name: str) -> pd.DataFrame:
    return pd.read_parquet(REFERENCE / f"speed/{name}.parquet")


def test_how_fast_sweeps_are_is_told_as_it_was_measured() -> None:
    runs = speed_of("throughput")
    runs["speed"] = runs["epochs"] / runs["seconds"]
    speeds = runs.pivot_table(index="round", columns="arm", values="speed")
    told = rows("27 trainings")

    assert len(speeds) >= 3
    assert {row["27 trainings"] for row in told} == set(speeds)
    for row in told:
        arm = row["27 trainings"]
        assert row["epochs/s"] == spread(speeds[arm])
        assert row["ours is faster by"] == ("" if arm == "ours" else spread(speeds["ours"] / speeds[arm]))


def test_how_soon_an_accuracy_is_reached_is_told_as_it_was_measured() -> None:
    seconds = speed_of("time_to_accuracy").pivot_table(index="seed", columns="arm", values="seconds")
    told = rows("until 98.5 %")

    assert len(seconds) >= 5
    assert {row["until 98.5 %"] for row in told} == set(seconds)
    for row in told:
        found = seconds[row["until 98.5 %"]]
        assert row["median, s"] == (f"{found.median():.0f}" if math.isfinite(found.median()) else "over 200")
        assert row["by seed, s"] == ", ".join(f"{s:.0f}" if math.isfinite(s) else "over 200" for s in found)


def test_how_fast_a_trial_trains_is_told_as_it_was_measured() -> None:
    found = speed_of("training_speed").to_dict("records")
    told = rows("model, batch")

    assert len(told) == len(found) == 9
    for row, measured in zip(told, found, strict=True):
        assert row.pop("model, batch") == f"{measured['model']}, {measured['batch']}"
        assert row.pop("images/s") == f"{measured['ours, float32']:,.0f}"
        assert row == {name: f"{measured[name]:.2f}" for name in row}
