"""The honest choice as pure functions of history: who is tried again on fresh seeds, and who wins by the mean."""

import math
from dataclasses import dataclass

from study.seeds import derive_seed
from sweeps.search.history import History, Trial, TrialKey, fate
from sweeps.spec import SweepSpec

BASELINE = 0  # the number of the trial in which every parameter has its default
FINAL_REPLICATE = 1  # fixed beforehand: the winner's model on its first fresh seed is stored, tested and replayed


@dataclass(frozen=True)
class Candidate:
    """A configuration in the final selection: its values on fresh seeds by replicate, their mean, rank and why."""

    number: int
    searched: float | None  # the value that the search saw, on its one seed
    values: dict[int, float]
    mean: float | None
    rank: int | None  # 1 is best; None if it failed on a fresh seed
    reason: str


@dataclass(frozen=True)
class Selection:
    """The outcome: candidates by rank, and the winner's number (None if none survived)."""

    candidates: tuple[Candidate, ...]
    winner: int | None
    seeds: int  # how many first fresh seeds they are compared on

    @property
    def final(self) -> TrialKey | None:
        """The trial whose model is the sweep's result."""
        return None if self.winner is None else TrialKey(self.winner, FINAL_REPLICATE)


def selection_seed(spec: SweepSpec, replicate: int) -> int:
    """The fresh seed of a replicate: common to all candidates, so that they compare in pairs."""
    return derive_seed(spec.seed, "selection", replicate)


def _order(spec: SweepSpec, value: float) -> float:
    return -value if spec.direction == "maximize" else value


def candidates(spec: SweepSpec, history: History) -> list[int]:
    """The baseline and the best trials by their last finite value; a failed or diverged trial is no candidate."""
    fit = [
        (value, trial.key.number)
        for trial in history.search
        if trial.state != "failed" and (value := trial.value(spec.metric)) is not None
    ]
    best = [number for _, number in sorted(fit, key=lambda item: (_order(spec, item[0]), item[1]))]
    chosen = best[: spec.selection.candidates]
    baseline = [BASELINE] if BASELINE in best and BASELINE not in chosen else []
    return chosen + baseline


def wanted(spec: SweepSpec, numbers: list[int]) -> list[TrialKey]:
    """The trials on fresh seeds that a selection consists of; all first seeds come before any second one.

    None in a design, which chooses nothing: its cells were all trained on common seeds.
    """
    if spec.design:
        return []
    return [TrialKey(number, replicate) for replicate in range(1, spec.selection.seeds + 1) for number in numbers]


def may_be_stored(spec: SweepSpec, trial: Trial) -> bool:
    """Whether the trial's model may yet be scored on the test set and stored as an experiment."""
    is_asked_for = spec.design.test if spec.design else trial.key.replicate == FINAL_REPLICATE
    return is_asked_for and trial.state == "complete" and spec.target is None  # a function has no model to score


def select(spec: SweepSpec, history: History, numbers: list[int]) -> Selection:
    """Rank the candidates by the mean over their fresh seeds; one that failed on any of them can't win.

    Where a budget ended before all seeds were through, as many first seeds count as all that are left have in common.
    """
    seeds = _common_seeds(spec, history, numbers)
    judged = [_judge(spec, history, number, seeds) for number in numbers]
    able = sorted((c for c in judged if c.mean is not None), key=lambda c: (_order(spec, c.mean or 0.0), c.number))
    ranked = tuple(
        Candidate(c.number, c.searched, c.values, c.mean, rank, _why(spec, seeds, c, able, rank))
        for rank, c in enumerate(able, start=1)
    )
    return Selection(ranked + tuple(c for c in judged if c.mean is None), ranked[0].number if ranked else None, seeds)


def _common_seeds(spec: SweepSpec, history: History, numbers: list[int]) -> int:
    """On how many first seeds the candidates are compared: all, unless a budget ended before these were through."""
    runs = {number: [history.trials.get(key) for key in wanted(spec, [number])] for number in numbers}
    sound = [found for found in runs.values() if all(run is None or _is_sound(spec, run) for run in found)]
    done = [sum(run is not None and run.state == "complete" for run in found) for found in sound]
    return min((count for count in done if count), default=spec.selection.seeds)


def _is_sound(spec: SweepSpec, run: Trial) -> bool:
    return run.state in ("running", "cut") or run.full_value(spec.metric) is not None


def selection_of(spec: SweepSpec, history: History) -> Selection | None:
    """The selection as it stands; None while no trial has run on a fresh seed."""
    if not history.selection:
        return None
    return select(spec, history, candidates(spec, history))


def final_key(history: History) -> TrialKey | None:
    """The trial whose model is the recorded result, or None."""
    winner = history.outcome["winner"] if history.outcome else None
    return None if winner is None else TrialKey(winner, FINAL_REPLICATE)


def _judge(spec: SweepSpec, history: History, number: int, seeds: int) -> Candidate:
    runs = [history.trials.get(key) for key in wanted(spec, [number])]
    values = {run.key.replicate: value for run in runs if run and (value := run.full_value(spec.metric)) is not None}
    searched = history.trials[TrialKey(number)].value(spec.metric)
    wrong = [(i, run) for i, run in enumerate(runs, start=1) if i not in values]
    # What a budget ended counts against nobody behind the common seeds.
    missing = [f"fresh seed {i}: {fate(run)}" for i, run in wrong if i <= seeds or (run and not _is_sound(spec, run))]
    mean = None if missing else math.fsum(values[i] for i in range(1, seeds + 1)) / seeds
    return Candidate(number, searched, values, mean, None, "; ".join(missing))


def _why(spec: SweepSpec, seeds: int, candidate: Candidate, able: list[Candidate], rank: int) -> str:
    if rank == 1:
        short = "" if seeds == spec.selection.seeds else f" of {spec.selection.seeds}, not all of which came to an end"
        return f"best mean {spec.metric} on fresh seeds (n = {seeds}{short})"
    behind = abs((able[0].mean or 0.0) - (candidate.mean or 0.0))
    return f"mean is {behind:.6g} behind the winner's"
