"""The direction in which a metric is better, as far as the words of its name show it.

A name is split at every character that is not a letter or digit, and at the humps of camelCase: "val/lossBest" has the
words val, loss and best. A name shows the direction only if all its words are known: words of a measure, all of one
direction, and words that leave a measure unchanged. Any other word may reverse it, as in `errors_fixed`, `win_loss` or
`davies_bouldin_score`, and so may arithmetic, as in `1-accuracy` or `exp(-loss)`.
"""

import re
import unicodedata
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
# These leave a measure unchanged: where and how it was taken, and of what.
_NEUTRAL = """
    val valid validation train training test testing eval evaluation dev holdout heldout oof cv fold
    mean avg average sum total median max min best final last epoch batch step running ema smoothed overall global
    macro micro weighted balanced samples sample token tokens pixel image class word char character episode at top per
    k n of the rate log
    cross entropy ce bce focal triplet contrastive infonce huber hinge smooth l1 l2 kl ctc mlm lm cls reg box obj mask
    squared square root absolute percentage quantile reconstruction perceptual adversarial distillation
    generator discriminator actor critic policy value aux main roc pr
"""
# These reverse a measure, or turn it into another quantity.
_TURNS = """
    neg negative negated minus not non no inv inverse inverted reciprocal complement reduction reduced improvement gain
    increase decrease drop decay gap delta diff difference change ratio std stdev var variance deviation spread range
    signed time scale weight coefficient
"""
# A score of these is a loss.
_OF_LOSSES = """
    log quantile cross entropy ce bce focal huber hinge smooth l1 l2 kl ctc squared square absolute percentage
"""
_MEANS = frozenset(("mean", "avg", "average", "median"))
_UNSIGNED = frozenset(("absolute", "squared", "square", "root", "percentage", "rate", "log", "l1", "l2"))
_LESS, _MORE, _LEFT, _TURNING, _KINDS_OF_LOSS = (
    frozenset(words.split()) for words in (_LESS_IS_BETTER, _MORE_IS_BETTER, _NEUTRAL, _TURNS, _OF_LOSSES)
)
_HUMPS = re.compile(r"[FRL][12](?![a-z\d])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MINUS = "-\N{MINUS SIGN}\N{EN DASH}"
_ARITHMETIC = re.compile(
    rf"[*()+=^<>|~!]|(?:^|[^\w\s])\s*[{_MINUS}]|\s[{_MINUS}/]\s"  # in exp(-loss), val/-loss, 1 - accuracy
    rf"|(?:^|(?<!top)_|[/:\s])\d+(?:[.,]\d+)?\s*[{_MINUS}/]"  # in 1-accuracy, 1/loss; not in top-1-accuracy
)


def direction_by_name(metric: str) -> Direction | None:
    """Return the direction in which a metric is better by its name, or None if the name does not show it."""
    ordered = _words_in_order(metric)
    words = set(ordered)
    if _is_arithmetic(metric) or any(word not in _LESS | _MORE | _LEFT and not word.isdigit() for word in words):
        return None
    is_of_a_loss = words & {"score", "scores"} and words & _KINDS_OF_LOSS  # log_score, quantile_score: less is better
    is_signed = words & {"error", "errors", "err"} and words & _MEANS and not words & _UNSIGNED  # mean_error: a bias
    divisor = ordered[ordered.index("per") + 1 :] if "per" in ordered else []
    if is_of_a_loss or is_signed or not (_LESS | _MORE).isdisjoint(divisor):
        return None
    less, more = not words.isdisjoint(_LESS), not words.isdisjoint(_MORE)
    if less == more:
        return None
    return "minimize" if less else "maximize"


def _is_arithmetic(metric: str) -> bool:
    """Return whether a name has arithmetic signs: ASCII ones by their position, other Unicode ones anywhere."""
    kinds = {unicodedata.category(sign) for sign in metric if not sign.isascii()}
    return bool(_ARITHMETIC.search(metric) or any(kind[0] == "S" or kind in ("No", "Pd") for kind in kinds))


def is_turned(metric: str) -> bool:
    """Return whether a name changes the measure that it names into another quantity, whose bounds are unknown."""
    words = words_of(metric)
    return bool(_is_arithmetic(metric) or words & _TURNING or ("log" in words and "loss" not in words))


def words_of(name: str) -> set[str]:
    """Return the words of a name in lower case; a measure that is spelled with humps, like mAP or F1, is one word."""
    return set(_words_in_order(name))


def _words_in_order(name: str) -> list[str]:
    words = list[str]()
    for part in re.split(r"[\W_]+", name):
        whole, bare = part.lower(), part.lower().rstrip("0123456789")
        if known := {whole, bare} & (_LESS | _MORE):
            words += sorted(known)
        elif part:
            words += [hump.lower() for hump in _HUMPS.findall(part)] if part.isascii() else [whole]
    return words
