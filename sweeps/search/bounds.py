"""The bounds that a metric can't leave, so that no interval says that an accuracy may be 1.03 or a loss −0.07.

A true mean is within the bounds too, so an interval that ends there covers it as often as before.
"""

import math

from sweeps.direction import is_turned, words_of
from sweeps.search.history import History
from sweeps.search.intervals import UNBOUNDED, Bounds
from sweeps.spec import SweepSpec

SHARE: Bounds = (0.0, 1.0)
_SHARE_WORDS = """
    accuracy acc auc auroc auprc rocauc prauc f1 fscore precision recall sensitivity specificity iou miou dice jaccard
    map ap mrr ndcg ssim brier
"""
_LOSS_WORDS = "loss losses error errors err rmse mse mae mape nll perplexity ppl wer cer"
_SHARES, _LOSSES = frozenset(_SHARE_WORDS.split()), frozenset(_LOSS_WORDS.split())
_OTHERS = {"r2": (-math.inf, 1.0), "mcc": (-1.0, 1.0)}
_RATES = frozenset(["error", "success", "win"])  # together with the word "rate"; a word error rate may be above 1


def metric_bounds(spec: SweepSpec, history: History) -> Bounds:
    """Return the bounds of the sweep's metric, by its name and the values of all trials.

    A share is within 0..1 (or 0..100, in percent) and a loss is at least 0, unless a value says otherwise.
    """
    values = [value for trial in history.trials.values() if (value := trial.value(spec.metric)) is not None]
    for low, high in _by_name(spec.metric):
        if all(low <= value <= high for value in values):
            return low, high
    return UNBOUNDED


def _by_name(metric: str) -> list[Bounds]:
    """Return the bounds that a name may mean, the narrowest first, or [] if it says none."""
    words = words_of(metric)
    if is_turned(metric):
        return []
    if (
        words & _SHARES
        or ("rate" in words and words & _RATES and not words & {"word", "char", "character"})
        or {"exact", "match"} <= words
    ):
        return [SHARE, (0.0, 100.0)]
    if own := words & _OTHERS.keys():
        return [_OTHERS[min(own)]]
    return [(0.0, math.inf)] if words & _LOSSES else []
