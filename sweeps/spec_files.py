"""The table of a spec, from what a user gives: a preset's name, a TOML file or a mapping."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from search_spaces.space import hint
from sweeps.errors import SpecError
from sweeps.names import as_path

LARGEST_FILE = 1_000_000  # bytes of a spec, from a file or in a request


def preset_names() -> list[str]:
    """Return the names of the sweeps that ship with the package, in alphabetical order."""
    files = resources.files("sweeps").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def read_table(spec: str | Path | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the table of a spec and its name in error messages.

    Args:
        spec: A preset's name, a TOML file or a table.

    Raises:
        SpecError: There is no such preset, or the file cannot be read or is not valid TOML.
    """
    if isinstance(spec, Mapping):
        return dict(spec), "spec"
    if not isinstance(spec, str | Path):
        raise SpecError(f"a spec is a preset's name, a .toml file, a table or a SweepSpec, but got {spec!r}")
    path = as_path(spec)
    looks_like_a_path = path.suffix == ".toml" or len(path.parts) > 1
    if not looks_like_a_path and str(spec) not in preset_names():
        raise SpecError(
            f"{str(spec)!r} is no .toml file, and no preset sweep has that name{hint(str(spec), preset_names())}"
        )
    try:
        if looks_like_a_path:
            text = _limited(path)
        else:
            text = resources.files("sweeps").joinpath("presets", f"{spec}.toml").read_text("utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} can't be read ({getattr(error, 'strerror', error)})") from error
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not valid TOML: {error}") from error
    return {"name": path.stem, **table}, str(spec)


def _limited(path: Path) -> str:
    """Return the text of a spec's file; raise SpecError if it is so large that a list in it must be a mistake."""
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise SpecError(f"{path} has {size:,} bytes, of {LARGEST_FILE:,} at most: shorten the longest list in it")
    return path.read_text("utf-8-sig")  # skips a byte order mark, which some editors write
