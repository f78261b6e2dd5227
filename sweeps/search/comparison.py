"""Whether two runs of one trial are the same run: measurement by measurement, bit by bit."""

from collections.abc import Mapping

from study.measurement import Measurement


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
