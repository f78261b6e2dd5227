"""Deterministic algorithms of torch, which may be turned on while torch itself is being imported."""

import os


def use_deterministic_algorithms(*, warn_only: bool) -> None:
    """Have torch compute alike each time, without autotuning; an operation that can't raises, or only warns.

    Call it before the first use of CUDA: cuBLAS reads its workspace's size once. Affects the whole process.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As torch.use_deterministic_algorithms does, which also tells torch's compiler and imports it for that: a second
    # and 100 MiB of every process, which compiles nothing.
    torch._C._set_deterministic_algorithms(True, warn_only=warn_only)
    # Filling new tensors with NaN finds bugs in operations; it costs time and changes no result of ours.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
