"""Tests of files: each is whole or not there, and is read back without running code."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from study.files import replacing
from study.tensors import load_tensors, save_tensors


class Payload:
    """An object that runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.proof}",)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail_halfway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_halfway()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_tensors_are_read_back_to_the_bit(tmp_path: Path) -> None:
    content = {"w": torch.rand(3, 4), "step": 7, "nested": {"rates": [0.1, 0.2]}}
    save_tensors(tmp_path / "file", content)
    back = load_tensors(tmp_path / "file")
    assert torch.equal(back.pop("w"), content.pop("w"))  # type: ignore[arg-type]
    assert back == content


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_refused_in_one_line(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "file"
    save_tensors(path, {"w": torch.rand(100)})
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match="cut short or damaged"):
        load_tensors(path)


def test_loading_never_runs_code_that_a_file_holds(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    for name, write in (("torch", torch.save), ("pickle", lambda x, f: f.write_bytes(pickle.dumps(x, protocol=2)))):
        write({"w": Payload(proof)}, tmp_path / name)
        with pytest.raises(ValueError, match="damaged"):
            load_tensors(tmp_path / name)
    assert not proof.exists()
