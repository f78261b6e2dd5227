"""Tensors in files, which are read back without running any code that a file may hold."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from study.files import replacing


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors, numbers and text, and dicts and lists of them."""
    with replacing(Path(path)) as temporary:
        torch.save(dict(content), temporary)


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a file that `save_tensors` wrote, onto the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is truncated, damaged or of another kind, with a message of one line.
    """
    if not Path(path).exists():
        raise FileNotFoundError("there is no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError("it is cut short or damaged: write it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not a dict of tensors")
    return content
