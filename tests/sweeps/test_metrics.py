"""Tests of a monitor's metrics of a sweep: their values follow from its ledger, and are labelled by sweep."""

from collections import Counter

import pytest
from simulation import Simulation, open_driver, small_spec

from sweeps.search.standing import best_of
from sweeps.store.folders import SweepFolder
from sweeps.terminal.metrics import COUNTERS, GAUGES, Meter, readings
from sweeps.terminal.progress import Progress


class Kept:
    """A metric that keeps the values that it is given."""

    def __init__(self) -> None:
        self.total = 0.0
        self.values: dict[tuple[tuple[str, str], ...], float] = {}

    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert tags == {"sweep": "bowl"}
        self.total += value

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.values[tuple(sorted(tags.items()))] = value


@pytest.fixture
def seen(folder: SweepFolder) -> tuple[Meter, dict[str, Kept]]:
    """Return a meter and its metrics, after a sweep that it observed has ended."""
    spec = small_spec(trials=24, device_hours=1.0, time=600.0)
    driver = open_driver(folder, spec)
    progress = Progress(spec, folder, driver.history, "none", verbose=False)
    meter = Meter(spec, driver.history, progress.summary)
    kept = {name: Kept() for name in GAUGES | COUNTERS}
    meter._made.update(kept)

    def observe(stamp, row):
        progress.observe(stamp, row)
        meter.observe(stamp, row)

    driver.observe = observe
    driver.start({})
    Simulation(driver).run()
    meter.settle(driver.clock())
    return meter, kept


def test_every_measurement_is_counted_once(seen: tuple[Meter, dict[str, Kept]]) -> None:
    meter, kept = seen
    trials = meter.history.trials.values()

    assert kept["sweeps_measurements"].total == sum(len(trial.measurements) for trial in trials)
    assert kept["sweeps_fidelity"].total == sum(trial.last.fidelity for trial in trials if trial.last)


def test_gauges_say_how_the_sweep_stands(seen: tuple[Meter, dict[str, Kept]]) -> None:
    meter, kept = seen
    states = Counter(trial.state for trial in meter.history.trials.values())
    reached = Counter(rung for trial in meter.history.search for rung in trial.decided)
    own = ("sweep", "bowl")

    for state, count in states.items():
        assert kept["sweeps_trials"].values[("state", state), own] == count
    assert kept["sweeps_trials"].values[("state", "running"), own] == 0
    assert kept["sweeps_best_value"].values[(own,)] == best_of(meter.spec, meter.history).value
    assert {dict(tags)["rung"]: n for tags, n in kept["sweeps_rung_trials"].values.items()} == {
        str(rung): count for rung, count in reached.items()
    }
    assert 0 < kept["sweeps_device_hours_left"].values[(own,)] < 1
    assert 0 < kept["sweeps_pruned_share"].values[(own,)] < 1


def test_what_has_no_value_has_no_gauge(folder: SweepFolder) -> None:
    spec = small_spec()
    driver = open_driver(folder, spec)
    progress = Progress(spec, folder, driver.history, "none", verbose=False)
    named = {reading.name for reading in readings(spec, driver.history, progress.summary(0.0))}

    assert not named & {"sweeps_best_value", "sweeps_device_hours_left", "sweeps_seconds_left", "sweeps_pruned_share"}
