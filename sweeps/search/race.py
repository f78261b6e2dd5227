"""The race of the candidates on common fresh seeds, as a pure function of history.

A round is one fresh seed on which all remaining candidates were trained. A candidate that failed on the seed is out
once the others have ended on it too, so nothing depends on speed. The race then counts as if that candidate had never
taken part. A candidate that only the failed one had raced out returns, and none is raced out before that round.

From the second round on, a candidate is raced out if it is unlikely to overtake the leader by the last of n rounds. Let
d be the mean and s the deviation of the paired differences after r rounds. The differences of the remaining rounds are
predicted by Student's t. The chance that their sum makes up for r·d is below 5 % if

    d / s · √(r / (1 − r/n))  >  t(0.95)

s is the larger of the pair's own deviation and the deviation common to all remaining candidates. The latter is what a
seed and a candidate don't explain, with (candidates − 1)(r − 1) degrees of freedom. It is needed because two or three
seeds may agree by chance.

The 5 % apply to one pair at one look. 3,000 whole races were simulated, with normal noise and candidates one deviation
apart. With five rounds, a candidate that would have won was raced out in 3 % of them with two candidates, and in 5 %
with six. With six candidates and ten rounds it was 10 %, and 15 % if the candidates' noise differs.

Sources: Maron and Moore, Hoeffding Races, NIPS 1993; Birattari et al., A Racing Algorithm for Configuring
Metaheuristics, GECCO 2002 (races on common instances); Lan, Simon and Halperin, Stochastically Curtailed Tests in
Long-Term Clinical Trials, 1982 (stopping by what is still to come).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from sweeps.search.fates import fate
from sweeps.search.history import History, Trial, TrialKey
from sweeps.search.intervals import mean_of, quantile, variance_of
from sweeps.spec import SweepSpec

CHANCE = 0.05  # of overtaking the leader, below which a candidate is raced out
_FIRST = 2  # rounds before a candidate is raced out: a single one says nothing about the noise


@dataclass(frozen=True)
class Race:
    """The state of a race.

    Attributes:
        left: The remaining candidates.
        rounds: The number of first seeds on which all of them were trained.
        failed: The candidates that failed, and why.
        beaten: The candidates that were raced out: after how many rounds, and why.
        is_over: Whether no further round could change the winner.
        late: The remaining candidates that failed on a seed of a round under way or to come: the seed, and why.
    """

    left: tuple[int, ...]
    rounds: int
    failed: Mapping[int, str] = field(default_factory=dict)
    beaten: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    is_over: bool = True  # no further round could change the winner
    late: Mapping[int, tuple[int, str]] = field(default_factory=dict)


def is_sound(spec: SweepSpec, run: Trial) -> bool:
    """Return whether a run on a fresh seed has a value, or may still get one."""
    return run.state in ("running", "cut") or run.full_value(spec.metric) is not None


def fresh_values(spec: SweepSpec, history: History, number: int) -> dict[int, float]:
    """Return a candidate's values on the seeds that choose, by seed."""
    runs = (history.trials.get(TrialKey(number, seed)) for seed in range(1, spec.selection.seeds + 1))
    return {run.key.replicate: value for run in runs if run and (value := run.full_value(spec.metric)) is not None}


def race(spec: SweepSpec, history: History, numbers: Sequence[int]) -> Race:
    """Return the race so far.

    A sole candidate wins without a seed, and so does the first candidate if no seed chooses.
    """
    if not spec.selection.chooses:
        return Race(tuple(numbers[:1]), 0)
    return _without_the_failed(numbers, lambda among, first: _until_a_failure(spec, history, among, first))


def race_as_it_ended(spec: SweepSpec, history: History, numbers: Sequence[int]) -> Race:
    """Return the race that a budget ended, in which a failure counts even on a seed that not all candidates reached."""
    if not spec.selection.chooses:
        return Race(tuple(numbers[:1]), 0)

    def ended(among: Sequence[int], first: int) -> Race:
        run = _until_a_failure(spec, history, among, first)
        return replace(run, failed={**{n: why for n, (_, why) in run.late.items()}, **run.failed}, late={})

    return _without_the_failed(numbers, ended)


def _without_the_failed(numbers: Sequence[int], run_among: Callable[[Sequence[int], int], Race]) -> Race:
    """Return the race, run again without the failed candidates until none fails."""
    # Completed rounds count: no candidate is raced out again on fewer rounds.
    among, failed, alone, first = list(numbers), dict[int, str](), 0, _FIRST
    while len(among) > 1:
        run = run_among(among, first)
        if not run.failed:
            return replace(run, failed=failed)
        failed |= run.failed
        among, first = [number for number in among if number not in failed], max(first, run.rounds)
        alone = run.beaten[among[0]][0] if among and among[0] in run.beaten else run.rounds
    return Race(tuple(among), alone if among else 0, failed)


def _until_a_failure(spec: SweepSpec, history: History, numbers: Sequence[int], first: int) -> Race:
    """Return the race up to the first round with a failure, or so far; no racing out before `first` rounds."""
    values = {number: fresh_values(spec, history, number) for number in numbers}
    left, beaten, rounds = list(numbers), dict[int, tuple[int, str]](), 0
    for seed in range(1, spec.selection.seeds + 1):
        out = _failures(spec, history, left, [seed])
        through = [number for number in left if number not in out]
        if any(seed not in values[number] for number in through):
            late = _failures(spec, history, left, range(seed, spec.selection.seeds + 1))
            return Race(tuple(left), rounds, {}, beaten, is_over=False, late=late)
        rounds = seed if through else rounds
        if out:
            return Race(tuple(through), rounds, {number: why for number, (_, why) in out.items()}, beaten)
        if spec.selection.races and first <= rounds < spec.selection.seeds:
            slow = _cannot_win(spec, {number: [values[number][s] for s in range(1, rounds + 1)] for number in left})
            beaten |= {number: (rounds, why) for number, why in slow.items()}
            left = [number for number in left if number not in slow]
        if len(left) < 2:
            break
    return Race(tuple(left), rounds, {}, beaten)


def _failures(
    spec: SweepSpec, history: History, numbers: Iterable[int], seeds: Iterable[int]
) -> dict[int, tuple[int, str]]:
    """Return the candidates that failed, with the first of the seeds on which each did, and why."""
    found: dict[int, tuple[int, str]] = {}
    for number, seed in product(numbers, seeds):
        run = history.trials.get(TrialKey(number, seed))
        if number not in found and run is not None and not is_sound(spec, run):
            found[number] = seed, f"fresh seed {seed}: {fate(run)}"
    return found


def _cannot_win(spec: SweepSpec, values: Mapping[int, Sequence[float]]) -> dict[int, str]:
    """Return the candidates that can't overtake the leader, and why; `values` has one value per round for each."""
    rounds, last = len(next(iter(values.values()))), spec.selection.seeds
    sign = 1 if spec.direction == "maximize" else -1
    leader = min(values, key=lambda number: (-sign * mean_of(values[number]), number))
    common = 2 * _unexplained(list(values.values()))
    bound = quantile((len(values) - 1) * (rounds - 1), 1 - CHANCE)
    out = {}
    for number, own in values.items():
        differences = [sign * (a - b) for a, b in zip(values[leader], own, strict=True)]
        behind = mean_of(differences)
        spread = math.sqrt(max(variance_of(differences), common))
        if behind > bound * spread * math.sqrt((1 - rounds / last) / rounds):
            out[number] = (
                f"after {rounds} fresh seeds {behind:.6g} behind trial {leader}: "
                f"its chance to overtake it within {last}, for these two alone, is below {CHANCE:.0%}"
            )
    return out


def _unexplained(table: Sequence[Sequence[float]]) -> float:
    """Return the variance that neither row nor column explains in a table of candidates by seeds."""
    rows, columns = len(table), len(table[0])
    of_rows = [mean_of(row) for row in table]
    of_columns = [mean_of(column) for column in zip(*table, strict=True)]
    mean = mean_of(of_rows)
    rest = (v - of_rows[i] - of_columns[j] + mean for i, row in enumerate(table) for j, v in enumerate(row))
    try:
        found = math.fsum(value**2 for value in rest) / ((rows - 1) * (columns - 1))
    except OverflowError:
        return math.inf
    return math.inf if math.isnan(found) else found


def next_runs(spec: SweepSpec, run: Race) -> list[TrialKey]:
    """Return the runs that the next round needs, or all remaining ones if none is raced out; [] if the race is over.

    All first seeds come before any second one, so a budget that ends leaves as many in common as possible.
    """
    if run.is_over:
        return []
    seeds = spec.selection.seeds
    last = min(seeds, max(_FIRST, run.rounds + 1)) if spec.selection.races else seeds
    failing = {number: seed for number, (seed, _) in run.late.items()}
    if len(run.left) - sum(seed == run.rounds + 1 for seed in failing.values()) < 2:
        last = run.rounds + 1  # the last round if only one candidate comes through
    keys = [TrialKey(number, seed) for seed in range(1, last + 1) for number in run.left]
    return [key for key in keys if key.replicate < failing.get(key.number, seeds + 1)]
