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
    label: str, stored: Sequence[Measurement], repeated: Iterable[Measurement], environment: Sequence[str]
) -> Replay:
    """Follow a repeated run report by report, until it differs or all that is stored was repeated."""
    compared, noun = 0, "measurement{}" + (" and the weights" if any(m.digest for m in stored) else "")
    for old, new in zip(stored, repeated, strict=False):
        difference = first_difference(old, new)
        if difference:
            return Replay(label, compared, f"report {new.report}: {difference}", tuple(environment), noun)
        compared += 1
    missing = None if compared == len(stored) else f"it ended after report {compared}, {len(stored)} are stored"
    return Replay(label, compared, missing, tuple(environment), noun)


def first_difference(stored: Measurement, repeated: Measurement) -> str | None:
    """The first value in which two runs of one report differ, in words; times are no result and don't count."""
    for name in ("step", "fidelity", "digest"):
        if getattr(stored, name) != getattr(repeated, name):
            return f"{name} was {getattr(stored, name)}, is {getattr(repeated, name)}"
    for name in sorted({*stored.values, *repeated.values}):
        old, new = stored.values.get(name), repeated.values.get(name)
        # NaN repeats NaN: compared by representation, which keeps every bit of a float that is a number.
        if repr(old) != repr(new):
            return f"{name} was {old!r}, is {new!r}"
    return None


def environment_differences(stored: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What differs between two environments, a line each: it may explain why a run can't be repeated."""
    return [
        f"{name} was {stored.get(name, 'not recorded')}, is {here.get(name, 'not recorded')}"
        for name in sorted({*stored, *here})
        if stored.get(name) != here.get(name)
    ]
