"""The findings of earlier sweeps, as trials that a sampler learns from; recorded, so that their files are read once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import SearchSpace, SpaceError
from study.measurement import Measurement
from sweeps.search.history import DIVERGED, Decided, History, Noted, Stamp, State, Trial, TrialKey
from sweeps.spec import SweepSpec

NOTE = "warm_start"


@dataclass(frozen=True)
class Earlier:
    """One trial of an earlier sweep: its parameters, its state and (fidelity, value) of each report."""

    params: Mapping[str, Any]
    state: str
    diverged: bool
    reports: tuple[tuple[float, float], ...]


def warm_start_note(space: SearchSpace, place: str, source: str, found: Iterable[Earlier]) -> Noted:
    """Return the row with the trials that fit in the space, how many do not, and why the first of those does not.

    A narrower space thus takes over the trials of a wider one that fit in it.
    """
    kept, left_out = [], []
    for trial in found:
        try:
            space.check(space.typed(trial.params))
        except SpaceError as error:
            left_out.append(str(error))
        else:
            kept.append(
                {
                    "params": space.typed(trial.params),
                    "state": trial.state,
                    "diverged": trial.diverged,
                    "reports": [list(report) for report in trial.reports],
                }
            )
    rest = {"left_out": len(left_out), "why": left_out[0] if left_out else ""}
    return Noted(NOTE, {"place": place, "source": source, "trials": kept, **rest})


def earlier_trials(spec: SweepSpec, history: History) -> list[Trial]:
    """Return the recorded trials of earlier sweeps, in their order, as if they were this sweep's own."""
    return [_trial(spec, kept) for note in history.noted(NOTE) for kept in note.body["trials"]]


def _trial(spec: SweepSpec, kept: Mapping[str, Any]) -> Trial:
    key = TrialKey(-1)  # it has no number in this sweep
    reached, full = max((fidelity for fidelity, _ in kept["reports"]), default=0.0), spec.max_fidelity
    # A trial that was complete there may have trained only part of the way here.
    is_short = kept["state"] == "complete" and full is not None and reached < full
    state: State = "paused" if is_short else kept["state"]
    trial = Trial(key, kept["params"], 0, Stamp(0, 0.0), 0, state=state, ended=0.0)
    trial.measurements += [
        Measurement(report, report, fidelity, 0.0, {spec.metric: value})
        for report, (fidelity, value) in enumerate(kept["reports"], start=1)
    ]
    if kept["diverged"]:
        trial.decided[DIVERGED] = Decided(key, DIVERGED, 0.0, "stop", "diverged", 0)
    return trial
