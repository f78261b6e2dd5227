"""Tests of suggestions: pure functions of recorded history, inside the space; TPE sees pruned trials as pruned."""

import optuna
import pytest
from simulation import Simulation, open_driver, small_spec

from study.measurement import Measurement
from sweeps.search.history import Asked, History, Measured, Moved, Stamp, TrialKey
from sweeps.search.optuna_view import FIDELITY_UNIT, OptunaView
from sweeps.search.pruning import decide
from sweeps.search.suggestion import suggest
from sweeps.spec import load_spec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger

SPEC = small_spec(trials=40)


def test_trial_0_is_the_baseline() -> None:
    assert suggest(SPEC, History(), 0) == SPEC.space.defaults()


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_recorded_history_gives_every_suggestion_again(folder: SweepFolder, sampler: str) -> None:
    spec = small_spec(trials=25, sampler={"name": sampler})
    driver = open_driver(folder, spec)
    driver.start({})
    Simulation(driver, slots=3).run()
    rows = Ledger.open(folder.ledger).rows()

    for _, asked in rows:
        if isinstance(asked, Asked) and not asked.key.replicate:
            before = History([(stamp, row) for stamp, row in rows if stamp.seq <= asked.seen])
            assert suggest(spec, before, asked.key.number) == asked.params
            spec.space.check(asked.params)


def test_tpe_finds_a_better_half_than_random(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(trials=60, pruning={"name": "none", "max_fidelity": 9}))
    driver.start({})
    Simulation(driver).run(stop=lambda: len(driver.history.selection) > 0)

    late = [abs(trial.params["x"] - 0.3) for trial in driver.history.search[30:]]
    assert sum(late) / len(late) < 0.15  # random search has 0.29 on average


def view_of(state: str) -> optuna.trial.FrozenTrial:
    """Return trial 1 in a state, as Optuna sees it next to a complete trial 0."""
    history = History()

    def add(row: object) -> None:
        history.apply(Stamp(history.last.seq + 1, 1.0), row)  # type: ignore[arg-type]

    add(Asked(TrialKey(0), {"x": 0.5, "kind": "a"}, 0, 0))
    add(Measured(TrialKey(0), Measurement(1, 1, 9.0, 0.0, {"loss": 0.2})))
    add(Moved(TrialKey(0), "complete", ""))
    add(Asked(TrialKey(1), {"x": 0.5, "kind": "b", "y": 2}, 0, 0))
    if state == "diverged":
        add(Measured(TrialKey(1), Measurement(1, 1, 1.0, 0.0, {"loss": float("nan")})))
        decision = decide(SPEC, history, history.trials[TrialKey(1)])
        assert decision is not None
        add(decision)
    else:
        add(Measured(TrialKey(1), Measurement(1, 1, 1.0, 0.0, {"loss": 0.4})))
        if state != "running":
            add(Moved(TrialKey(1), state, ""))  # type: ignore[arg-type]
    return OptunaView(SPEC, history).get_all_trials(0)[1]


@pytest.mark.parametrize("state", ["paused", "cut", "pruned"])
def test_pruned_trials_are_told_as_pruned_with_their_intermediate_values(state: str) -> None:
    trial = view_of(state)

    assert trial.state is optuna.trial.TrialState.PRUNED
    assert trial.intermediate_values == {FIDELITY_UNIT: 0.4}


def test_a_diverged_trial_has_no_value_so_that_tpe_ranks_it_last() -> None:
    trial = view_of("diverged")

    assert trial.state is optuna.trial.TrialState.PRUNED
    assert trial.intermediate_values == {}


def test_only_trials_in_training_are_running() -> None:
    assert view_of("running").state is optuna.trial.TrialState.RUNNING
    assert view_of("failed").state is optuna.trial.TrialState.FAIL


def test_tpe_leaves_its_start_up_phase_during_a_promoting_sweep(folder: SweepFolder) -> None:
    spec = small_spec(trials=14)
    driver = open_driver(folder, spec)
    driver.start({})
    Simulation(driver).run()
    history = driver.history
    assert sum(trial.state == "complete" for trial in history.search) < 10

    random_spec = load_spec({**spec.to_table(), "sampler": {"name": "random"}})
    assert suggest(spec, history, 14) != suggest(random_spec, history, 14)
    view = OptunaView(spec, history)
    finished = [trial for trial in view.get_all_trials(0) if trial.state.is_finished()]
    assert len(finished) >= 10


def test_optuna_may_not_write_what_the_ledger_holds() -> None:
    history = History([(Stamp(1, 0.0), Asked(TrialKey(0), {"x": 0.5, "kind": "a"}, 0, 0))])
    view = OptunaView(SPEC, history)
    view.begin()

    with pytest.raises(RuntimeError, match="read-only"):
        view.set_trial_system_attr(0, "key", 1)
