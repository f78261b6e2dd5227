"""Numbers in plain words: percents if a metric is an accuracy, intervals, counts and durations."""

import math
from collections.abc import Mapping, Sequence

from sweeps.digits import digits_of, in_digits
from sweeps.search.intervals import CONFIDENCE, Interval
from sweeps.spec import SweepSpec

_PERCENT = "\u00a0%"
_LEVEL = f"{100 * CONFIDENCE:.0f}\u00a0% interval"


def named(name: str) -> str:
    """Return a metric's or parameter's name as used in a sentence."""
    return name.replace("_", " ")


def _is_share(metric: str) -> bool:
    return metric.endswith("accuracy")


def number(metric: str, value: float) -> str:
    """Return a value without its unit, as used inside an interval."""
    if _is_share(metric):
        return f"{100 * value:.2f}"
    return in_digits(value)


def value(metric: str, found: float | None) -> str:
    """Return a value with its unit, such as "99.21 %" or "0.0622"; a dash for None."""
    if found is None or not math.isfinite(found):
        return "–" if found is None else str(found)
    return number(metric, found) + _PERCENT if _is_share(metric) else number(metric, found)


def achieved(metric: str, found: float) -> str:
    """Return a value with its metric: "99.21 % validation accuracy", "a loss of 0.0622"."""
    if _is_share(metric):
        return f"{value(metric, found)} {named(metric)}"
    return f"a {named(metric)} of {value(metric, found)}"


def bounds(metric: str, found: Interval | None) -> str:
    """Return the bounds of an interval: "95 % interval 99.12 to 99.30"; "" if there are none."""
    if found is None or found.low is None or found.high is None:
        return ""
    low, high = _together(metric, found.low, found.high)
    return f"{_LEVEL} {low} to {high}"


def estimate(metric: str, found: Interval | None) -> str:
    """Return a mean with the bounds of its interval for a table; a dash for None."""
    if found is None:
        return "–"
    if found.low is None or found.high is None or not math.isfinite(found.mean):
        return value(metric, found.mean)
    mean, low, high = _together(metric, found.mean, found.low, found.high)
    return f"{mean}{_PERCENT if _is_share(metric) else ''} ({low} to {high})"


def _together(metric: str, *values: float) -> list[str]:
    """Return values without their units, with the digits that tell them apart."""
    if _is_share(metric):
        return [number(metric, value) for value in values]
    return [in_digits(value, digits_of(*values)) for value in values]


def difference(metric: str, found: float) -> str:
    """Return the size of a difference, without its sign: "0.9 points", "0.0112"."""
    if not _is_share(metric):
        return f"{abs(found):.3g}"
    return f"{abs(100 * found):.2g} point{'' if f'{abs(100 * found):.2g}' == '1' else 's'}"


def signed(metric: str, found: Interval | None) -> str:
    """Return a difference with sign and bounds for a table, in points if the metric is an accuracy; a dash for None."""
    if found is None:
        return "–"
    scale = 100 if _is_share(metric) else 1
    inside = (
        "" if found.low is None or found.high is None else f" ({scale * found.low:+.3g} to {scale * found.high:+.3g})"
    )
    told = f"{scale * found.mean:+.3g}{' points' if _is_share(metric) else ''}{inside}"
    return told.replace("-", "−")


def count(how_many: int, what: str) -> str:
    """Return a count with its noun: "1 trial", "2,000 trials"."""
    return f"{how_many:,} {what}{'' if how_many == 1 else 's'}"


def times(how_often: int) -> str:
    """Return "once", or how many times."""
    return "once" if how_often == 1 else f"{how_often:,} times"


def quantity(found: float) -> str:
    """Return an amount of a divisible quantity: "29.6", "1,430"."""
    return f"{found:,.0f}" if found >= 100 else f"{found:.3g}"


def listed(words: Sequence[str]) -> str:
    """Return words joined by commas and a final "and"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1] if words else "")))


def duration(seconds: float) -> str:
    """Return seconds as "48 s", "12 min" or "3.4 h"."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def settings(texts: Mapping[str, str]) -> str:
    """Return parameters with their values for a sentence."""
    return ", ".join(f"{name} = {text}" for name, text in texts.items())


def better(spec: SweepSpec, found: float) -> str:
    """Return "better" or "worse" for a difference that is not 0, in the sweep's direction."""
    return "better" if (found > 0) == (spec.direction == "maximize") else "worse"


def hours(found: float) -> str:
    """Return device-hours as text, in device-seconds below 0.1 hours."""
    return f"{found:.3g} device-hours" if found >= 0.1 else f"{3600 * found:.3g} device-seconds"
