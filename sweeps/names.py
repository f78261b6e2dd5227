"""Checks of names and paths: a sweep's name becomes a path in the results folder, and a target names a function."""

import re
from pathlib import Path

from sweeps.errors import SpecError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def is_name(text: str) -> bool:
    """Return whether a text can be a folder's name."""
    return _NAME.fullmatch(text) is not None


# A function within another has <locals> in its name.
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_<][\w.<>]*")


def _meant(target: str) -> str:
    module, _, function = target.replace(".py:", ":").replace("/", ".").replace(":", ".").rpartition(".")
    meant = f"{module}:{function}"
    return f", did you mean {meant!r}?" if _TARGET.fullmatch(meant) and meant != target else ""


def check_target_name(target: object) -> object:
    """Return the target, unless it is a function or text of another form than a module's function: ValueError."""
    if callable(target):
        raise ValueError("a spec names its function: pass the function itself as sweeps.run(..., target=function)")
    if not isinstance(target, str):
        return target
    if not _TARGET.fullmatch(target):
        raise ValueError(f"a target is written 'module:function'{_meant(target)}")
    return target


def as_path(path: Path | str) -> Path:
    """Return a user's path with `~` replaced by the home folder; raise SpecError if there is no home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SpecError(f"there is no home folder for {str(path)!r}: give the whole path") from error


def check_name(name: str) -> str:
    """Return the name if it can be a folder's name, since names become paths; raise SpecError if it cannot."""
    if not is_name(name):
        raise SpecError(
            f"a sweep's name is letters, digits, '.', '_' and '-' (at most 80, the first a letter or digit), "
            f"but got {name!r}: give a name like that, not a path"
        )
    return name
