"""How to continue a sweep, in words that work for whatever it trains."""

import itertools
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from sweeps.commands import command
from sweeps.spec import SweepSpec


def how_to_continue(spec: SweepSpec, home: Path | str) -> str:
    """Return what to do to continue a sweep: a command or, for a function that no command can import, its script.

    The results folder is named in full, so that it works from any other.
    """
    resuming = f"go on with `{to_resume(spec, {'results': str(home)})}`"
    if _is_resumed_by_command(spec):
        return resuming
    again = "run the script" if _script() else "call sweeps.run"
    # A name that ends in a number may be one that the sweep got because the script's own was taken.
    named = f" and name={spec.name!r}" if re.search(r"-\d+$", spec.name) else ""
    return f"{again} again with resume=True{named}, or {resuming}"


def to_resume(spec: SweepSpec, where: Mapping[str, str], *options: str) -> str:
    """Return the command that resumes a sweep or, for a function that no command can import, the call in its script.

    Args:
        spec: Of the sweep.
        where: The option that finds its results folder, {} for the default one.
        options: Further options of `sweeps resume`, such as "--trials", "+20".
    """
    if _is_resumed_by_command(spec):
        return command("resume", spec.name, *options, **where)
    named = {"target": _called(spec.target or ""), **{key: repr(value) for key, value in where.items()}}
    for option, given in itertools.pairwise([*options, "--"]):
        if option.startswith("--"):
            named[option[2:].replace("-", "_")] = "True" if given.startswith("--") else _as_argument(given)
    return f"sweeps.resume({', '.join([repr(spec.name), *(f'{key}={value}' for key, value in named.items())])})"


def _is_resumed_by_command(spec: SweepSpec) -> bool:
    return spec.target is None or is_importable(spec.target)


def _as_argument(given: str) -> str:
    """Return an option's value as Python writes it; what a budget grows by has no sign there."""
    text = given.removeprefix("+")
    return text if text.replace(".", "", 1).isdigit() else repr(text)


def is_importable(target: str) -> bool:
    """Return whether another process of this folder can import a target; one that was defined in a script it can't."""
    module, _, name = target.partition(":")
    if module == "__main__" or "<" in name:
        return False
    script, place = _script(), _place_of(module.partition(".")[0])
    is_beside_script = script is not None and script.parent == place
    return not is_beside_script or place == Path.cwd().resolve()


def _script() -> Path | None:
    """Return the file that this process runs, None in an interpreter or a notebook."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return None if file is None else Path(file).resolve()


def _place_of(package: str) -> Path | None:
    """Return the folder from which this process imported a module or package, None if it has none or did not."""
    module = sys.modules.get(package)
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    folder = Path(file).resolve().parent
    return folder.parent if hasattr(module, "__path__") else folder


def _called(target: str) -> str:
    """Return what its script calls a function; "..." where its name does not tell."""
    last = target.rpartition(":")[2].rpartition(".")[2]
    return last if last.isidentifier() else "..."
