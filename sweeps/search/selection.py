"""The choice as pure functions of history: the candidates on fresh seeds, the winner, and the published values.

    candidates    the best of the search, and the baseline
    choice        a race on fresh seeds, common to all; the best mean wins, or the cheapest within one standard error
    publication   winner and baseline on further seeds that chose nothing, so their means contain none of the winner's
                  luck. The winner's first model is stored, tested and replayed; which one it is, is fixed beforehand

Stages that a budget or the spec leaves out are not replaced. Without a further seed the winner is not confirmed. Its
value is then the one that chose it: the mean on the fresh seeds or, without any, the search's last value.

Sources: Cawley and Talbot, On Over-fitting in Model Selection, JMLR 2010 (data that chose can't judge); Breiman et al.,
Classification and Regression Trees, 1984 (one standard error).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from search_spaces.space import Configuration, configuration
from study.seeds import derive_seed
from sweeps.search.bounds import metric_bounds
from sweeps.search.costs import costs, pareto_front
from sweeps.search.fates import fate
from sweeps.search.fitting import as_fitted
from sweeps.search.history import PUBLISHED, History, Trial, TrialKey
from sweeps.search.intervals import Interval, interval, mean_of, paired, variance_of
from sweeps.search.labels import parse_label
from sweeps.search.race import Race, fresh_values, is_sound, race_as_it_ended
from sweeps.spec import SweepSpec

Decision = Literal["winner", "beaten", "raced out", "out", "not compared"]
Basis = Literal["evaluation", "selection", "search"]  # the stage that a winner's value comes from

TEST_READ = "test_read"  # the kind of note that the test set is about to be read for a trial's model
BASELINE = 0  # the number of the trial in which every parameter has its default


@dataclass(frozen=True)
class Candidate:
    """A configuration in the choice.

    `searched` is the last value that the search saw, on its one seed, and `searched_at` its fidelity. `values` are
    those on the fresh seeds that choose, by seed. `mean` is over the first `seeds` of them, or None if one failed or
    none was run. `difference` is paired, from the winner. `rank` is 1 for the winner and None for others without a
    mean. For `costs` see sweeps.search.costs. `on_front` says whether no candidate is both better and cheaper; it is
    None if the spec names no cost. `is_cheapest` says whether its cost made it the winner.
    """

    number: int
    searched: float | None
    searched_at: float
    values: Mapping[int, float]
    seeds: int
    mean: float | None
    difference: Interval | None
    rank: int | None
    decision: Decision
    reason: str
    costs: Mapping[str, float]
    on_front: bool | None = None
    is_cheapest: bool = False

    @property
    def n(self) -> int | None:
        """Return how many seeds its mean is over, or None without a mean."""
        return None if self.mean is None else self.seeds

    @property
    def counted(self) -> dict[int, float]:
        """Return the values that its mean is over, by seed; it may have run on more seeds."""
        return {seed: value for seed, value in self.values.items() if seed <= self.seeds}


@dataclass(frozen=True)
class Published:
    """The published values of winner or baseline on the further seeds, by seed, and why a seed has none."""

    number: int
    values: Mapping[int, float]
    interval: Interval | None
    missing: str


@dataclass(frozen=True)
class Selection:
    """The outcome: candidates by rank, the winner's number (None if none survived), and the published values.

    `seeds` is the number of first fresh seeds on which the remaining candidates are compared. `published` holds the
    winner, then the baseline if it is another trial. `difference` is winner minus baseline, paired on further seeds.
    `optimism` is by how much better the winner's last value in the search was than its published mean, or None if the
    fidelities differ. `final` is the trial whose model is the result, and `instead` says why not the first seed's.
    """

    candidates: tuple[Candidate, ...]
    winner: int | None
    seeds: int
    published: tuple[Published, ...]
    difference: Interval | None
    optimism: float | None
    final: TrialKey | None
    instead: str = ""
    basis: Basis | None = None
    value: Interval | None = None

    @property
    def is_confirmed(self) -> bool:
        """Return whether the winner's value is from seeds that chose nothing."""
        return self.basis == "evaluation"


def selection_seed(spec: SweepSpec, replicate: int) -> int:
    """Return the seed of a fresh run, which is common to all candidates so that they can be compared in pairs."""
    return derive_seed(spec.seed, "selection", replicate, bits=spec.seed_bits)


def _order(spec: SweepSpec, value: float) -> float:
    return -value if spec.direction == "maximize" else value


def by_last_value(spec: SweepSpec, history: History) -> list[int]:
    """Return the numbers of the search's trials that have a value, best first, without failed or diverged trials.

    Values count whatever their fidelity: a trial that was stopped early would nearly always have improved.
    """
    sound = [trial for trial in history.search if trial.state != "failed"]
    fit = [(value, t.key.number) for t in sound if (value := t.value(spec.metric)) is not None]
    return [number for _, number in sorted(fit, key=lambda item: (_order(spec, item[0]), item[1]))]


def candidates(spec: SweepSpec, history: History) -> list[int]:
    """Return the best configurations by their last values, and the baseline if it is not among them.

    Without a seed that chooses, only one configuration is taken: the best of those that trained furthest.
    """
    rule = as_fitted(spec, history).selection
    best = by_last_value(spec, history)
    ranked = best if rule.chooses else _furthest(history, best)
    chosen = list(islice(_distinct(history, ranked), rule.candidates if rule.chooses else 1))
    baseline = [BASELINE] if BASELINE in best and BASELINE not in chosen else []
    return chosen + baseline


def _furthest(history: History, numbers: Sequence[int]) -> Sequence[int]:
    """Return the complete trials; if none, those that no rung stopped; if none, those of the highest fidelity."""
    trials = {number: history.trials[TrialKey(number)] for number in numbers}
    pools = [[n for n in numbers if trials[n].state in states] for states in (("complete",), ("running", "cut"))]
    last = max((t.last.fidelity for t in trials.values() if t.last), default=0.0)
    return next(filter(None, pools), [n for n in numbers if (end := trials[n].last) and end.fidelity == last])


def _distinct(history: History, best: Sequence[int]) -> Iterator[int]:
    """Yield one trial for each configuration, best first; for the baseline's configuration, the baseline itself."""
    known: set[Configuration] = set()
    own = configuration(history.trials[TrialKey(BASELINE)].params) if BASELINE in best else None
    for number in best:
        found = configuration(history.trials[TrialKey(number)].params)
        if found not in known:
            known.add(found)
            yield BASELINE if found == own else number


def publication(spec: SweepSpec, history: History, numbers: Sequence[int]) -> list[TrialKey]:
    """Return the runs on further seeds of the winner, which is the first number, and of the baseline, seed by seed.

    A baseline that failed on a seed that chose is not published. A failure here ends nothing, so speed decides nothing.
    """
    spec = as_fitted(spec, history)
    failed = failed_in_choice(spec, history) - set(numbers[:1])
    sound = [number for number in dict.fromkeys(numbers) if number not in failed]
    return [TrialKey(n, PUBLISHED + seed) for seed in range(1, spec.selection.published_seeds + 1) for n in sound]


def failed_in_choice(spec: SweepSpec, history: History) -> set[int]:
    """Return the candidates that failed on a seed that chooses; a run that a budget cut or prevented is no failure."""
    return {run.key.number for run in history.selection if run.key.stage == "choice" and not is_sound(spec, run)}


def select(spec: SweepSpec, history: History, numbers: Sequence[int]) -> Selection:
    """Return the choice and the publication so far, for the numbers of the candidates, best in the search first."""
    spec = as_fitted(spec, history)
    run = _with_a_round(spec, history, numbers)
    judged = [_judge(spec, history, run, number) for number in numbers]
    left = [candidate for candidate in judged if candidate.number in run.left]
    winner, by, is_cheapest = _winner(spec, left)
    ordered = sorted(judged, key=lambda c: (c is not winner, _standing(spec, run, c)))
    against = winner.counted if winner else {}
    bounds = metric_bounds(spec, history)
    ranked = []
    for place, candidate in enumerate(ordered, start=1):
        decision, reason = _verdict(spec, run, candidate, winner, by)
        if candidate is winner and candidate.number in failed_in_choice(spec, history):
            reason += "; it failed on a further seed, on which nothing was decided any more"
        rank = None if candidate.mean is None and candidate is not winner else place
        is_compared = candidate is not winner and candidate.mean is not None
        difference = paired(candidate.counted, against, bounds) if is_compared else None
        is_by_cost = is_cheapest and candidate is winner
        ranked.append(
            replace(
                candidate, rank=rank, difference=difference, decision=decision, reason=reason, is_cheapest=is_by_cost
            )
        )
    return _published(spec, history, _with_front(spec, ranked), run.rounds)


def _with_a_round(spec: SweepSpec, history: History, numbers: Sequence[int]) -> Race:
    """Return the race; if a budget ended its first round, only the candidates that completed the round are compared."""
    ended = race_as_it_ended(spec, history, numbers)
    through = [number for number in ended.left if 1 in fresh_values(spec, history, number)]
    if ended.rounds or len(ended.left) < 2 or not through:
        return ended
    late = {n: f"fresh seed 1: {fate(history.trials.get(TrialKey(n, 1)))}" for n in ended.left if n not in through}
    among = race_as_it_ended(spec, history, through) if len(through) > 1 else Race(tuple(through), rounds=1)
    return replace(among, failed={**ended.failed, **among.failed, **late}, is_over=False)


def _judge(spec: SweepSpec, history: History, run: Race, number: int) -> Candidate:
    values = fresh_values(spec, history, number)
    seeds = run.beaten[number][0] if number in run.beaten else run.rounds
    is_whole = number not in run.failed and seeds > 0
    mean = mean_of([values[seed] for seed in range(1, seeds + 1)]) if is_whole else None
    found = history.trials[TrialKey(number)]
    last = found.valued(spec.metric)
    return Candidate(
        number=number,
        searched=found.value(spec.metric),
        searched_at=last.fidelity if last else 0.0,
        values=values,
        seeds=seeds,
        mean=mean,
        difference=None,
        rank=None,
        decision="out",
        reason="",
        costs=costs(spec, history, number, seeds),
    )


def _winner(spec: SweepSpec, left: Sequence[Candidate]) -> tuple[Candidate | None, str, bool]:
    """Return the winner, the reason for its win, and whether its cost made it win."""
    # Of equal means the cheaper candidate wins, then the earlier one. A sole remaining candidate needs no mean. If none
    # has a mean, because a budget ended first, the best of the search wins.
    by, cost = f"best mean {spec.metric} on fresh seeds", spec.selection.cost
    if len(left) == 1:
        return left[0], by, False
    able = [(_order(spec, candidate.mean), candidate) for candidate in left if candidate.mean is not None]
    if not able:
        return (left[0] if left else None), by, False
    best, leader = min(able, key=lambda item: (item[0], item[1].costs.get(cost or "", math.inf), item[1].number))
    if spec.selection.rule != "within_one_se" or cost is None:
        return leader, by, False
    if leader.seeds < 2:
        return leader, f"{by}; {cost} decided nothing, since one seed has no standard error", False
    within = best + _standard_error([leader.values[seed] for seed in range(1, leader.seeds + 1)])
    cheap = [(c.costs[cost], loss, c.number, c) for loss, c in able if cost in c.costs and loss <= within]
    if not cheap:
        return leader, f"{by}; {cost} decided nothing, since no candidate that is as good has it", False
    cheapest = min(cheap)[-1]
    return cheapest, f"least {cost} within one standard error of the {by}", cheapest is not leader


def _standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of two or more values."""
    return math.sqrt(variance_of(values) / len(values))


def _standing(spec: SweepSpec, run: Race, candidate: Candidate) -> tuple[float, ...]:
    """Return a sort key: remaining candidates by mean, then those raced out (the last one first), then failed ones."""
    kind = 0 if candidate.number in run.left else 1 if candidate.number in run.beaten else 2
    mean = math.inf if candidate.mean is None else _order(spec, candidate.mean)
    return kind, -candidate.seeds if kind == 1 else 0, mean, candidate.number


def _verdict(
    spec: SweepSpec, run: Race, candidate: Candidate, winner: Candidate | None, by: str
) -> tuple[Decision, str]:
    number = candidate.number
    if candidate is winner:
        return "winner", _why(spec, run, candidate, by)
    if number in run.beaten:
        return "raced out", run.beaten[number][1]
    if number in run.failed:
        return "out", run.failed[number]
    if winner is None or winner.mean is None or candidate.mean is None:
        return ("out", "no fresh seed came to its end") if spec.selection.chooses else ("not compared", "no seed chose")
    behind = _order(spec, candidate.mean) - _order(spec, winner.mean)
    if behind == 0:
        return (
            "beaten",
            f"mean is the winner's, which {'costs less' if _is_dearer(spec, candidate, winner) else 'came first'}",
        )
    where = f"{behind:.6g} behind the winner's" if behind > 0 else f"{-behind:.6g} better, but it costs more"
    return "beaten", f"mean is {where}"


def _is_dearer(spec: SweepSpec, candidate: Candidate, winner: Candidate) -> bool:
    costs = [one.costs.get(spec.selection.cost or "", math.inf) for one in (winner, candidate)]
    return costs[0] < costs[1]


def _why(spec: SweepSpec, run: Race, candidate: Candidate, by: str) -> str:
    if not spec.selection.chooses:
        return "best of the search, where no fresh seed chooses"
    if candidate.mean is None and len(run.left) > 1:
        return "best of the search, since not one fresh seed was through"
    if candidate.mean is None:
        return "the only candidate that is left"
    short = "" if run.is_over else f" of {spec.selection.seeds}, not all of which came to an end"
    return f"{by} (n = {candidate.seeds}{short})"


def _with_front(spec: SweepSpec, ranked: Sequence[Candidate]) -> tuple[Candidate, ...]:
    cost = spec.selection.cost
    if cost is None:
        return tuple(ranked)
    front = pareto_front(
        {
            c.number: ({seed: _order(spec, value) for seed, value in c.counted.items()}, c.costs[cost])
            for c in ranked
            if c.mean is not None and cost in c.costs
        }
    )
    return tuple(replace(c, on_front=c.number in front) for c in ranked)


def _published(spec: SweepSpec, history: History, ranked: tuple[Candidate, ...], rounds: int) -> Selection:
    winner = ranked[0].number if ranked and ranked[0].decision == "winner" else None
    failed = failed_in_choice(spec, history)
    if winner is None:
        return Selection(ranked, None, rounds, (), None, None, None)
    # An idle slot may have published the baseline ahead although it failed on a seed that chose.
    both = [winner, *(c.number for c in ranked if c.number == BASELINE != winner and c.number not in failed)]
    published = tuple(_publish(spec, history, number) for number in both)
    own = published[0]
    difference = paired(own.values, published[1].values, metric_bounds(spec, history)) if len(published) > 1 else None
    basis, value = _value(spec, history, ranked[0], own)
    final, instead = _final(history, winner, list(own.values)) if basis == "evaluation" else (None, "")
    if basis in ("selection", "search"):
        final = TrialKey(winner, 1 if basis == "selection" else 0)
    optimism = None if final is None else _optimism(spec, ranked[0], own, history.trials[final])
    return Selection(ranked, winner, rounds, published, difference, optimism, final, instead, basis, value)


def _value(
    spec: SweepSpec, history: History, winner: Candidate, own: Published
) -> tuple[Basis | None, Interval | None]:
    """Return the stage and the winner's value; None for both if it failed on a further seed and has a value on none."""
    if own.interval is not None:
        return "evaluation", own.interval
    further = [run for run in history.selection if (run.key.number, run.key.stage) == (own.number, "publication")]
    if not all(is_sound(spec, run) for run in further):
        return None, None
    if winner.mean is not None:
        return "selection", Interval(winner.seeds, winner.mean, None, None)
    return "search", Interval(1, winner.searched, None, None) if winner.searched is not None else None


def _optimism(spec: SweepSpec, winner: Candidate, own: Published, final: Trial) -> float | None:
    """Return by how much better the search saw the winner, or None if it saw it at another fidelity."""
    if own.interval is None or winner.searched is None or final.last is None:
        return None
    if not math.isclose(winner.searched_at, final.last.fidelity, rel_tol=1e-9):
        return None
    return _order(spec, own.interval.mean) - _order(spec, winner.searched)


def _final(history: History, winner: int, seeds: Sequence[int]) -> tuple[TrialKey | None, str]:
    """Return the winner's model on the first further seed that has a value, and why if that is not seed 1."""
    # A model whose test set may have been read stays the final one, so that the test set is not read for another.
    if not seeds:
        return None, ""
    scored = {note.key for note in history.noted(TEST_READ)}
    kept = next((seed for seed in seeds if TrialKey(winner, PUBLISHED + seed) in scored), None)
    seed = kept or seeds[0]
    lowest, read = "the lowest one that came to its end", "for which the test set may have been read already"
    why = lowest if seed == seeds[0] else read
    return TrialKey(winner, PUBLISHED + seed), "" if seed == 1 else f"the model is that of further seed {seed}, {why}"


def _publish(spec: SweepSpec, history: History, number: int) -> Published:
    seeds = range(1, spec.selection.published_seeds + 1)
    runs = {seed: history.trials.get(TrialKey(number, PUBLISHED + seed)) for seed in seeds}
    values = {s: value for s, run in runs.items() if run and (value := run.full_value(spec.metric)) is not None}
    missing = "; ".join(f"seed {seed}: {fate(run)}" for seed, run in runs.items() if seed not in values)
    return Published(number, values, interval(list(values.values()), metric_bounds(spec, history)), missing)


def selection_of(spec: SweepSpec, history: History) -> Selection | None:
    """Return the current selection, or None if no trial has run on a fresh seed and no winner is recorded."""
    if not history.selection and (history.outcome or {}).get("winner") is None:
        return None
    return select(spec, history, candidates(spec, history))


def final_key(history: History) -> TrialKey | None:
    """Return the trial whose model is the recorded result, or None if there is none."""
    final = (history.outcome or {}).get("final")
    return None if final is None else parse_label(final)
