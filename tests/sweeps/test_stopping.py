"""Tests of a sweep that is asked to stop: trials in training save between two reports, and continue from there."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from simulation import Simulation, open_driver, small_spec

from study.config import TrialConfig
from study.data import EMBEDDED, load
from study.training import Training
from sweeps.execution.driver import Driver
from sweeps.execution.legs import run_leg
from sweeps.execution.messages import Leg
from sweeps.execution.ordering import InOrder
from sweeps.execution.stopping import StopWord
from sweeps.execution.targets import TrainingRun
from sweeps.search.history import TrialKey
from sweeps.signals import Stop
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder


def stop_after(reports: int, driver: Driver, source: Any) -> Simulation:
    """Run workers that see the stop after `reports` reports until all have saved, and return their simulation."""
    simulation = Simulation(source)

    def heard() -> bool:
        if sum(len(trial.measurements) for trial in driver.history.trials.values()) < reports:
            return False
        source.stop()
        return True

    simulation.is_stopping = heard
    simulation.run()
    return simulation


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("reports", [1, 10, 30, 60])
def test_a_stopped_sweep_loses_nothing_and_ends_as_if_it_had_not_been(
    folder: SweepFolder, tmp_path: Path, reports: int, deterministic: bool
) -> None:
    spec = small_spec(deterministic=deterministic)
    with closing(open_driver(folder, spec)._ledger) as ledger:
        driver = Driver(spec, folder, ledger)
        driver.start({})
        stop_after(reports, driver, InOrder(driver) if deterministic else driver)
        assert driver.live == set()
        assert driver.history.running
        assert not any(trial.state in ("cut", "failed") for trial in driver.history.trials.values())
    again = open_driver(folder, spec)
    again.start({})
    Simulation(InOrder(again) if deterministic else again).run()

    assert not again.history.running
    assert len(again.history.search) == spec.trials
    assert not list(again.history.noted("warning"))


def test_a_driver_that_stops_hands_out_nothing_more(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec())
    driver.start({})
    driver.stop()

    assert driver.next_leg() == "finished"
    assert InOrder(driver).next_leg() == "finished"


def a_model() -> SweepSpec:
    table = {"name": "model", "trials": 1, "training": {"model": "custom_cnn", "epochs": 1}}
    return load_spec({**table, "space": {"dropout": {"choice": [True, False]}}})


def test_a_model_is_saved_in_the_middle_of_an_epoch_and_its_bits_are_those_of_one_that_never_stopped(
    tmp_path: Path,
) -> None:
    spec, data = a_model(), load(EMBEDDED)
    config = spec.trial_config(spec.baseline, 5)
    leg = Leg("model", TrialKey(0), spec.baseline, 5, 0, tmp_path / "0" / "checkpoint.pt", tmp_path / "0.log")
    leg.checkpoint.parent.mkdir()
    begun: list[TrainingRun] = []

    def begin(leg: Leg, checkpoint: Path | None) -> TrainingRun:
        begun.append(TrainingRun(spec, leg.params, leg.seed, data, leg.plan, checkpoint))
        return begun[-1]

    (stopped,) = run_leg(leg, begin, lambda: begun[-1].training.step >= 7)
    assert (stopped.kind, begun[-1].training.step) == ("stopped", 7)
    resumed = list(run_leg(leg, begin))

    assert begun[-1].training.step > 7
    assert resumed[-1].kind == "ended"
    assert [message.measurement for message in resumed[:-1]][-1].digest == whole(config, data)


def whole(config: TrialConfig, data: Any) -> str:
    training = Training(config, data)
    for _ in training.run():
        pass
    return training.digest()


def test_the_first_signal_asks_and_the_second_insists() -> None:
    stop = Stop(lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        stop(2, None)  # nothing trains yet
    with stop.gently():
        stop(2, None)
        assert stop.asked is not None
        with pytest.raises(KeyboardInterrupt):
            stop(2, None)


def test_workers_hear_the_word_of_their_own_sweep_alone(ray_with_gpus: Path) -> None:
    mine, other = StopWord(), StopWord()
    heard, not_heard = mine.heard(), other.heard()
    assert not heard.is_set()
    mine.say()

    assert heard.wait(60)
    assert not not_heard.is_set()
    mine.forget()
    not_heard.set()  # ends its thread
