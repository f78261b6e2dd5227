"""The environment variables that can change a result's bits: how to find them, and how to pass them to a process."""

import os
from collections.abc import Mapping

# Read by libraries when they are loaded: numbers of threads, kernels, precision, the order of sets.
_PREFIXES = (
    "ATEN_",
    "BLIS_",
    "CUBLAS_",
    "CUDNN_",
    "DNNL_",
    "GOMP_",
    "GOTO_",
    "HIPBLAS",
    "JAX_",
    "KMP_",
    "MIOPEN_",
    "MKL_",
    "NCCL_",
    "NPY_",
    "NUMBA_",
    "NUMEXPR_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "PYTORCH_",
    "RAYON_",
    "ROCBLAS_",
    "TBB_",
    "TORCHDYNAMO_",
    "TORCHINDUCTOR_",
    "TORCH_",
    "VECLIB_",
)
_NAMES = (
    "DISABLE_ADDMM_CUDA_LT",
    "FLASH_ATTENTION_DETERMINISTIC",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "NVIDIA_TF32_OVERRIDE",
    "PYTHONHASHSEED",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "XLA_FLAGS",
)
# The places of a library's files and its logging change no result.
_NO_RESULT = ("_CACHE", "_CACHE_DIR", "_DIR", "_HOME", "_LOGS", "_PATH", "_VERBOSE")

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_DEFAULTS = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "PYTHONHASHSEED": "0"}


def changing_bits(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that can change a result's bits, by name."""
    return {name: value for name, value in sorted(variables.items()) if _changes_bits(name)}


def _changes_bits(name: str) -> bool:
    return name in _NAMES or (name.startswith(_PREFIXES) and not name.endswith(_NO_RESULT))


def for_training(threads: int, user: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a process that trains.

    Args:
        threads: Number of threads for all libraries.
        user: The user's variables. Those that change bits are kept, except for the numbers of threads.
    """
    return {**_DEFAULTS, **changing_bits(user), **dict.fromkeys(THREADS, str(threads))}


def chosen_by_user(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that change bits and that this package sets for no process, such as MKL_CBWR."""
    ours = {*THREADS, *_DEFAULTS}
    return {name: value for name, value in changing_bits(variables).items() if name not in ours}


def with_these(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with its variables that change bits replaced by the given ones."""
    kept = {name: value for name, value in os.environ.items() if not _changes_bits(name)}
    return {**kept, **changing_bits(variables)}
