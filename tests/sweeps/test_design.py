"""Tests of designs: which trial trains which cell on which seed, and that a file states each fact once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import preset
from study.measurement import Measurement
from sweeps.design import Design
from sweeps.errors import SpecError
from sweeps.search.agenda import Finished, next_work
from sweeps.search.budgets import Ended, ended
from sweeps.search.history import Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.search.suggestion import suggest, trial_seed
from sweeps.spec import SweepSpec, load_spec, parse_spec

CELLS = [
    {"name": "baseline", "params": {"model": "custom_cnn", "learning_rate": 0.05}},
    {"name": "adam", "params": {"model": "custom_cnn", "optimizer": "adam", "learning_rate": 0.001}},
]


def spec_of(training: dict | None = None, **design) -> SweepSpec:
    return load_spec({"name": "planned", "training": training or {}, "design": {"cells": CELLS, **design}})


@given(cells=st.integers(1, 5), seeds=st.integers(1, 4), both=st.booleans())
def test_every_variant_is_trained_once_on_every_seed_and_all_on_the_first_before_any_second(
    cells: int, seeds: int, both: bool
) -> None:
    table = [{"name": f"cell {i}", "params": {"x": i}} for i in range(cells)]
    design = Design.model_validate({"cells": table, "seeds": seeds, **({"epochs": 2, "seconds": 1} if both else {})})
    places = [design.place(number) for number in range(design.trials)]

    assert len({(v.cell, v.protocol, replicate) for v, replicate in places}) == design.trials
    assert [replicate for _, replicate in places] == sorted(replicate for _, replicate in places)
    assert places[0][0].cell == "cell 0"


def test_all_cells_share_the_seeds_and_each_replicate_has_another() -> None:
    spec = spec_of(seeds=3, epochs=2, seconds=1.0)
    seeds = [trial_seed(spec, number) for number in range(spec.trials)]

    assert spec.trials == 12
    assert [len(set(seeds[i : i + 4])) for i in (0, 4, 8)] == [1, 1, 1]
    assert len(set(seeds)) == 3


def test_a_trial_has_the_parameters_of_its_cell_and_the_limit_of_its_protocol() -> None:
    spec = spec_of(epochs=2, seconds=1.5)

    assert suggest(spec, History(), 0) == {**CELLS[0]["params"], "epochs": 2}
    assert suggest(spec, History(), 3) == {**CELLS[1]["params"], "seconds": 1.5}
    assert spec.baseline == suggest(spec, History(), 0)


def test_a_design_prunes_nothing_and_chooses_nothing() -> None:
    spec = spec_of(epochs=2)

    assert spec.pruning.name == "none"
    history = History()
    for number in range(spec.trials):
        for row in (Asked(TrialKey(number), {}, 0, 0), Moved(TrialKey(number), "complete", "full fidelity")):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    assert next_work(spec, history, (), Ended()) == Finished()


def test_a_design_says_where_a_function_is_ended_and_keeps_it() -> None:
    cells = [{"name": "a", "params": {"x": 0.1}}]
    design = {"cells": cells, "max_fidelity": 5}
    spec = load_spec({"name": "d", "target": "functions:bowl", "metric": "loss", "design": design})

    assert spec.max_fidelity == parse_spec(spec.to_table(), "again").max_fidelity == 5


def test_a_design_may_use_the_whole_time() -> None:
    spec, key = load_spec({"name": "d", "time": "100s", "design": {"cells": CELLS}}), TrialKey(0)
    report = Measured(key, Measurement(1, 1, 1.0, 1.0, {"validation_accuracy": 0.5}))
    rows = [Noted("session", {}), Asked(key, {}, 0, 0), report]
    history = History((Stamp(seq, float(seq)), row) for seq, row in enumerate(rows, start=1))

    assert ended(spec, history, 100.5) == Ended()
    assert ended(spec, history, 101.5) == Ended("time", "time", "time")


def test_a_cell_of_a_preset_has_its_defaults_and_what_hangs_on_its_changes() -> None:
    cells = [{"name": "a", "preset": "vgg", "params": {"optimizer": "adam", "epochs": 3}}]
    (cell,) = load_spec({"name": "planned", "design": {"cells": cells}}).design.cells

    assert cell.params["model"] == "vgg"
    assert cell.params["learning_rate"] == preset("vgg").defaults()["learning_rate"]
    assert (cell.params["optimizer"], cell.params["beta1"], cell.params["epochs"]) == ("adam", 0.9, 3)
    assert "momentum" not in cell.params


def test_a_design_survives_the_round_trip_through_its_table() -> None:
    spec = spec_of({"dataset": "mnist_sample"}, seeds=2, epochs=3, seconds=0.5, test=True)

    assert parse_spec(spec.to_table(), "again") == spec
    assert parse_spec(spec.to_table(), "again").hash == spec.hash
    assert TrialKey(0).label == "0"
    assert {"space", "trials"}.isdisjoint(spec.to_table())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 3}, "leave 'trials' out"),
        ({"space": {}}, "leave 'space' out"),
        ({"pruning": {"name": "asha"}}, "leave 'pruning' out"),
        ({"design": {"cells": []}}, "design: cells: tuple should have at least 1 item"),
        ({"design": {"cells": CELLS, "seeds": 0}}, "design: seeds: must be 1 or more"),
        ({"design": {"cells": CELLS, "seed": 3}}, "design: unknown key 'seed', did you mean 'seeds'"),
        ({"design": {"cells": [CELLS[0], CELLS[0]]}}, "'baseline' stands twice"),
        ({"design": {"cells": [{"name": "a", "params": {"epochs": 3}}], "epochs": 2}}, "epochs stands in the design"),
        ({"design": {"cells": [{"name": "a", "params": {"optimiser": "sgd"}}]}}, "did you mean 'optimizer'"),
        ({"design": {"cells": [{"name": "a", "params": {"dropout_rate": 0.5}}]}}, "cell 'a': dropout_rate=0.5 has no"),
        ({"design": {"cells": [{"name": "a", "preset": "vgg", "params": [1]}]}}, r"cells\.0\.params: must be a table"),
        ({"design": {"cells": CELLS, "seconds": float("inf")}}, "design: seconds: must be finite"),
        ({"design": {"cells": CELLS, "seeds": True}}, "design: seeds: must be a number"),
        ({"design": {"cells": CELLS}, "metric": "acc"}, "metric: the study's models report no 'acc'"),
        (
            {"design": {"cells": [{"name": "a"}], "test": True}, "target": "functions:bowl"},
            "a function has no test set",
        ),
        ({"design": {"cells": [{"name": "a", "preset": "vgh"}]}}, "no model 'vgh', did you mean 'vgg'"),
        (
            {"design": {"cells": [{"name": "a", "preset": "custom_cnn", "params": {"dropout_rate": 0.5}}]}},
            "cell 'a': dropout_rate=0.5 has no effect",
        ),
        ({"design": {"cells": [{"name": "a", "params": {"dataset": "mnist"}}]}}, "a sweep has one data set"),
        ({"design": {"cells": CELLS, "max_fidelity": 3}}, "design.max_fidelity is for functions"),
        ({"design": {"cells": CELLS, "seconds": 1.0}, "training": {"epochs": 3}}, "give epochs or seconds, not both"),
    ],
)
def test_a_wrong_design_names_place_rule_and_value(change: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_spec({"name": "d", "design": {"cells": CELLS}, **change})
