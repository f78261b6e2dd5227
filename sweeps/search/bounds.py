"""The bounds that a metric can't leave, so that no interval says that an accuracy may be 1.03 or a loss −0.07.

A true mean lies within the bounds too, so that an interval that ends there covers it as often as before.
"""

import math
import re

from sweeps.search.history import History
from sweeps.search.intervals import UNBOUNDED, Bounds
from sweeps.spec import SweepSpec

SHARE: Bounds = (0.0, 1.0)
_SHARES = frozenset(
    [
        "accuracy",
        "acc",
        "auc",
        "auroc",
        "auprc",
        "f1",
        "precision",
        "recall",
        "sensitivity",
        "specificity",
        "iou",
        "dice",
    ]
)
_LOSSES = frozenset(["loss", "error", "err", "rmse", "mse", "mae", "mape", "nll", "perplexity", "wer", "cer"])
_WORD = re.compile(r"[A-Z]?[a-z]+\d?|[A-Z]+\d?|\d+")  # of val_f1, valLoss, ROC-AUC


def metric_bounds(spec: SweepSpec, history: History) -> Bounds:
    """Return the bounds of the sweep's metric, by its name and by all values that trials have come to.

    A share lies in 0..1 (or 0..100, in percent) and a loss at 0 or above, unless a value says otherwise.
    """
    kind = _kind(spec.metric)
    if kind is None:
        return UNBOUNDED
    values = [value for trial in history.trials.values() if (value := trial.value(spec.metric)) is not None]
    if any(value < 0 for value in values):
        return UNBOUNDED
    if kind == "loss":
        return 0.0, math.inf
    highest = max(values, default=0.0)
    return SHARE if highest <= 1 else (0.0, 100.0) if highest <= 100 else UNBOUNDED


def _kind(metric: str) -> str | None:
    """Return "share" or "loss" by the last word of a name that says it, None where none does."""
    for word in reversed(_WORD.findall(metric)):
        if word.lower() in _SHARES:
            return "share"
        if word.lower() in _LOSSES:
            return "loss"
    return None
