"""Tests of what makes equal bits: settings of the process, the hardware's meaning of `auto`, and the digest."""

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_data import small_digits

from study.config import ConfigError, TrialConfig
from study.reproducibility import environment, prepare_process, resolve_device, resolve_precision, weights_digest

CPU = torch.device("cpu")


def test_a_prepared_process_is_deterministic_with_the_threads_asked_for() -> None:
    for threads in (2, 1):
        prepare_process(threads)
        assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark


def test_a_digest_does_not_depend_on_the_memory_format() -> None:
    weights = torch.rand(4, 3, 5, 5)
    assert weights_digest({"w": weights}) == weights_digest({"w": weights.to(memory_format=torch.channels_last)})


@given(place=st.integers(0, 11), bit=st.integers(0, 31))
def test_a_digest_changes_with_any_bit(place: int, bit: int) -> None:
    weights = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    changed = weights.clone()
    changed.view(-1).view(torch.int32)[place] ^= -(2**31) if bit == 31 else 1 << bit
    assert weights_digest({"w": weights}) != weights_digest({"w": changed})


@pytest.mark.parametrize("other", [{"v": torch.ones(2, 3)}, {"w": torch.ones(3, 2)}, {"w": torch.ones(2, 3).double()}])
def test_a_digest_sees_names_shapes_and_types(other: dict[str, torch.Tensor]) -> None:
    assert weights_digest({"w": torch.ones(2, 3)}) != weights_digest(other)


@pytest.mark.parametrize(
    ("features", "dtype"),
    [({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)],
)
def test_auto_precision_is_bfloat16_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert resolve_precision("auto", CPU) == dtype
    assert resolve_precision("float32", CPU) == torch.float32
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no cuda device here: choose 'auto' or 'cpu'"):
        resolve_device("cuda")


def test_auto_chooses_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"cuda": True, "mps": True}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there["mps"])
    assert resolve_device("auto").type == "cuda"
    there["cuda"] = False
    assert resolve_device("auto").type == "mps"
    there["mps"] = False
    assert resolve_device("auto").type == "cpu"


def test_the_environment_records_what_can_change_bits() -> None:
    data = small_digits(20, 10)
    facts = environment(TrialConfig(precision="float32", threads=2), data)
    assert {"torch", "numpy", "python", "cpu", "cpu_features", "device"} <= set(facts)
    assert (facts["threads"], facts["precision"]) == ("2", "float32")
    assert facts["dataset_fingerprint"] == data.fingerprint


def test_who_is_told_of_an_environment_needs_no_torch_to_read_it() -> None:
    facts = environment(TrialConfig(), small_digits())

    assert b"torch." not in pickle.dumps(facts)
    assert facts["torch"] == torch.__version__
