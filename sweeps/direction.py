"""Which way a metric is better, as far as the words of its name say it.

A name is split at everything that is no letter or digit, and at the humps of camelCase: "val/lossBest" has the words
val, loss and best. Words that are no measure of quality say nothing. A name says nothing either if its words contradict
each other, or if one of them turns the meaning round: an `error_score` may be better high or low, and so may a
`neg_mean_squared_error`.
"""

import re
from typing import Literal

Direction = Literal["maximize", "minimize"]

_LESS_IS_BETTER = """
    loss losses error errors err nll perplexity ppl rmse mse mae mape smape rmsle msle logloss crossentropy brier wer
    cer ter fid lpips ece bpb bpc bpd regret cost
"""
_MORE_IS_BETTER = """
    accuracy accuracies acc auc auroc auprc rocauc prauc f1 fscore score scores reward rewards return returns precision
    recall map ap mrr ndcg mcc bleu rouge meteor chrf iou miou dice jaccard psnr ssim r2 likelihood elbo
"""
# These turn a measure round, or make something else of it: the name does not say what is better then.
_TURNS = """
    neg negative negated minus not non no inv inverse inverted reciprocal complement reduction reduced improvement gain
    increase decrease drop decay gap delta diff difference change ratio std stdev var variance deviation spread range
    time seconds duration to until count scale weight threshold coefficient temperature
    fixed caught found corrected detected avoided saved removed recovered
"""
_LESS, _MORE, _TURNING = (frozenset(words.split()) for words in (_LESS_IS_BETTER, _MORE_IS_BETTER, _TURNS))
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_TURNED_BY_SIGN = re.compile(r"\s*(?:[-\N{MINUS SIGN}\N{EN DASH}!~]|1\s*[-/\N{MINUS SIGN}\N{EN DASH}])")


def direction_by_name(metric: str) -> Direction | None:
    """Return which way the name says that the metric is better, None if it doesn't say."""
    words = _words(metric)
    if _TURNED_BY_SIGN.match(metric) or words & _TURNING:
        return None
    less, more = bool(words & _LESS), bool(words & _MORE)
    if less == more:
        return None
    return "minimize" if less else "maximize"


def _words(name: str) -> set[str]:
    """Return the words of a name in lower case; a part whose humps are its spelling, like mAP or F1, is one word."""
    known = _LESS | _MORE
    words = set[str]()
    for part in filter(None, re.split(r"[\W_]+", name)):
        is_one = part.lower() in known or not part.isascii()
        words |= {part.lower()} if is_one else {hump.lower() for hump in _HUMPS.findall(part)}
    return words
