"""Tests of environment variables that change bits: exactly these are found, and processes get the right values."""

import pytest

from study.variables import THREADS, changing_bits, chosen_by_user, for_training, with_these

CHANGING = [
    *THREADS,
    "OMP_DYNAMIC",
    "KMP_AFFINITY",
    "MKL_CBWR",
    "MKL_DYNAMIC",
    "OPENBLAS_CORETYPE",
    "NUMEXPR_MAX_THREADS",
    "CUBLAS_WORKSPACE_CONFIG",
    "PYTHONHASHSEED",
    "NVIDIA_TF32_OVERRIDE",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "XLA_FLAGS",
    "NCCL_ALGO",
    "TORCHINDUCTOR_MAX_AUTOTUNE",
    "TORCHDYNAMO_DISABLE",
    "TF_NUM_INTRAOP_THREADS",
    "TBB_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "JAX_DEFAULT_PRNG_IMPL",
    "JAX_ENABLE_X64",
    "ROCBLAS_LAYER",
    "MIOPEN_FIND_MODE",
    "DISABLE_ADDMM_CUDA_LT",
    "FLASH_ATTENTION_DETERMINISTIC",
]
OTHERS = [
    "PATH",
    "HOME",
    "TORCH_HOME",
    "TORCH_LOGS",
    "TORCHINDUCTOR_CACHE_DIR",
    "PL_GLOBAL_SEED",
    "AWS_SECRET_ACCESS_KEY",
    "TF_VAR_password",
    "MKL_VERBOSE",
    "THREADS",
]


@pytest.mark.parametrize("name", CHANGING)
def test_a_variable_that_changes_bits_is_recorded_and_set_alike_in_another_process(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert changing_bits({name: "1"}) == {name: "1"}
    monkeypatch.setenv(name, "of this shell")
    assert name not in with_these({})
    assert with_these({name: "2"})[name] == "2"


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_variable_is_not_recorded_and_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert changing_bits({name: "1"}) == {}
    monkeypatch.setenv(name, "of this shell")
    assert with_these({name: "2"})[name] == "of this shell"


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_every_library_gets_the_threads_of_the_trial_whatever_the_shell_says(threads: int) -> None:
    variables = for_training(threads, {"OMP_NUM_THREADS": "7", "MKL_CBWR": "AVX2", "PATH": "/bin"})

    assert {variables[name] for name in THREADS} == {str(threads)}
    assert variables["PYTHONHASHSEED"] == "0"
    assert variables["MKL_CBWR"] == "AVX2"
    assert "PATH" not in variables
    assert for_training(threads, {"PYTHONHASHSEED": "5"})["PYTHONHASHSEED"] == "5"


def test_what_every_process_gets_from_us_was_chosen_by_nobody() -> None:
    assert chosen_by_user(for_training(2, {"MKL_CBWR": "AVX2"})) == {"MKL_CBWR": "AVX2"}
