"""The table of a spec from where a user has it: a preset's name, a TOML file or a mapping."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from search_spaces.space import hint
from sweeps.errors import SpecError
from sweeps.names import as_path

LARGEST_FILE = 1_000_000  # bytes of a spec, by file or by request


def preset_names() -> list[str]:
    """The sweeps that ship with the package."""
    files = resources.files("sweeps").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def read_table(spec: str | Path | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the table of a spec and what to call it in errors: from a preset's name, a TOML file or a table."""
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
    """The text of a spec's file; SpecError for one so large that a list in it must be a mistake."""
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise SpecError(f"{path} has {size:,} bytes, of {LARGEST_FILE:,} at most: shorten the longest list in it")
    return path.read_text("utf-8-sig")  # an editor may have put a byte order mark first
