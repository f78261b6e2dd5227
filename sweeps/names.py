"""The check that a name stays inside the results folder: names become paths."""

import re

from sweeps.errors import SpecError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def is_name(text: str) -> bool:
    """Whether a text can be a folder's name."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Give the name back if it can be a folder's name, else raise SpecError: names become paths."""
    if not is_name(name):
        raise SpecError(
            f"a sweep's name is letters, digits, '.', '_' and '-' (at most 80, the first a letter or digit), "
            f"but got {name!r}: give a name like that, not a path"
        )
    return name
