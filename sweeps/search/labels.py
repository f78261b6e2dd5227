"""The names of trials in logs, folders and commands, parsed back to keys: 12, 12-seed1 or 12-published1."""

import re

from sweeps.search.history import PUBLISHED, TrialKey

_LABEL = re.compile(r"(\d+)(?:-(seed|published)([1-9]\d*))?")


def parse_label(label: str) -> TrialKey | None:
    """Return the key that a label names, or None if it is not a label."""
    found = _LABEL.fullmatch(label)
    if found is None:
        return None
    number, kind, replicate = found.groups()
    return TrialKey(int(number), int(replicate or 0) + (PUBLISHED if kind == "published" else 0))
