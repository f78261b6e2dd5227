"""What is published of speed: the numbers that the page tells are those of the tables beside it."""

import math

import pandas as pd
from test_reference import REFERENCE, rows

from sweeps.search.intervals import interval


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


def test_what_a_person_waits_for_is_told_as_it_was_measured() -> None:
    waits = speed_of("latency").groupby("what")["seconds"]
    told = rows("what a person waits for")

    assert {row["what a person waits for"] for row in told} == set(waits.groups)
    for row in told:
        found = waits.get_group(row["what a person waits for"])
        assert (row["s"], row["runs"]) == (spread(found, ".1f"), str(len(found)))


def test_what_a_trial_costs_beside_its_training_is_told_as_it_was_measured() -> None:
    found = speed_of("overhead").groupby(["sampler", "trials"])
    told = rows("sampler, trials of no work")

    assert len(told) == len(found)
    for row, (key, group) in zip(told, found, strict=True):
        assert row["sampler, trials of no work"] == f"{key[0]}, to {key[1]:,}"
        assert (row["ms each"], row["driver, MiB"]) == (
            spread(group["milliseconds"], ".1f"),
            f"{group['memory'].max():.0f}",
        )


def test_what_a_further_trial_needs_of_memory_is_told_as_it_was_measured() -> None:
    found = speed_of("memory").to_dict("records")
    told = rows("memory of trials at a time, MiB")

    assert [row["memory of trials at a time, MiB"] for row in told] == [measured["arm"] for measured in found]
    for row, measured in zip(told, found, strict=True):
        values = (measured["few_mib"], measured["many_mib"], measured["further_mib"])
        assert (row["two"], row["four"], row["a further one"]) == tuple(f"{value:.0f}" for value in values)


def test_what_a_checkpoint_costs_is_told_as_it_was_measured() -> None:
    found = speed_of("checkpoints").to_dict("records")
    told = rows("model, optimizer")

    assert [row["model, optimizer"] for row in told] == [f"{one['model']}, {one['optimizer']}" for one in found]
    for row, one in zip(told, found, strict=True):
        assert (row["MiB"], row["ms"]) == (f"{one['mib']:.1f}", f"{1000 * one['save']:.0f}")
        assert row["of an epoch"] == f"{one['share']:.2%}"


def test_what_bfloat16_does_to_accuracy_is_told_as_it_came_out() -> None:
    runs = speed_of("precision").pivot_table(index="seed", columns="precision", values="validation_accuracy")
    found = interval((runs["bfloat16"] - runs["float32"]).tolist())
    assert found is not None
    low, high = (f"{bound:+.4f}".replace("-", "−") for bound in (found.low, found.high))
    mean = f"{found.mean:+.4f}".replace("-", "−")
    text = " ".join((REFERENCE / "README.md").read_text("utf-8").split())

    assert f"bfloat16 minus float32, {len(runs)} seeds in pairs: {mean} [{low}, {high}]" in text
