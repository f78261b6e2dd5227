"""Whether two runs of one trial are the same run: measurement by measurement, bit by bit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from study.measurement import Measurement


@dataclass(frozen=True)
class Replay:
    """The outcome of training again: identical, or the first difference; and how the environments differ.

    label: what was repeated. compared: how many measurements (losses of a range test) were equal. environment: a line
    for each fact that is not as recorded, which may explain a difference.
    """

    label: str
    compared: int
    difference: str | None
    environment: tuple[str, ...]
    noun: str = field(default="measurement{} and the weights", repr=False)

    @property
    def what(self) -> str:
        """What was compared, in words."""
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
    """Follow a repeated run report by report, until it differs or all that is stored was repeated.

    Args:
        label: What was repeated.
        stored: The measurements of the first run.
        repeated: Those of the second one.
        environment: A line for each fact that is not as recorded.
        untracked: Metrics that are never compared, such as timings.
        continued: The reports with which the first run was continued, by number, and what had ended it before.
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
    """Say whether a run had been continued from a checkpoint by a report: what that lacks differs from there on."""
    if report in continued:
        return f" (the first after {continued[report]}: its checkpoint may lack what changes the results)"
    before = [number for number in continued if number < report]
    return (
        f" (it was continued from a checkpoint at report {max(before)}, after {continued[max(before)]})"
        if before
        else ""
    )


def differences(stored: Measurement, repeated: Measurement, untracked: Sequence[str] = ()) -> list[str]:
    """Return every value in which two runs of one report differ, in words; times are no result and don't count."""
    found = [
        f"{name} was {getattr(stored, name)}, is {getattr(repeated, name)}"
        for name in ("step", "fidelity", "digest")
        if getattr(stored, name) != getattr(repeated, name)
    ]
    for name in sorted({*stored.values, *repeated.values} - {*untracked}):
        old, new = stored.values.get(name), repeated.values.get(name)
        # NaN repeats NaN: compared by representation, which keeps every bit of a float that is a number.
        if repr(old) != repr(new):
            found.append(f"{name} was {old!r}, is {new!r}")
    return found


def environment_differences(stored: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What differs between two environments, a line each: it may explain why a run can't be repeated."""
    return [
        f"{name} was {stored.get(name, 'not recorded')}, is {here.get(name, 'not recorded')}"
        for name in sorted({*stored, *here})
        if stored.get(name) != here.get(name)
    ]
