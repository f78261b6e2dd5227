"""Comparison of two runs of one trial, measurement by measurement and bit by bit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from study.measurement import Measurement


@dataclass(frozen=True)
class Replay:
    """The outcome of repeating a run.

    Attributes:
        label: What was repeated.
        compared: The number of equal measurements (for a range test: of equal losses).
        difference: The first difference, or None if the runs are identical.
        environment: A line for each fact that differs from the record, which may explain a difference.
        noun: A format string for what was compared, with {} for the plural s.
    """

    label: str
    compared: int
    difference: str | None
    environment: tuple[str, ...]
    noun: str = field(default="measurement{} and the weights", repr=False)

    @property
    def what(self) -> str:
        """Return what was compared, in words."""
        return f"{self.compared} {self.noun.format('' if self.compared == 1 else 's')}"

    @property
    def identical(self) -> bool:
        return self.difference is None


def compare(
    label: str,
    stored: Sequence[Measurement],
    repeated: Iterable[Measurement],
    environment: Sequence[str] = (),
    *,
    untracked: Sequence[str] = (),
    continued: Mapping[int, str] | None = None,
) -> Replay:
    """Compare a repeated run report by report, until it differs or all stored measurements are repeated.

    Args:
        label: What was repeated.
        stored: The measurements of the first run.
        repeated: The measurements of the second run.
        environment: A line for each fact that differs from the record.
        untracked: Metrics that are never compared, such as timings.
        continued: The reports at which the first run resumed from a checkpoint, by number, and what had ended it
            before.
    """
    compared, noun = 0, "measurement{}" + (" and the weights" if any(m.digest for m in stored) else "")
    for old, new in zip(stored, repeated, strict=False):
        if found := differences(old, new, untracked):
            place = f"report {new.report}{_after_a_break(new.report, continued or {})}"
            return Replay(label, compared, f"{place}: {'; '.join(found)}", tuple(environment), noun)
        compared += 1
    missing = None if compared == len(stored) else f"it ended after report {compared}, {len(stored)} are stored"
    return Replay(label, compared, missing, tuple(environment), noun)


def _after_a_break(report: int, continued: Mapping[int, str]) -> str:
    """Explain in words that the first run was resumed from a checkpoint by this report, if it was."""
    if report in continued:
        return f" (the first after {continued[report]}: its checkpoint may lack what changes the results)"
    before = [number for number in continued if number < report]
    return (
        f" (it was continued from a checkpoint at report {max(before)}, after {continued[max(before)]})"
        if before
        else ""
    )


def differences(stored: Measurement, repeated: Measurement, untracked: Sequence[str] = ()) -> list[str]:
    """Return every value in which two runs of one report differ, in words; times are not results and don't count."""
    found = [
        f"{name} was {getattr(stored, name)}, is {getattr(repeated, name)}"
        for name in ("step", "fidelity", "digest")
        if getattr(stored, name) != getattr(repeated, name)
    ]
    for name in sorted({*stored.values, *repeated.values} - {*untracked}):
        old, new = stored.values.get(name), repeated.values.get(name)
        # By representation, so that NaN equals NaN; repr keeps every bit of any other float.
        if repr(old) != repr(new):
            found.append(f"{name} was {old!r}, is {new!r}")
    return found


def environment_differences(stored: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a line for each difference between two environments, which may explain an unequal replay."""
    return [
        f"{name} was {stored.get(name, 'not recorded')}, is {here.get(name, 'not recorded')}"
        for name in sorted({*stored, *here})
        if stored.get(name) != here.get(name)
    ]
