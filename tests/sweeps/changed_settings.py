"""Settings of a process that a trial may change: how a function observes each of them, and how it changes it."""

import asyncio
import builtins
import csv
import decimal
import faulthandler
import gc
import locale
import logging
import multiprocessing
import os
import random
import resource
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import scipy.special
import threadpoolctl
import torch


def soft_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def lower_soft_limit() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit() - 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def nothing(*_: object) -> None:
    """Do nothing, as a stand-in for a handler."""


def saved_tensors_hooks() -> bool:
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


# How a function observes each setting, and how it changes it.
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "print": (lambda: builtins.print.__name__, lambda: setattr(builtins, "print", nothing)),
    "hooks of saved tensors": (saved_tensors_hooks, lambda: torch.autograd.graph.save_on_cpu().__enter__()),
    "folder of torch's hub": (torch.hub.get_dir, lambda: torch.hub.set_dir("/of-a-trial")),
    "working directory": (os.getcwd, lambda: os.chdir(tempfile.mkdtemp())),
    "a variable": (lambda: os.environ.get("OF_A_TRIAL"), lambda: os.environ.update(OF_A_TRIAL="1")),
    "a removed variable": (lambda: "PATH" in os.environ, lambda: os.environ.pop("PATH")),
    "time zone": (lambda: time.localtime(0).tm_hour, lambda: (os.environ.update(TZ="XXX-5"), time.tzset())),
    "umask": (umask, lambda: os.umask(0o777 - umask())),
    "sys.path": (lambda: list(sys.path), lambda: sys.path.append("/of-a-trial")),
    "another sys.path": (lambda: list(sys.path), lambda: setattr(sys, "path", ["/of-a-trial", *sys.path])),
    "sys.argv": (lambda: list(sys.argv), lambda: setattr(sys, "argv", ["train.py"])),
    "standard input": (lambda: sys.stdin, lambda: setattr(sys, "stdin", None)),
    "exception hook": (lambda: sys.excepthook, lambda: setattr(sys, "excepthook", nothing)),
    "recursion limit": (sys.getrecursionlimit, lambda: sys.setrecursionlimit(5000)),
    "trace function": (sys.gettrace, lambda: sys.settrace(nothing)),  # type: ignore[arg-type]
    "Python's generator": (random.getstate, lambda: random.seed(7)),
    "tempdir": (tempfile.gettempdir, lambda: setattr(tempfile, "tempdir", "/of-a-trial")),
    "timeout of sockets": (socket.getdefaulttimeout, lambda: socket.setdefaulttimeout(7.0)),
    "locale": (lambda: locale.setlocale(locale.LC_ALL), lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8")),
    "decimal context": (lambda: decimal.getcontext().prec, lambda: setattr(decimal.getcontext(), "prec", 7)),
    "garbage collector": (gc.isenabled, gc.disable),
    "garbage thresholds": (gc.get_threshold, lambda: gc.set_threshold(7)),
    "warnings filters": (lambda: list(warnings.filters), lambda: warnings.simplefilter("error")),
    "showwarning": (lambda: warnings.showwarning, lambda: setattr(warnings, "showwarning", nothing)),
    "root level": (lambda: logging.root.level, lambda: logging.root.setLevel(7)),
    "root handlers": (lambda: len(logging.root.handlers), logging.root.handlers.clear),
    "logging.disable": (lambda: logging.root.manager.disable, logging.disable),
    "a logger": (
        lambda: logging.getLogger("theirs").propagate,
        lambda: setattr(logging.getLogger("theirs"), "propagate", False),
    ),
    "a new logger": (lambda: logging.getLogger("new").level, lambda: logging.getLogger("new").setLevel(7)),
    "signal handler": (lambda: signal.getsignal(signal.SIGUSR1), lambda: signal.signal(signal.SIGUSR1, nothing)),
    "blocked signals": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]),
    ),
    "timer": (lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0, lambda: signal.alarm(600)),
    "faulthandler": (
        faulthandler.is_enabled,
        faulthandler.disable if faulthandler.is_enabled() else faulthandler.enable,
    ),
    "limits": (soft_limit, lower_soft_limit),
    "start method": (
        lambda: multiprocessing.get_start_method(allow_none=True),
        lambda: multiprocessing.set_start_method("spawn", force=True),
    ),
    "NumPy's errors": (np.geterr, lambda: np.seterr(all="raise")),
    "NumPy's printing": (lambda: np.get_printoptions()["precision"], lambda: np.set_printoptions(precision=3)),
    "NumPy's generator": (lambda: str(np.random.get_state()), lambda: np.random.seed(7)),
    "default type": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "default device": (torch.get_default_device, lambda: torch.set_default_device("meta")),
    "torch's threads": (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        lambda: torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled()),
    ),
    "cudnn.benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda: setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark),
    ),
    "cudnn.deterministic": (
        lambda: torch.backends.cudnn.deterministic,
        lambda: setattr(torch.backends.cudnn, "deterministic", not torch.backends.cudnn.deterministic),
    ),
    "TF32 of cuDNN": (
        lambda: torch.backends.cudnn.allow_tf32,
        lambda: setattr(torch.backends.cudnn, "allow_tf32", not torch.backends.cudnn.allow_tf32),
    ),
    "TF32 of products": (
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", not torch.backends.cuda.matmul.allow_tf32),
    ),
    "matrix precision": (torch.get_float32_matmul_precision, lambda: torch.set_float32_matmul_precision("medium")),
    "gradients": (torch.is_grad_enabled, lambda: torch.set_grad_enabled(False)),
    "anomaly mode": (torch.is_anomaly_enabled, lambda: torch.autograd.set_detect_anomaly(True)),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda: torch.set_autocast_enabled("cpu", True)),
    "small numbers as zero": (lambda: (torch.tensor(1e-38) / 100).item() == 0, lambda: torch.set_flush_denormal(True)),
    "torch's generator": (lambda: torch.get_rng_state().tolist(), lambda: torch.manual_seed(7)),
    "fast path of attention": (
        torch.backends.mha.get_fastpath_enabled,
        lambda: torch.backends.mha.set_fastpath_enabled(not torch.backends.mha.get_fastpath_enabled()),
    ),
    "NNPACK": (torch._C._get_nnpack_enabled, lambda: torch._C._set_nnpack_enabled(False)),
    "einsum": (
        lambda: torch.backends.opt_einsum.strategy,
        lambda: setattr(torch.backends.opt_einsum, "strategy", "greedy"),
    ),
    "accumulation": (
        lambda: torch.backends.cuda.matmul.allow_fp16_accumulation,
        lambda: setattr(torch.backends.cuda.matmul, "allow_fp16_accumulation", True),
    ),
    "attention's precision": (
        torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed,
        lambda: torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True),
    ),
    "cache of autocast": (torch.is_autocast_cache_enabled, lambda: torch.set_autocast_cache_enabled(False)),
    "threads of autograd": (
        torch._C._is_multithreading_enabled,
        lambda: torch.autograd.set_multithreading_enabled(False),
    ),
    "validation of distributions": (
        lambda: torch.distributions.Distribution._validate_args,
        lambda: torch.distributions.Distribution.set_default_validate_args(False),
    ),
    "hooks of optimizers": (
        lambda: len(sys.modules["torch.optim.optimizer"]._global_optimizer_pre_hooks),
        lambda: sys.modules["torch.optim.optimizer"].register_optimizer_step_pre_hook(nothing),
    ),
    "NumPy's kind of generator": (
        lambda: type(np.random.get_bit_generator()).__name__,
        lambda: np.random.set_bit_generator(np.random.PCG64(7)),
    ),
    "virtual timer": (
        lambda: signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0,
        lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 600),
    ),
    "garbage callbacks": (lambda: len(gc.callbacks), lambda: gc.callbacks.append(nothing)),
    "captured warnings": (
        lambda: logging._warnings_showwarning is None,
        lambda: logging.captureWarnings(True),
    ),
    "hooks of all modules": (
        lambda: len(torch.nn.modules.module._global_forward_hooks),
        lambda: torch.nn.modules.module.register_module_forward_hook(nothing),
    ),
    "rcParams": (
        lambda: matplotlib.rcParams["lines.linewidth"],
        lambda: matplotlib.rcParams.update({"lines.linewidth": 7}),
    ),
    "pandas' options": (lambda: pd.get_option("display.precision"), lambda: pd.set_option("display.precision", 3)),
    "float32's precision": (
        lambda: (torch.backends.mkldnn.fp32_precision, torch.backends.mkldnn.conv.fp32_precision),
        lambda: setattr(torch.backends.mkldnn, "fp32_precision", "bf16"),
    ),
    "all float32's precision": (
        lambda: (torch.backends.fp32_precision, torch.backends.cudnn.conv.fp32_precision),
        lambda: setattr(torch.backends, "fp32_precision", "ieee"),
    ),
    "checks of sparse tensors": (
        torch.sparse.check_sparse_tensor_invariants.is_enabled,
        torch.sparse.check_sparse_tensor_invariants.enable,
    ),
    "conversion of modules": (
        torch.__future__.get_overwrite_module_params_on_conversion,
        lambda: torch.__future__.set_overwrite_module_params_on_conversion(True),
    ),
    "exchange of parameters": (
        torch.__future__.get_swap_module_params_on_conversion,
        lambda: torch.__future__.set_swap_module_params_on_conversion(True),
    ),
    "colormaps": (
        lambda: "of-a-trial" in matplotlib.colormaps,
        lambda: matplotlib.colormaps.register(matplotlib.colormaps["viridis"], name="of-a-trial"),
    ),
    "longest CSV field": (csv.field_size_limit, lambda: csv.field_size_limit(7)),
    "a dialect": (
        lambda: csv.get_dialect("excel").delimiter,
        lambda: csv.register_dialect("excel", delimiter=";"),
    ),
    "a new dialect": (csv.list_dialects, lambda: csv.register_dialect("of-a-trial", delimiter=";")),
    "the first decimal context": (
        lambda: decimal.DefaultContext.prec,
        lambda: setattr(decimal.DefaultContext, "prec", 7),
    ),
    "a level's name": (lambda: logging.getLevelName(5), lambda: logging.addLevelName(5, "TRACE")),
    "checks of certificates": (
        lambda: ssl._create_default_https_context,
        lambda: setattr(ssl, "_create_default_https_context", ssl._create_unverified_context),
    ),
    "tracemalloc": (tracemalloc.is_tracing, tracemalloc.start),
    "trace function of threads": (threading.gettrace, lambda: threading.settrace(nothing)),
    "profile function of threads": (threading.getprofile, lambda: threading.setprofile(nothing)),
    "event loop": (lambda: asyncio.get_event_loop().is_closed(), lambda: asyncio.get_event_loop().close()),
    "traceback limit": (lambda: getattr(sys, "tracebacklimit", None), lambda: setattr(sys, "tracebacklimit", 0)),
    "engine of quantized numbers": (
        lambda: torch.backends.quantized.engine,
        lambda: setattr(torch.backends.quantized, "engine", "onednn"),
    ),
    "threads of BLAS": (
        lambda: threadpoolctl.ThreadpoolController().info()[0]["num_threads"],
        lambda: threadpoolctl.threadpool_limits(limits=3),
    ),
    "SciPy's errors": (lambda: scipy.special.geterr()["loss"], lambda: scipy.special.seterr(all="raise")),
}
