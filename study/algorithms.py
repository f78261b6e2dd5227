"""Switch for torch's deterministic algorithms that also works while torch itself is being imported."""

import os


def use_deterministic_algorithms(*, warn_only: bool) -> None:
    """Make torch compute the same bits each time, without autotuning.

    Call it before the first use of CUDA, since cuBLAS reads the size of its workspace only once. It affects the whole
    process.

    Args:
        warn_only: Whether an operation without a deterministic algorithm only warns instead of raising.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # torch.use_deterministic_algorithms does the same, but also imports torch's compiler to configure it. That costs
    # a second and 100 MiB in every process, and no process compiles anything.
    torch._C._set_deterministic_algorithms(True, warn_only=warn_only)
    # Filling new tensors with NaN exposes bugs in operations, but costs time and changes none of our results.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
