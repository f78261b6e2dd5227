"""Differences between the spaces of sweeps, and the configurations that two of them have both tried."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from search_spaces import Constant, to_table
from search_spaces.texts import as_text
from study.config import CONDITIONS, TrialConfig
from sweeps.search.bounds import metric_bounds
from sweeps.search.comparing import Entry
from sweeps.search.history import Trial
from sweeps.search.intervals import Interval, interval, mean_of
from sweeps.search.ranges import with_measured_space
from sweeps.spec import SweepSpec

# Knobs that determine how a run is watched and where it runs, not what is trained.
_NO_CONFIGURATION = {"seed", "reports_per_epoch", "first_report", "device", "threads"}
_WITHOUT_HORIZON = ("constant_warmup", "step")  # schedules under which a longer run begins like a shorter one
NOTHING = "-"


@dataclass(frozen=True)
class Contrast:
    """A parameter on which spaces differ, with each sweep's version of it in words, or "-" if a sweep has none."""

    parameter: str
    by_sweep: Mapping[str, str]


@dataclass(frozen=True)
class Common:
    """A configuration that two sweeps have tried, at the highest fidelity at which both have a finite value.

    Attributes:
        sweeps: The names of the two sweeps.
        trials: The number of the first trial of each sweep that has the configuration.
        fidelity: The fidelity of the values.
        values: The metric of each sweep, as the mean over its trials of the configuration.
        params: The parameters of the first sweep's trial.
        difference: The second sweep's value minus the first's.
    """

    sweeps: tuple[str, str]
    trials: tuple[int, int]
    fidelity: float
    values: tuple[float, float]
    params: Mapping[str, Any]

    @property
    def difference(self) -> float:
        return self.values[1] - self.values[0]


@dataclass(frozen=True)
class Pair:
    """The paired difference of two sweeps, second minus first, over their common configurations; None without any."""

    sweeps: tuple[str, str]
    difference: Interval | None


def space_contrasts(entries: Sequence[Entry]) -> list[Contrast]:
    """Return every parameter and fixed knob that differs between the sweeps, in the order in which they name them."""
    worded = [(entry.name, _in_words(with_measured_space(entry.spec, entry.history))) for entry in entries]
    names = dict.fromkeys(name for _, texts in worded for name in texts)
    found = []
    for name in names:
        texts = {
            sweep: texts.get(name) or _left_out(entry.spec, name)
            for entry, (sweep, texts) in zip(entries, worded, strict=True)
        }
        if len(set(texts.values())) > 1:
            found.append(Contrast(name, texts))
    return found


def _left_out(spec: SweepSpec, name: str) -> str:
    """Return the words for a knob that a sweep does not name: the default of the study's models."""
    if spec.target or name not in TrialConfig.model_fields:
        return NOTHING
    # A conditional knob has this default where it is active, and no effect elsewhere.
    default = CONDITIONS[name][2] if name in CONDITIONS else TrialConfig.model_fields[name].default
    return NOTHING if default is None else f"= {default}"


def _in_words(spec: SweepSpec) -> dict[str, str]:
    tables = to_table(spec.space)
    varied = {
        name: f"= {parameter.value}" + _when(tables[name])
        if isinstance(parameter, Constant)
        else _parameter_in_words(tables[name])
        for name, parameter in spec.space.parameters.items()
    }
    fixed = {"target": spec.target} if spec.target else spec.training
    return {**{name: f"= {value}" for name, value in fixed.items()}, **varied}


def _parameter_in_words(table: Mapping[str, Any]) -> str:
    if "by" in table:
        ((parent, ranges),) = table["by"].items()
        parts = "; ".join(f"{value}: {_parameter_in_words(part)}" for value, part in ranges.items())
        return f"by {parent} ({parts}){_when(table)}"
    if "range_test" in table:
        return f"range test, not measured yet{_when(table)}"
    if "choice" in table:
        text = f"one of {', '.join(as_text(value, None) for value in table['choice'])}"
    else:
        kind = "float" if "float" in table else "int"
        low, high = table[kind]
        step = f" in steps of {table['step']:g}" if "step" in table else ""
        text = f"{kind} {low:g} to {high:g}{step}{', log' if table.get('log') else ''}"
    return f"{text}, default {table['default']}{_when(table)}"


def _when(table: Any) -> str:
    when = table.get("when", {}) if isinstance(table, Mapping) else {}
    return "".join(
        f", when {parent} is {' or '.join(as_text(value, None) for value in values)}" for parent, values in when.items()
    )


def configuration(spec: SweepSpec, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trial trains: its knobs, whether they are varied, fixed or left at their defaults.

    For a function these are its parameters. The length of a run is included only if the schedule depends on it.
    """
    if spec.target:
        return dict(params)
    config = spec.trial_config(params, seed=0)
    left_out = _NO_CONFIGURATION | ({"epochs", "seconds"} if config.schedule in _WITHOUT_HORIZON else set())
    return config.model_dump(exclude=left_out, exclude_none=True)


def common_trials(entries: Sequence[Entry]) -> list[Common]:
    """Return the configurations that both sweeps of each pair have tried, in the order of the first one's trials."""
    grouped = [_by_configuration(entry) for entry in entries]
    return [
        found
        for (first, firsts), (second, seconds) in combinations(list(zip(entries, grouped, strict=True)), 2)
        for key, trials in firsts.items()
        if key in seconds and (found := _common(first, second, trials, seconds[key])) is not None
    ]


def pairs(entries: Sequence[Entry], found: Sequence[Common]) -> list[Pair]:
    """Return the mean of the paired differences of each two sweeps, with a 95 % t interval."""
    bounds = [metric_bounds(entry.spec, entry.history) for entry in entries]
    span = max(high for _, high in bounds) - min(low for low, _ in bounds)
    return [
        Pair(names, interval([one.difference for one in found if one.sweeps == names], (-span, span)))
        for names in combinations([entry.name for entry in entries], 2)
    ]


def _by_configuration(entry: Entry) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    for trial in entry.history.search:
        key = json.dumps(configuration(entry.spec, trial.params), sort_keys=True)
        found.setdefault(key, []).append(trial)
    return found


def _common(first: Entry, second: Entry, ours: Sequence[Trial], theirs: Sequence[Trial]) -> Common | None:
    values = _values(first.spec, ours), _values(second.spec, theirs)
    levels = values[0].keys() & values[1].keys()
    if not levels:
        return None
    level = max(levels)
    means = [mean_of(of[level]) for of in values]
    numbers = ours[0].key.number, theirs[0].key.number
    return Common((first.name, second.name), numbers, level, (means[0], means[1]), ours[0].params)


def _values(spec: SweepSpec, trials: Sequence[Trial]) -> dict[float, list[float]]:
    """Return the finite values of one configuration's trials, by fidelity."""
    found: dict[float, list[float]] = {}
    for fidelity, value in _reports(spec, trials):
        found.setdefault(fidelity, []).append(value)
    return found


def _reports(spec: SweepSpec, trials: Sequence[Trial]) -> Iterator[tuple[float, float]]:
    for trial in trials:
        for measurement in () if trial.diverged else trial.measurements:
            value = measurement.values.get(spec.metric, math.nan)
            if math.isfinite(value):
                yield measurement.fidelity, value
