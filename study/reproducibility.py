"""The settings that make equal configs give equal bits (algorithms, threads, device, precision), and their record."""

import contextlib
import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from study.algorithms import use_deterministic_algorithms
from study.allocator import keep_freed_memory
from study.config import ConfigError, TrialConfig
from study.variables import chosen_by_user

if TYPE_CHECKING:
    from study.data import Dataset


def prepare_process(threads: int) -> None:
    """Set torch up for reproducible training in this process.

    This turns on deterministic algorithms, turns off autotuning and TF32, and sets the number of threads. Call it
    before the first use of CUDA, since cuBLAS reads the size of its workspace only once. It affects the whole process
    and may be called again, also with another number of threads.

    Args:
        threads: Threads that an operation of torch uses.
    """
    use_deterministic_algorithms(warn_only=False)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    keep_freed_memory()


def resolve_device(name: str) -> torch.device:
    """Return the device that a name stands for on this machine.

    Args:
        name: "cpu", "cuda", "mps" or "auto", which is the first available one of CUDA, MPS and CPU.

    Raises:
        ConfigError: If the device is not available.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, is_there in there.items() if is_there)
    if not there[name]:
        raise ConfigError(f"device: no {name} device here: choose 'auto' or 'cpu'")
    return torch.device(name)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products.

    Without hardware for it, bfloat16 is emulated: correct, but several times slower than float32.

    Args:
        name: "float32", "bfloat16" or "auto", which is bfloat16 if the hardware multiplies it, and float32 otherwise.
        device: The device of the products.
    """
    if name == "auto":
        name = "bfloat16" if _multiplies_bfloat16(device) else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        features = torch.cpu.get_capabilities()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return False


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over name, dtype, shape and bytes of the tensors, by name, whatever their memory format."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Hardware:
    """The device and the precision that a config resolves to on this machine."""

    device: torch.device
    precision: torch.dtype

    @classmethod
    def of(cls, config: TrialConfig) -> "Hardware":
        """Resolve the config's device and precision, and raise ConfigError if the device is not available."""
        device = resolve_device(config.device)
        return cls(device, resolve_precision(config.precision, device))

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        if self.precision == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.precision)

    def synchronize(self) -> None:
        """Wait for all queued work, so a clock read next is accurate."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        elif self.device.type == "mps":
            torch.mps.synchronize()


def environment(config: TrialConfig, data: "Dataset") -> dict[str, str]:
    """Return everything outside the config that can change a result's bits, as text by name."""
    hardware = Hardware.of(config)
    features = torch.cpu.get_capabilities()
    facts = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # torch's own class would make unpickling import torch
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpu": str(features.get("cpu_name", "unknown")),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_features": " ".join(sorted(name for name, there in features.items() if there is True)),
        "threads": str(config.threads),
        "device": hardware.device.type,
        "precision": str(hardware.precision).removeprefix("torch."),
        "dataset": data.name,
        "dataset_fingerprint": data.fingerprint,
        **chosen_by_user(os.environ),
    }
    if hardware.device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = str(torch.version.cuda)
        facts["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    return facts
