"""Instructions for continuing a sweep, which fit whatever it trains."""

import itertools
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from sweeps.commands import command
from sweeps.search.history import History
from sweeps.spec import SweepSpec


def how_to_continue(spec: SweepSpec, home: Path | str) -> str:
    """Return how to continue a sweep: by a command or, if no command can import its function, by its script.

    The results folder is named in full, so the command works from any folder.
    """
    resuming = f"continue with `{to_resume(spec, {'results': str(home)})}`"
    if _is_resumed_by_command(spec):
        return resuming
    again = "run the script" if _script() else "call sweeps.run"
    # A name that ends in a number may have been assigned because the script's own name was taken.
    named = f" and name={spec.name!r}" if re.search(r"-\d+$", spec.name) else ""
    return f"{again} again with resume=True{named}, or {resuming}"


def to_resume(spec: SweepSpec, where: Mapping[str, str], *options: str) -> str:
    """Return the command that resumes a sweep or, if no command can import its function, the call for its script.

    Args:
        spec: The spec of the sweep.
        where: The option that finds its results folder, or {} for the default folder.
        options: Further options of `sweeps resume`, such as "--trials", "+20".
    """
    if _is_resumed_by_command(spec):
        return command("resume", spec.name, *options, **where)
    named = {}
    for option, given in itertools.pairwise([*options, "--"]):
        if option.startswith("--"):
            named[option[2:].replace("-", "_")] = "True" if given.startswith("--") else _as_argument(given)
    return _call("resume", spec, where, **named)


def _call(function: str, spec: SweepSpec, where: Mapping[str, str], **texts: str) -> str:
    """Return a call of a function of this package for a sweep over a script's function; `texts` are in Python."""
    named = {"target": _called(spec.target or ""), **{key: repr(value) for key, value in where.items()}, **texts}
    return f"sweeps.{function}({', '.join([repr(spec.name), *(f'{key}={value}' for key, value in named.items())])})"


def to_reproduce(spec: SweepSpec, where: Mapping[str, str], trial: int | str | None = None) -> str:
    """Return the command that trains a trial again or, if no command can import its function, the call for its script.

    Args:
        spec: The spec of the sweep.
        where: The option that finds its results folder, or {} for the default folder.
        trial: The number or label of the trial; the best one by default.
    """
    if _is_resumed_by_command(spec):
        return command("reproduce", spec.name, trial=trial, **where)
    return f"{_call('load', spec, where)}.reproduce({'' if trial is None else repr(trial)})"


def to_walk(spec: SweepSpec, where: Mapping[str, str]) -> str:
    """Return the command that walks from a sweep's baseline to its winner, or the call for its script."""
    if _is_resumed_by_command(spec):
        return command("path", spec.name, **where)
    return _call("ablation_path", spec, where)


def to_finish(spec: SweepSpec, history: History, where: Mapping[str, str]) -> str:
    """Return how to resume a sweep that stopped, with its failed trials if no other trial has a value."""
    others = (trial for trial in history.search if trial.state != "failed")
    is_hopeless = bool(history.in_state("failed")) and all(trial.value(spec.metric) is None for trial in others)
    return to_resume(spec, where, *(["--retry-failed"] if is_hopeless else []))


def _is_resumed_by_command(spec: SweepSpec) -> bool:
    return spec.target is None or is_importable(spec.target)


def _as_argument(given: str) -> str:
    """Return an option's value as a Python literal; an amount to add to a budget has no plus sign there."""
    text = given.removeprefix("+")
    return text if text.replace(".", "", 1).isdigit() else repr(text)


def is_importable(target: str) -> bool:
    """Return whether another process in this folder can import a target.

    It cannot import a function of the script itself or of another function, or a module next to a script elsewhere.
    """
    module, _, name = target.partition(":")
    if module == "__main__" or "<" in name:
        return False
    script, place = _script(), _place_of(module.partition(".")[0])
    is_beside_script = script is not None and script.parent == place
    return not is_beside_script or place == Path.cwd().resolve()


def _script() -> Path | None:
    """Return the file that this process runs, or None in an interpreter or a notebook."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return None if file is None else Path(file).resolve()


def _place_of(package: str) -> Path | None:
    """Return the folder that this process imported a module or package from, or None if it did not or has none."""
    module = sys.modules.get(package)
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    folder = Path(file).resolve().parent
    return folder.parent if hasattr(module, "__path__") else folder


def _called(target: str) -> str:
    """Return the name of a function in its script, or "..." if the target does not show it."""
    name = target.rpartition(":")[2].rpartition("<locals>.")[2]
    return name if all(part.isidentifier() for part in name.split(".")) else "..."
