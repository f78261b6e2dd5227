"""What is published of speed: the numbers that the page tells are those of the tables beside it."""

import math

import pandas as pd
from test_reference import REFERENCE, rows, words

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


def test_how_long_a_person_waits_is_told_as_it_was_measured() -> None:
    runs = speed_of("latency").groupby("what")["seconds"]
    told = rows("what a person waits for")

    assert [row["what a person waits for"] for row in told] == list(dict.fromkeys(speed_of("latency")["what"]))
    for row in told:
        seconds = runs.get_group(row["what a person waits for"])
        assert row["s"] == spread(seconds, ".1f")
        assert row["runs"] == str(len(seconds))


def test_what_a_trial_costs_beside_its_work_is_told_as_it_was_measured() -> None:
    found = speed_of("overhead")
    told = rows("sampler, trials of no work")

    assert len(told) == found[["sampler", "trials"]].drop_duplicates().shape[0]
    for row in told:
        sampler, _, mark = row["sampler, trials of no work"].partition(", to ")
        own = found[(found["sampler"] == sampler) & (found["trials"] == int(mark.replace(",", "")))]
        assert row["ms each"] == spread(own["milliseconds"], ".1f")
        assert row["driver, MiB"] == f"{own['memory'].max():.0f}"


def test_what_a_concurrent_trial_costs_in_memory_is_told_as_it_was_measured() -> None:
    told = rows("memory of trials at a time, MiB")

    for row, measured in zip(told, speed_of("memory").to_dict("records"), strict=True):
        assert row["memory of trials at a time, MiB"] == measured["arm"]
        for column, name in (("two", "few_mib"), ("four", "many_mib"), ("a further one", "further_mib")):
            assert row[column] == f"{measured[name]:.0f}"


def test_what_bfloat16_costs_in_accuracy_is_told_as_it_was_measured() -> None:
    by = speed_of("precision").pivot_table(index="seed", columns="precision", values="validation_accuracy")
    found = interval((by["bfloat16"] - by["float32"]).tolist())
    assert found is not None
    mean, low, high = (f"{value:+.4f}".replace("-", "−") for value in (found.mean, found.low, found.high))

    assert f"bfloat16 minus float32, {len(by)} seeds in pairs: {mean} [{low}, {high}]" in words(REFERENCE / "README.md")


def test_what_a_checkpoint_costs_is_told_as_it_was_measured() -> None:
    found = speed_of("checkpoints").to_dict("records")
    told = rows("model, optimizer")

    assert len(told) == len(found) == 6
    for row, measured in zip(told, found, strict=True):
        assert row == {
            "model, optimizer": f"{measured['model']}, {measured['optimizer']}",
            "MiB": f"{measured['mib']:.1f}",
            "ms": f"{1000 * measured['save']:.1f}",
            "of an epoch, %": f"{100 * measured['share']:.2f}",
        }


def test_how_much_of_many_slots_is_used_is_told_as_it_was_measured() -> None:
    (used,) = set(speed_of("concurrency")["used"])
    most = speed_of("concurrency")["memory"].max()

    assert f"{100 * used:.1f} % of what 64 slots can do" in words(REFERENCE / "README.md")
    assert f"its driver took at most {most:.0f} MiB while trials ran" in words(REFERENCE / "README.md")
