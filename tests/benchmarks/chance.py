"""Benchmark of tests for important parameters: power and false alarms on functions whose truth is known.

    uv run python tests/benchmarks/chance.py --seeds 20

    uv run python tests/benchmarks/chance.py --seeds 5 --before 5 --samplers random

Every function is searched by the package's own samplers, trial after trial. The noise is given in units of the spread
of the function itself. A search is tested when it has 20, 50 and 100 trials, and two of the functions also at 400.
"After" is the test in sweeps.search.chance. "Before" is the test that it replaced: a parameter was found if its
PED-ANOVA distance exceeded 95 % of the distances after 60 shuffles of the trials, which takes seconds for each search.
Power is the share of relevant parameters that are found. False alarms are the share of irrelevant parameters that are
found, and "searches" is the share of searches with at least one. Most of the time goes into TPE: a complete run takes
more than half an hour.
"""

import argparse
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from study.measurement import Measurement
from study.seeds import derive_seed
from sweeps.search.history import Asked, History, Measured, Moved, Stamp, TrialKey
from sweeps.search.importance import FEWEST, _apart, _by_chance, _by_rank, _frozen
from sweeps.search.suggestion import suggest
from sweeps.spec import SweepSpec, load_spec

SAMPLERS = ("random", "qmc", "tpe")
SIZES = (20, 50, 100, 400)
NOISES = (0.5, 1.5)  # of the function's spread, so the function makes up 80 % and 31 % of the variance
SHUFFLES, CHANCE = 60, 0.05  # of the earlier test
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Truth:
    """A function, its space, and the parameters that matter in it; all others don't."""

    space: Mapping[str, Any]
    matter: frozenset[str]
    value: Callable[[Params], float]


def _idle(count: int, *choices: str) -> dict[str, Any]:
    """Return parameters without any effect."""
    return {f"idle{i}": {"float": [0.0, 1.0]} for i in range(count)} | {n: {"choice": list("abc")} for n in choices}


UNIT = {"float": [0.0, 1.0]}
RATE = {"float": [1e-5, 1.0], "log": True}
UNDER = {"float": [0.0, 1.0], "when": {"kind": ["b"]}}
TRUTHS = {
    "linear": Truth({"x": UNIT, **_idle(3)}, frozenset("x"), lambda p: p["x"]),
    "middle": Truth({"x": UNIT, **_idle(3)}, frozenset("x"), lambda p: abs(p["x"] - 0.5)),
    "log scale": Truth(
        {"rate": RATE, **_idle(2, "idle")}, frozenset({"rate"}), lambda p: (math.log10(p["rate"]) + 2) ** 2
    ),
    "choice": Truth(
        {"kind": {"choice": list("abcd")}, **_idle(3)}, frozenset({"kind"}), lambda p: float(p["kind"] == "c")
    ),
    "condition": Truth(
        {"kind": {"choice": ["a", "b"]}, "y": UNDER, "idle": UNDER, **_idle(2)},
        frozenset({"kind", "y"}),
        lambda p: abs(p["y"] - 0.3) if p["kind"] == "b" else 0.5,
    ),
    "interaction": Truth(
        {"x": UNIT, "z": UNIT, **_idle(3)}, frozenset("xz"), lambda p: p["x"] - 2 * p["x"] * abs(p["z"] - 0.5)
    ),
    "crossing": Truth({"x": UNIT, "z": UNIT, **_idle(3)}, frozenset("xz"), lambda p: (p["x"] - 0.5) * (p["z"] - 0.5)),
    "2 of 10": Truth(
        {"x": UNIT, "z": UNIT, **_idle(7, "idle")}, frozenset("xz"), lambda p: 2 * abs(p["x"] - 0.4) + 0.5 * p["z"]
    ),
    "nothing": Truth(_idle(5, "idle"), frozenset(), lambda p: 0.0),
}
LONG = {("2 of 10", 0.5), ("nothing", 0.5)}  # searched up to the last size; the others up to the last but one


def spec_of(truth: Truth, sampler: str, seed: int) -> SweepSpec:
    """Return the spec of a sweep over the function, in which every trial runs to completion."""
    table = {"name": "chance", "target": "functions:known", "metric": "loss", "direction": "minimize", "trials": 400}
    return load_spec({**table, "seed": seed, "space": truth.space, "pruning": "none", "sampler": sampler})


def add(history: History, number: int, params: Params, loss: float) -> None:
    key = TrialKey(number)
    rows = (Asked(key, params, 0, 0), Measured(key, Measurement(1, 1, 1.0, 0.0, {"loss": loss})))
    for row in (*rows, Moved(key, "complete", "")):
        history.apply(Stamp(history.last.seq + 1, float(number)), row)


def spread(truth: Truth, spec: SweepSpec) -> float:
    """Return the standard deviation of the function over its space."""
    draw = random.Random(0)
    return float(np.std([truth.value(spec.space.sample(draw)) for _ in range(2000)])) or 1.0


def searched(truth: Truth, spec: SweepSpec, noise: float, count: int) -> list[tuple[Params, float]]:
    """Run one search, and return the parameters and losses of its trials."""
    history, found = History(), []
    draw = random.Random(derive_seed(spec.seed, "noise"))
    deviation = noise * spread(truth, spec)
    for number in range(count):
        params = suggest(spec, history, number)
        loss = truth.value(params) + draw.gauss(0, deviation)
        add(history, number, params, loss)
        found.append((params, loss))
    return found


def history_of(trials: Sequence[tuple[Params, float]]) -> History:
    history = History()
    for number, (params, loss) in enumerate(trials):
        add(history, number, params, loss)
    return history


def before(spec: SweepSpec, history: History) -> set[str]:
    """Return the parameters that the earlier test finds, by the best quarter's distance from all under 60 shuffles."""
    judged = _by_rank(spec, history)
    view, frozen = _frozen(spec, history, judged)
    able = {name: name for name in spec.space.parameters if sum(name in t.params for t in judged) >= FEWEST}
    apart = _apart(view, frozen, able)
    draw = np.random.default_rng(derive_seed(spec.seed, "importance"))
    as_much = dict.fromkeys(able, 0)
    for _ in range(SHUFFLES):
        dealt = [copy(trial) for trial in frozen]
        for trial, other in zip(dealt, draw.permutation(len(frozen)), strict=True):
            trial.value = frozen[other].value
        for name, distance in _apart(view, dealt, able).items():
            as_much[name] += distance >= apart[name]
        if min(as_much.values()) > CHANCE * SHUFFLES:  # nothing can be found any more
            return set()
    return {name for name, count in as_much.items() if count <= CHANCE * SHUFFLES}


def after(spec: SweepSpec, history: History) -> set[str]:
    """Return the parameters that the test in sweeps.search.chance finds."""
    judged = _by_rank(spec, history)
    varying = spec.space.parameters
    able = {n: p for n, p in varying.items() if sum(n in t.params for t in judged) >= FEWEST}
    return set(able) - _by_chance(spec, judged, _frozen(spec, history, judged)[1], able)


@dataclass
class Tally:
    """The outcomes of one test.

    Attributes:
        hits: For each parameter that matters, whether it was found.
        alarms: For each parameter that doesn't matter, whether it was found.
        wrong: For each search, whether any parameter was found that doesn't matter.
        seconds: The duration of each test, in s.
    """

    hits: list[bool] = field(default_factory=list)
    alarms: list[bool] = field(default_factory=list)
    wrong: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def take(self, truth: Truth, found: set[str], seconds: float) -> None:
        self.hits += [name in found for name in truth.matter]
        self.alarms += [name in found for name in truth.space if name not in truth.matter]
        self.wrong.append(bool(found - truth.matter))
        self.seconds.append(seconds)


Key = tuple[str, str, float, int]  # sampler, function, noise, trials
Tallies = dict[Key, dict[str, Tally]]  # of each test
TESTS: Mapping[str, Callable[[SweepSpec, History], set[str]]] = {"before": before, "after": after}


def measure(sampler: str, name: str, noise: float, seed: int, tests: Sequence[str], tallies: Tallies) -> None:
    """Run one search, and test it at each size."""
    truth = TRUTHS[name]
    spec = spec_of(truth, sampler, seed)
    sizes = SIZES if (name, noise) in LONG else SIZES[:-1]
    trials = searched(truth, spec, noise, sizes[-1])
    for size in sizes:
        history = history_of(trials[:size])
        told = tallies.setdefault((sampler, name, noise, size), {test: Tally() for test in TESTS})
        for test in tests:
            begun = time.perf_counter()
            found = TESTS[test](spec, history)
            told[test].take(truth, found, time.perf_counter() - begun)


def tell(tallies: Tallies) -> None:
    """Print a row for each sampler and size over all functions, then one for each function at each noise."""
    print(f"{'before and after':40}{'power':>14}{'false alarms':>14}{'searches':>14}{'seconds':>14}")
    for sampler, size in dict.fromkeys((key[0], key[3]) for key in tallies):
        tell_row(f"{sampler}, {size} trials", [t for key, t in tallies.items() if (key[0], key[3]) == (sampler, size)])
    for (sampler, name, noise, size), told in tallies.items():
        tell_row(f"{sampler}, {size} trials, {name}, noise {noise}", [told])


def tell_row(label: str, tallies: Sequence[Mapping[str, Tally]]) -> None:
    """Print the means of both tests over all tallies; the column "searches" counts those with a false alarm."""

    def mean(test: str, what: str) -> str:
        told = [float(one) for tally in tallies for one in getattr(tally[test], what)]
        return f"{np.mean(told):.3f}" if told else "-"

    kinds = ("hits", "alarms", "wrong", "seconds")
    print(f"{label:40}", *(f"{mean('before', kind) + ' ' + mean('after', kind):>13}" for kind in kinds), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="searches of each function by each sampler")
    parser.add_argument("--before", type=int, default=0, help="of these, at how many the test before is made, too")
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=SAMPLERS)
    arguments = parser.parse_args()
    tallies: Tallies = {}
    for sampler in arguments.samplers:
        for name, truth in TRUTHS.items():
            for noise in NOISES if truth.matter else NOISES[:1]:
                for seed in range(arguments.seeds):
                    tests = list(TESTS) if seed < arguments.before else ["after"]
                    measure(sampler, name, noise, seed, tests, tallies)
    tell(tallies)


if __name__ == "__main__":
    main()
