"""A sweep that was given more trials or more time: the spec as it stands, from the one it was started with."""

from typing import Any

from sweeps.errors import SpecError
from sweeps.search.history import EXTENDED, History, Noted
from sweeps.spec import SweepSpec, parse_duration


def extension(spec: SweepSpec, trials: int | None, time: str | float | None) -> Noted | None:
    """The row that extends a sweep by so many trials and so much time; None without either.

    SpecError where there is nothing that could be extended.
    """
    if trials is None and time is None:
        return None
    if trials is not None and (spec.design or trials < 1):
        why = "a design says itself how many there are" if spec.design else f"got {trials}: give a number of 1 or more"
        raise SpecError(f"{spec.name!r} can't be extended by trials: {why}")
    if time is not None and spec.time is None:
        raise SpecError(f"{spec.name!r} can't be extended by time: it has no limit")
    return Noted(EXTENDED, {"trials": trials or 0, "seconds": _seconds(time)})


def _seconds(time: str | float | None) -> float:
    if time is None:
        return 0.0
    try:
        seconds: Any = parse_duration(time)
    except ValueError as error:
        raise SpecError(f"time: {error}, but got {time!r}") from error
    if not seconds > 0:
        raise SpecError(f"time: must be more than 0, but got {time!r}")
    return float(seconds)


def as_extended(spec: SweepSpec, history: History) -> SweepSpec:
    """The spec with all that was added to it."""
    notes = [note.body for note in history.noted(EXTENDED)]
    if not notes:
        return spec
    return spec.extended(sum(body["trials"] for body in notes), sum(body["seconds"] for body in notes))
