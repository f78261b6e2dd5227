"""Histories of searches with every trial given by its parameters, value and fidelity, which decide how it ended."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from study.measurement import Measurement
from sweeps.search.history import Asked, Decided, History, Measured, Moved, Stamp, State, TrialKey
from sweeps.spec import SweepSpec, load_spec

Given = tuple[Mapping[str, Any], float, float]  # parameters, last loss (NaN: the trial diverged), fidelity out of 9


def searched(trials: Iterable[Given]) -> History:
    """Return a history of trials: complete at fidelity 9, paused below it, and stopped where the loss is NaN."""
    history = History()
    for number, (params, loss, fidelity) in enumerate(trials):
        key = TrialKey(number)
        measured = Measured(key, Measurement(1, int(fidelity), fidelity, 1.0, {"loss": loss}))
        rows = [Asked(key, params, 0, 0), measured]
        state: State = "complete" if fidelity == 9 else "paused"
        ended = Decided(key, -1, fidelity, "stop", "diverged: loss is nan", 0) if math.isnan(loss) else None
        for row in (*rows, ended or Moved(key, state, "")):
            history.apply(Stamp(history.last.seq + 1, float(number)), row)
    return history


def spec_over(space: Mapping[str, Any], **changes: Any) -> SweepSpec:
    table = {"name": "searched", "trials": 40, "metric": "loss", "direction": "minimize", "target": "functions:bowl"}
    return load_spec({**table, "pruning": {"max_fidelity": 9}, "space": space, **changes})
