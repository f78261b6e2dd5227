"""The files that travel with a job: these packages, the folder of a user's function and the request, nothing more."""

import importlib.util
import os
import re
import shutil
import site
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from search_spaces.space import hint
from sweeps.cluster.requests import FILE, Request
from sweeps.errors import SpecError

OURS = ("search_spaces", "study", "sweeps")
LARGEST = 200 * 2**20  # bytes of all files
MOST = 10_000  # files
_LEFT_OUT = {"results", "notebooks", "tests", "node_modules", "venv", "__pycache__", *OURS}


def pack(request: Request, code: Path | None, to: Path) -> Path:
    """Fill a folder with a job's working directory.

    Args:
        request: The request of the job.
        code: The folder of the user's function, or None if none travels.
        to: The folder to fill.

    Returns:
        The folder `to`.

    Raises:
        SpecError: One of these packages is missing, or something in `code` must not travel.
    """
    for name in OURS:
        found = importlib.util.find_spec(name)
        if found is None or not found.submodule_search_locations:
            raise SpecError(f"the package {name!r} is not there to be sent")
        place = Path(found.submodule_search_locations[0])
        shutil.copytree(place, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    if code is not None:
        _copy(code.absolute(), to)
    (to / FILE).write_text(request.to_json(), "utf-8")
    return to


def check_target(target: str, code: Path) -> None:
    """Check that a function is installed or in the folder that travels, as far as its source shows.

    Args:
        target: The function, as module:function.
        code: The folder that travels.

    Raises:
        SpecError: The function is in neither, or the folder does not exist.
    """
    require_folder(code)
    module, _, name = target.partition(":")
    top = module.partition(".")[0]
    source = code.joinpath(*module.split(".")).with_suffix(".py")
    if source.is_file():
        _check_named(name, source)
    elif not ((code / f"{top}.py").exists() or (code / top).is_dir() or _is_installed(top)):
        raise SpecError(
            f"the target's module {top!r} is not in {code.absolute()}, the folder that travels: name the one that has "
            "it with --code"
        )


def _is_installed(top: str) -> bool:
    """Return whether a module is in an installed package, which nodes may have too, not just in a local folder."""
    found = importlib.util.find_spec(top)
    places = [*(found.submodule_search_locations or ()), found.origin or ""] if found else []
    own = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    roots = [Path(root) for root in (*own, site.getusersitepackages())]
    return any(place and Path(place).is_relative_to(root) for place in places for root in roots)


def _check_named(name: str, source: Path) -> None:
    """Raise SpecError if a module's text lacks the name; the module may not be importable here."""
    text = source.read_text("utf-8", errors="replace")
    if not re.search(rf"\b{re.escape(name)}\b|import \*", text):
        known = re.findall(r"^(?:async )?def (\w+)", text, re.MULTILINE)
        raise SpecError(f"no function {name!r} in {source}{hint(name, known)}")


def require_folder(code: Path) -> None:
    """Raise SpecError if the folder that is to travel does not exist."""
    if not code.is_dir():
        raise SpecError(f"the folder {code}, whose code is to travel, is not there")


def _copy(code: Path, to: Path) -> None:
    """Copy a user's files, with each link inside the folder replaced by its target."""
    require_folder(code)
    if code == Path(code.anchor) or code == Path.home():
        raise SpecError(f"{code} is too much to travel: name the folder of your function with --code")
    size, largest = 0, (0, code)
    for count, file in enumerate(_files(code, code.resolve()), start=1):
        if count > MOST:
            raise SpecError(f"the code in {code} has more than {MOST:,} files: name a smaller folder with --code")
        size += file.stat().st_size
        largest = max(largest, (file.stat().st_size, file))
        if size > LARGEST:
            raise SpecError(
                f"the code in {code} has more than {LARGEST // 2**20} MiB (the largest file is {largest[1]}): "
                "name a smaller folder with --code; data sets lie where the cluster sees them, see --data-dir"
            )
        target = to / file.relative_to(code)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _resolved(link: Path) -> Path:
    try:
        return link.resolve(strict=True)
    except (OSError, RuntimeError):  # Python 3.11 raises the latter for a circle of links
        raise SpecError(f"{link} is a link that leads nowhere: remove it") from None


def _files(folder: Path, root: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield all files to send below a folder; raise SpecError for links to a folder above or to what doesn't travel."""
    above = (*above, folder.resolve())
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith(".") or (folder.resolve() == root and entry.name in _LEFT_OUT):
            continue
        if entry.is_symlink():
            leads_to = _resolved(path)
            if not leads_to.is_relative_to(root):
                raise SpecError(f"{path} is a link out of the folder that travels, to {leads_to}: remove it")
            if any(one.is_relative_to(leads_to) for one in above):
                raise SpecError(f"{path} is a link to a folder that it is in, {leads_to}: remove it")
            inside = leads_to.relative_to(root).parts
            if inside[0] in _LEFT_OUT or any(part.startswith(".") for part in inside):
                raise SpecError(f"{path} is a link to {leads_to}, which does not travel: remove it")
        if path.is_dir():
            if entry.name != "__pycache__":
                yield from _files(path, root, above)
        elif path.is_file():
            yield path
