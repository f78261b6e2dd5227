"""Tests of published speeds: the numbers of the page are those of the tables next to it."""

import math

import pandas as pd
from test_reference import REFERENCE, rows, words

from sweeps.search.intervals import interval

PEERS = ("Ray Tune", "Ray Tune, from the default", "Optuna, two processes", "Optuna, from the default")


def spread(values: pd.Series, form: str = ".2f") -> str:
    return f"{values.median():{form}} ({values.min():{form}} to {values.max():{form}})"


def speed_of(name: str) -> pd.DataFrame:
    return pd.read_parquet(REFERENCE / f"speed/{name}.parquet")


def measured() -> dict[str, tuple[float, str, float]]:
    """Return for each target the measured value, whether the bound is a least or a most, and the bound."""
    runs, waited = speed_of("throughput"), speed_of("time_to_accuracy")
    # Where a median is censored at 200 s, ours was at least this many times sooner.
    sooner = waited.assign(seconds=waited["seconds"].clip(upper=200)).groupby("arm")["seconds"].median()
    runs["speed"] = runs["epochs"] / runs["seconds"]
    speeds = runs.pivot_table(index="round", columns="arm", values="speed")
    times = {arm: (speeds["ours"] / speeds[arm]).median() for arm in speeds}
    trains = speed_of("training_speed").set_index(["model", "batch"])
    small, large = trains.loc["custom_cnn"], trains.loc[["alexnet", "vgg"]]
    overhead = speed_of("overhead")
    costs = overhead.groupby(["arm", "trials"])["milliseconds"].median()
    random = overhead[overhead["arm"] == "random"].pivot_table(index="round", columns="trials", values="milliseconds")
    late = (5500 * random[7500] + 500 * random[8000]) / 6000
    waits = speed_of("latency").groupby("what")["seconds"].median()
    more = speed_of("memory").groupby("arm")["further_mib"].median()
    loops = ("float32 to DataLoader", "bfloat16 to DataLoader")
    return {
        "times the epochs/s of Ray Tune": (times["Ray Tune"], "least", 4),
        "times the epochs/s of Optuna in two processes": (times["Optuna, two processes"], "least", 2.5),
        **{f"times sooner at 98.5 % than {arm}": (sooner[arm] / sooner["ours"], "least", 3) for arm in PEERS},
        "times the bare loop, float32, all models": (trains["float32 to bare"].min(), "least", 0.95),
        "times the DataLoader loop, float32, small CNN": (small[loops[0]].min(), "least", 1.6),
        "times the DataLoader loop, float32, AlexNet and VGG": (large[loops[0]].min(), "least", 1.6),
        "times the DataLoader loop, bfloat16, small CNN": (small[loops[1]].min(), "least", 2.2),
        "times the DataLoader loop, bfloat16, AlexNet and VGG": (large[loops[1]].min(), "least", 2.2),
        "times batch 128 at batch 512, all models": (
            trains["float32 to batch 128"].xs(512, level="batch").min(),
            "least",
            0.95,
        ),
        "ms a trial of no work, random, from 400 to 2,000": (costs["random", 2000], "most", 30),
        "times that, from 2,000 to 8,000": ((late / random[2000]).median(), "most", 1.3),
        "ms a trial of no work, TPE, from 7,500 to 8,000": (costs["TPE", 8000], "most", 60),
        "s to the first measurement": (waits["first measurement"], "most", 12),
        "s until a sweep of 10,000 trials goes on": (waits["a sweep of 10,000 trials goes on"], "most", 10),
        "MiB of a further trial beyond torch": (
            max(more["10,000 digits"], more["70,000 digits"]) - more["torch imported"],
            "most",
            100,
        ),
    }


def test_what_was_asked_for_is_told_with_what_was_reached_and_what_was_not() -> None:
    told = rows("asked for")
    found = measured()

    assert [row["asked for"] for row in told] == list(found)
    for row in told:
        value, side, bound = found[row["asked for"]]
        assert row["bound"] == f"at {side} {bound:g}"
        assert row["measured"] == (f"{value:.2f}" if bound < 10 else f"{value:.1f}")
        assert row["reached"] == ("yes" if (value >= bound) == (side == "least") else "no")


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
        of_float32 = "" if arm in ("ours", "ours, float32") else spread(speeds["ours, float32"] / speeds[arm])
        assert row["in float32 by"] == of_float32


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
    told = rows("trials of no work")

    for arm, own in found.groupby("arm"):
        each = {
            row["trials of no work"].removeprefix(f"{arm}, "): row
            for row in told
            if row["trials of no work"].startswith(f"{arm}, ")
        }
        marks = {f"to {mark:,}": at for mark, at in own.groupby("trials")}
        for place, at in marks.items():
            assert each[place]["ms each"] == spread(at["milliseconds"], ".1f")
            assert each[place]["driver, MiB"] == f"{at['memory'].max():.0f}"
        assert each["with its end"]["ms each"] == spread(own.groupby("round")["whole_milliseconds"].first(), ".1f")
    assert len(told) == len(found[["arm", "trials"]].drop_duplicates()) + found["arm"].nunique()


def test_what_a_concurrent_trial_costs_in_memory_is_told_as_it_was_measured() -> None:
    told = rows("memory of trials at a time, MiB")

    found = speed_of("memory").groupby("arm")
    assert {row["memory of trials at a time, MiB"] for row in told} == set(found.groups)
    for row in told:
        own = found.get_group(row["memory of trials at a time, MiB"])
        assert (row["two"], row["four"]) == (f"{own['few_mib'].median():.0f}", f"{own['many_mib'].median():.0f}")
        assert row["a further one"] == spread(own["further_mib"], ".0f")


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
            "to write, ms": f"{1000 * measured['save']:.1f}",
            "digest, ms": f"{1000 * measured['digest']:.1f}",
            "of an epoch, %": f"{100 * measured['share']:.2f}",
        }


def test_how_much_of_many_slots_is_used_is_told_as_it_was_measured() -> None:
    (used,) = set(speed_of("concurrency")["used"])
    most = speed_of("concurrency")["memory"].max()

    assert f"{100 * used:.1f} % of what 64 slots can do" in words(REFERENCE / "README.md")
    assert f"its driver took at most {most:.0f} MiB while trials ran" in words(REFERENCE / "README.md")
