"""Tests of comparing sweeps: what each found, how far it was behind and when, and what two of them share."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from simulation import TABLE, small_spec, swept

import sweeps
from study.measurement import Measurement
from sweeps.comparison import Comparison
from sweeps.errors import SpecError
from sweeps.search.comparing import Entry, check_comparable, standing
from sweeps.search.contrasts import common_trials, configuration, pairs, space_contrasts
from sweeps.search.history import Asked, History, Measured, Noted, Row, Stamp, TrialKey
from sweeps.search.incumbent import best_so_far
from sweeps.spec import SweepSpec, load_spec

QUICK = {"sampler": "random", "trials": 6}
WIDE = {"x": {"float": [0.0, 2.0], "default": 0.5}, "kind": {"choice": ["a", "b", "c"]}, "z": 3}
CELLS = [{"name": "near", "params": {"x": 0.4, "kind": "a"}}, {"name": "far", "params": {"x": 0.9, "kind": "a"}}]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with two finished sweeps on different spaces, one that stopped, and a design."""
    place = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        swept(place, "narrow", **QUICK)
        swept(place, "wide", **QUICK, seed=1, space=WIDE)
        swept(place, "stopped", **QUICK, seed=2, trials_begun=5)
        table = {key: value for key, value in TABLE.items() if key in ("metric", "direction", "target")}
        planned = load_spec({"name": "planned", **table, "design": {"cells": CELLS, "seeds": 2}})
        swept(place, "planned", spec=planned)
    return place


@pytest.fixture(scope="module")
def all_four(results: Path) -> Comparison:
    return sweeps.compare("narrow", "wide", "stopped", "planned", results=results)


def entry(name: str, spec: SweepSpec, *rows: Row) -> Entry:
    return Entry(name, spec, History((Stamp(seq, float(seq)), row) for seq, row in enumerate(rows, start=1)))


class Named(NamedTuple):
    """The part of a result that a comparison reads."""

    name: str
    spec: SweepSpec
    history: History = History()


def model(training: dict[str, Any], space: dict[str, Any], **changes: Any) -> SweepSpec:
    return load_spec({"name": "model", "trials": 2, "training": training, "space": space, **changes})


def tried(number: int, params: dict[str, Any], *values: float, metric: str = "validation_accuracy") -> list[Row]:
    """Return the rows of a trial with one report per epoch."""
    key = TrialKey(number)
    reports = [Measurement(n, n, float(n), 0.1, {metric: value}) for n, value in enumerate(values, start=1)]
    return [Asked(key, params, 1, 0), *(Measured(key, report) for report in reports)]


def test_what_a_sweep_found_and_took_is_what_its_ledger_says(results: Path, all_four: Comparison) -> None:
    row = all_four.sweeps.set_index("sweep").loc["wide"]
    result = sweeps.load("wide", results=results)
    outcome = result.history.outcome or {}

    assert row["low"] < row["mean"] < row["high"]
    assert (row["best"], row["mean"], row["seeds"]) == (f"trial {outcome['winner']}", outcome["mean"], outcome["n"])
    assert row["trials"] == len(result.trials) == 6
    assert row["epochs"] == result.measurements.groupby(["trial", "replicate"])["fidelity"].max().sum()
    assert row["seconds"] == result.history.worked
    assert row["missing"] == ""


def test_an_interval_is_told_where_the_outcome_has_one() -> None:
    values = {"mean": 0.3, "low": 0.2, "high": 0.4, "n": 2, "test_accuracy": 0.9}
    body = {"winner": 0, "metric": "loss", "basis": "evaluation", **values}
    spec = model({}, {"learning_rate": {"float": [0.1, 0.2]}})
    found = standing(entry("a", spec, *tried(0, {"learning_rate": 0.1}, 0.5), Noted("outcome", body)))

    assert (found.best, found.mean, found.low, found.high, found.test_accuracy) == ("trial 0", 0.3, 0.2, 0.4, 0.9)
    searched = Noted("outcome", {**body, "basis": "search", "low": None, "high": None})
    assert standing(entry("a", spec, *tried(0, {"learning_rate": 0.1}, 0.5), searched)).best == "trial 0, not confirmed"


def test_what_a_sweep_can_not_tell_is_named(all_four: Comparison) -> None:
    rows = all_four.sweeps.set_index("sweep")

    assert rows.loc["stopped", "missing"] == "not over: no mean on fresh seeds yet"
    assert rows.loc["stopped", ["best", "mean"]].isna().all()
    assert rows.loc["planned", "best"] == "near"
    assert rows.loc["planned", "low"] < rows.loc["planned", "mean"] < rows.loc["planned", "high"]
    assert "not on fresh ones" in rows.loc["planned", "missing"]


def test_regret_is_told_at_moments_that_are_common_to_all(all_four: Comparison) -> None:
    frame = all_four.regret

    for _, course in frame.groupby("over"):
        moments = course.groupby("sweep")["at"].apply(list)
        assert len(moments) == 4
        assert all(found == moments.iloc[0] == sorted(found) for found in moments)


def test_regret_falls_to_nothing_for_the_best_and_is_unknown_before_and_after_a_sweep(
    results: Path, all_four: Comparison
) -> None:
    frame = all_four.regret[all_four.regret["over"] == "epochs"].set_index("sweep")
    best = frame["value"].min()

    assert frame["regret"].min() == 0
    for name, course in frame.groupby(level=0):
        result = sweeps.load(str(name), results=results)
        path = best_so_far(result.spec, result.history)
        known = course[course["regret"].notna()]
        assert known["regret"].is_monotonic_decreasing
        assert known["regret"].iloc[-1] == pytest.approx(path[-1].value - best)
        assert (known["at"].min(), known["at"].max()) == (
            path[0].epochs,
            all_four.sweeps.set_index("sweep").loc[name, "epochs"],
        )


def test_spaces_differ_in_bounds_choices_and_in_what_one_of_them_has_alone(all_four: Comparison) -> None:
    rows = all_four.spaces.set_index("parameter")[["narrow", "wide"]].to_dict("index")

    assert rows == {
        "x": {"narrow": "float 0 to 1, default 0.5", "wide": "float 0 to 2, default 0.5"},
        "kind": {"narrow": "one of a, b, default a", "wide": "one of a, b, c, default a"},
        "y": {"narrow": "int 1 to 4, default 2, when kind is b", "wide": "-"},
        "z": {"narrow": "-", "wide": "= 3"},
    }


def test_a_sweep_may_be_named_like_a_column() -> None:
    wide, narrow = ({"learning_rate": {"float": [0.1, high]}} for high in (0.3, 0.2))
    found = Comparison([Named("parameter", model({}, wide)), Named("other", model({}, narrow))])  # type: ignore[list-item]

    assert list(found.spaces.columns) == ["parameter_", "parameter", "other"]
    assert found.spaces.loc[0, "parameter_"] == "learning_rate"


def test_a_knob_that_one_holds_fixed_and_the_other_leaves_out_is_compared_at_its_default() -> None:
    space = {"learning_rate": {"float": [0.1, 0.2]}}
    fixed = [entry(str(size), model({"batch_size": size}, space)) for size in (128, 32)]
    left_out = entry("left out", model({}, space))

    conditional = entry("conditional", model({"momentum": 0.9}, space))

    assert space_contrasts([fixed[0], left_out, conditional]) == []
    (found,) = space_contrasts([fixed[1], left_out])
    assert (found.parameter, found.by_sweep) == ("batch_size", {"32": "= 32", "left out": "= 128"})


def test_a_configuration_is_the_same_whether_its_knobs_are_varied_or_fixed() -> None:
    varied = model({"schedule": "cosine"}, {"batch_size": {"choice": [32, 128]}})
    fixed = model({"schedule": "cosine", "batch_size": 128}, {"momentum": {"float": [0.5, 0.99], "default": 0.9}})

    assert configuration(varied, {"batch_size": 128}) == configuration(fixed, {"momentum": 0.9})
    assert configuration(varied, {"batch_size": 32}) != configuration(fixed, {"momentum": 0.9})


@pytest.mark.parametrize(("schedule", "is_same"), [("cosine", False), ("step", True)])
def test_a_longer_run_is_the_same_only_where_its_schedule_begins_alike(schedule: str, is_same: bool) -> None:
    specs = [
        model({"schedule": schedule, "epochs": epochs}, {"dropout": {"choice": [False, True]}}) for epochs in (3, 9)
    ]
    configurations = [configuration(spec, {"dropout": True}) for spec in specs]

    assert (configurations[0] == configurations[1]) == is_same


def test_common_trials_are_compared_in_pairs_at_the_highest_fidelity_of_both() -> None:
    spec = model({"epochs": 3}, {"batch_size": {"choice": [32, 128, 512], "default": 128}})
    ours = [*tried(0, {"batch_size": 128}, 0.5, 0.6, 0.7), *tried(1, {"batch_size": 32}, 0.8)]
    theirs = [*tried(0, {"batch_size": 32}, 0.7), *tried(1, {"batch_size": 128}, 0.5, 0.9)]
    theirs += [*tried(2, {"batch_size": 128}, 0.5, 0.7), *tried(3, {"batch_size": 512}, 0.1)]
    entries = [entry("ours", spec, *ours), entry("theirs", spec, *theirs)]
    found = common_trials(entries)
    (pair,) = pairs(entries, found)

    told = [(one.trials, one.fidelity, one.values) for one in found]
    assert told == [((0, 1), 2.0, (0.6, pytest.approx(0.8))), ((1, 0), 1.0, (0.8, 0.7))]
    assert pair.difference is not None
    assert (pair.difference.n, pair.difference.mean) == (2, pytest.approx(0.05))


def test_sweeps_without_a_common_trial_have_no_paired_difference(all_four: Comparison) -> None:
    row = all_four.pairs.set_index(["sweep_first", "sweep_second"])

    assert row.loc[("narrow", "wide"), "n"] == 0
    assert row.loc[("narrow", "stopped"), "n"] == 1  # the baseline
    assert len(row) == 6


@pytest.mark.parametrize(("names", "says"), [((), "but got none"), (("a",), "but got a"), (("a", "b", "a"), "twice")])
def test_one_sweep_alone_and_the_same_twice_are_refused(names: tuple[str, ...], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        sweeps.compare(*names)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metric": "validation_loss"}, "the metric of 'other' is validation_loss"),
        ({"training": {"dataset": "kmnist"}}, "the data set of 'other' is kmnist, that of 'one' is mnist_sample"),
    ],
)
def test_values_without_a_common_scale_are_refused(changes: dict[str, Any], says: str) -> None:
    space = {"learning_rate": {"float": [0.1, 0.2]}}
    other = load_spec({"name": "model", "trials": 2, "space": space, **changes})

    with pytest.raises(SpecError, match=says):
        check_comparable([entry("one", model({}, space)), entry("other", other)])


def test_sweeps_in_opposite_directions_are_refused() -> None:
    with pytest.raises(SpecError, match="the direction of 'other' is maximize"):
        check_comparable([entry("one", small_spec()), entry("other", small_spec(direction="maximize"))])


def test_the_command_tells_it_all_as_tables_as_json_and_as_a_figure(call: Any, results: Path, tmp_path: Path) -> None:
    names = ("narrow", "wide", "stopped", "--results", str(results))
    code, out, _ = call("compare", *names, "--figure", str(tmp_path / "regret.png"))
    _, text, _ = call("compare", *names, "--json")
    told = json.loads(text)

    assert code == 0
    assert (tmp_path / "regret.png").read_bytes().startswith(b"\x89PNG")
    for words in ("not over", "regret over seconds", "spaces and fixed knobs differ", "1 common configuration"):
        assert words in out
    assert [row["sweep"] for row in told["sweeps"]] == ["narrow", "wide", "stopped"]
    assert set(told) == {"metric", "direction", "sweeps", "regret", "spaces", "pairs", "common"}
    assert told["common"][0]["params"] == {"kind": "a", "x": 0.5}
    assert call("compare", "narrow", "gone", "--results", str(results))[0] == 3
