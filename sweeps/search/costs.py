"""The costs of using a candidate's model, from its runs on fresh seeds, and the candidates on the Pareto front."""

import math
from collections.abc import Mapping

from sweeps.search.history import History, Trial
from sweeps.search.intervals import mean_of
from sweeps.spec import SweepSpec

NOTE = "costs"  # the kind of note with parameters and latency (s for one image) of a run on a fresh seed


def costs(spec: SweepSpec, history: History, number: int, seeds: int) -> dict[str, float]:
    """Return the mean costs over a candidate's complete runs on the first `seeds` seeds that chose.

    Published runs must not choose anything, so they count only if no seed chose: `seeds` is then 0.

    Returns:
        For the study's models: parameters, latency (s for one image) and epoch_seconds (s). For a function: its metrics
        except the one that is searched for.
    """
    own = [run for run in history.selection if run.key.number == number and run.state == "complete"]
    runs = [run for run in own if (run.key.replicate <= seeds if seeds else run.key.stage == "publication")]
    noted = {note.key: note.body for note in history.noted(NOTE)}
    found = [_metrics(spec, run) if spec.target else {**noted.get(run.key, {}), **_speed(run)} for run in runs]
    names = {name for values in found for name in values}
    return {name: _mean([values[name] for values in found if name in values]) for name in sorted(names)}


def _metrics(spec: SweepSpec, run: Trial) -> dict[str, float]:
    last = {name: value for measurement in run.measurements for name, value in measurement.values.items()}
    return {name: value for name, value in last.items() if name != spec.metric and math.isfinite(value)}


def _speed(run: Trial) -> dict[str, float]:
    last = run.measurements[-1]
    return {"epoch_seconds": last.seconds / last.fidelity} if last.fidelity else {}


def _mean(values: list[float]) -> float:
    return mean_of(values)


def pareto_front(candidates: Mapping[int, tuple[Mapping[int, float], float]]) -> set[int]:
    """Return the candidates that no other candidate beats, from each one's losses by seed and its cost.

    A candidate beats another if it is better in one and at least as good in the other. Two are compared on the seeds of
    the one that has fewer. A candidate that was raced out beats none that continued.
    """

    def beats(a: tuple[Mapping[int, float], float], b: tuple[Mapping[int, float], float]) -> bool:
        if not b[0].keys() <= a[0].keys():
            return False
        mine, others = _mean([a[0][seed] for seed in b[0]]), _mean(list(b[0].values()))
        return mine <= others and a[1] <= b[1] and (mine, a[1]) != (others, b[1])

    return {n for n, own in candidates.items() if not any(beats(other, own) for other in candidates.values())}
