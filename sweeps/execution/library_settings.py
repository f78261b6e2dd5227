"""The settings of libraries that trials use, with one function for each library; see `settings`."""

import copy
import gc
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sweeps.execution.setting import Setting, attributes, table


def _numpy(numpy: Any) -> list[Setting]:
    return [
        Setting("NumPy's errors", numpy.geterr, lambda value: numpy.seterr(**value)),
        Setting("NumPy's error function", numpy.geterrcall, numpy.seterrcall),
        Setting("NumPy's printing", numpy.get_printoptions, lambda value: numpy.set_printoptions(**value)),
        Setting("NumPy's kind of generator", numpy.random.get_bit_generator, numpy.random.set_bit_generator),
        Setting("NumPy's generator", numpy.random.get_state, numpy.random.set_state),
    ]


def _torch(torch: Any) -> list[Setting]:
    c, backends = torch._C, torch.backends
    return [
        Setting("torch's default type", torch.get_default_dtype, torch.set_default_dtype),
        Setting("torch's default device", lambda: _default_device(torch), torch.set_default_device),
        Setting("torch's threads", torch.get_num_threads, torch.set_num_threads),
        Setting(
            "torch's threads between operations",
            torch.get_num_interop_threads,
            torch.set_num_interop_threads,
            sticks=True,
        ),
        Setting("deterministic algorithms", lambda: _deterministic(torch), lambda value: _set_deterministic(c, value)),
        *attributes(torch.utils.deterministic, "fill_uninitialized_memory"),
        *_float32_precision(c),
        Setting("matrix precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        *attributes(backends.cudnn, "enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32"),
        *attributes(
            backends.cuda.matmul,
            "allow_tf32",
            "allow_fp16_reduced_precision_reduction",
            "allow_bf16_reduced_precision_reduction",
            "allow_fp16_accumulation",
        ),
        Setting(
            "reduced precision of attention",
            backends.cuda.fp16_bf16_reduction_math_sdp_allowed,
            backends.cuda.allow_fp16_bf16_reduction_math_sdp,
        ),
        Setting("fast path of attention", backends.mha.get_fastpath_enabled, backends.mha.set_fastpath_enabled),
        Setting("NNPACK", c._get_nnpack_enabled, c._set_nnpack_enabled),
        *attributes(backends.opt_einsum, "enabled", "strategy"),
        *attributes(backends.mkldnn, "enabled", "deterministic", "allow_tf32"),
        *attributes(backends.quantized, "engine"),
        Setting("torch's modes", lambda: _modes(torch), lambda _: None, sticks=True),
        *_switches(backends.cuda, "flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp"),
        Setting("gradients", torch.is_grad_enabled, torch.set_grad_enabled),
        Setting("anomaly mode", lambda: _anomaly(torch), lambda value: torch.autograd.set_detect_anomaly(*value)),
        *(_autocast(torch, kind) for kind in ("cpu", "cuda")),
        Setting("cache of autocast", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
        Setting("threads of autograd", c._is_multithreading_enabled, c._set_multithreading_enabled),
        *attributes(torch.distributions.Distribution, "_validate_args"),
        Setting("checks of sparse tensors", c._check_sparse_tensor_invariants, c._set_check_sparse_tensor_invariants),
        Setting(
            "conversion of modules",
            torch.__future__.get_overwrite_module_params_on_conversion,
            torch.__future__.set_overwrite_module_params_on_conversion,
        ),
        Setting(
            "exchange of parameters",
            torch.__future__.get_swap_module_params_on_conversion,
            torch.__future__.set_swap_module_params_on_conversion,
        ),
        Setting("small numbers as zero", _flushes_small_numbers, torch.set_flush_denormal),
        Setting("repeated warnings of torch", torch.is_warn_always_enabled, torch.set_warn_always),
        Setting(
            "torch's printing",
            lambda: dict(vars(torch._tensor_str.PRINT_OPTS)),
            vars(torch._tensor_str.PRINT_OPTS).update,
        ),
        Setting("hooks of all modules", lambda: _module_hooks(torch), lambda value: _set_module_hooks(torch, value)),
        *(
            table(sys.modules["torch.optim.optimizer"], name)
            for name in ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
        ),
        Setting(
            "torch's sharing", torch.multiprocessing.get_sharing_strategy, torch.multiprocessing.set_sharing_strategy
        ),
        Setting("hooks of saved tensors", lambda: _saved_tensors_hooks(c), lambda value: _pop_hooks_to(c, value)),
        *attributes(torch.hub, "_hub_dir"),
        Setting("torch's generator", torch.get_rng_state, torch.set_rng_state),
        Setting(
            "CUDA's generators",
            lambda: _of_cuda(torch, torch.cuda.get_rng_state_all),
            lambda value: _set_cuda_generators(torch, value),
        ),
        Setting(
            "CUDA's device",
            lambda: _of_cuda(torch, torch.cuda.current_device),
            lambda value: torch.cuda.set_device(value or 0),
        ),
        Setting("MPS's generator", lambda: _of_mps(torch), _if_any(torch.mps.set_rng_state)),
    ]


def _saved_tensors_hooks(c: Any) -> Any:
    """Return the innermost hooks of saved tensors, such as those of `save_on_cpu`, or None."""
    return c._autograd._top_saved_tensors_default_hooks(True)


def _pop_hooks_to(c: Any, hooks: Any) -> None:
    """Remove hooks of saved tensors until these are the innermost ones."""
    while (top := _saved_tensors_hooks(c)) is not None and top != hooks:
        c._autograd._pop_saved_tensors_default_hooks()


def _default_device(torch: Any) -> Any:
    """Return the default device that was set, or None; a device set by a `with` block is undone when that ends."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


def _modes(torch: Any) -> tuple[bool, int, int]:
    """Return modes entered by hand and not left: inference mode, and counts of other modes except the device's."""
    functions = torch._C._len_torch_function_stack() - (_default_device(torch) is not None)
    return torch.is_inference_mode_enabled(), functions, torch._C._len_torch_dispatch_stack()


def _deterministic(torch: Any) -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(c: Any, value: tuple[bool, bool]) -> None:
    # torch.use_deterministic_algorithms would import torch's compiler.
    c._set_deterministic_algorithms(value[0], warn_only=value[1])


_PRECISIONS = (  # the general one is first, since it sets the others
    ("generic", "all"),
    *((backend, op) for backend in ("cuda", "mkldnn") for op in ("all", "matmul", "conv", "rnn")),
)


def _float32_precision(c: Any) -> list[Setting]:
    if not hasattr(c, "_get_fp32_precision_getter"):  # before torch 2.9
        return []

    def put(values: tuple[str, ...]) -> None:
        for place, value in zip(_PRECISIONS, values, strict=True):
            c._set_fp32_precision_setter(*place, value)

    return [
        Setting("precision of float32", lambda: tuple(c._get_fp32_precision_getter(*one) for one in _PRECISIONS), put)
    ]


def _switches(owner: Any, *names: str) -> list[Setting]:
    return [Setting(name, getattr(owner, f"{name}_enabled"), getattr(owner, f"enable_{name}")) for name in names]


def _anomaly(torch: Any) -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def _autocast(torch: Any, kind: str) -> Setting:
    def put(value: tuple[bool, Any]) -> None:
        torch.set_autocast_enabled(kind, value[0])
        torch.set_autocast_dtype(kind, value[1])

    return Setting(
        f"autocast on {kind}", lambda: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)), put
    )


def _flushes_small_numbers() -> bool:
    return sys.float_info.min / float("2") == 0.0


def _module_hooks(torch: Any) -> dict[str, dict[Any, Any]]:
    found = vars(torch.nn.modules.module)
    return {
        name: dict(hooks) for name, hooks in found.items() if name.startswith("_global_") and isinstance(hooks, dict)
    }


def _set_module_hooks(torch: Any, values: Mapping[str, Mapping[Any, Any]]) -> None:
    for name, hooks in values.items():
        present = getattr(torch.nn.modules.module, name)
        present.clear()
        present.update(hooks)


def _of_cuda(torch: Any, get: Callable[[], Any]) -> Any:
    return get() if torch.cuda.is_initialized() else None


def _set_cuda_generators(torch: Any, value: Any) -> None:
    if value is None:  # CUDA was not in use: its generators start with the seed of torch's CPU generator
        torch.cuda.manual_seed_all(torch.initial_seed())
    else:
        torch.cuda.set_rng_state_all(value)


def _of_mps(torch: Any) -> Any:
    return torch.mps.get_rng_state() if torch.backends.mps.is_available() else None


def _if_any(put: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: None if value is None else put(value)


def _matplotlib(matplotlib: Any) -> list[Setting]:
    rc = matplotlib.rcParams
    # The methods of dict, since matplotlib's own would check each value and look for a backend.
    return [
        Setting("matplotlib's rcParams", lambda: dict(dict.items(rc)), lambda value: dict.update(rc, value)),
        Setting("colormaps", lambda: set(matplotlib.colormaps), lambda known: _forget_colormaps(matplotlib, known)),
    ]


def _forget_colormaps(matplotlib: Any, known: Collection[str]) -> None:
    for name in set(matplotlib.colormaps) - set(known):
        matplotlib.colormaps.unregister(name)


def _csv(csv: Any) -> list[Setting]:
    def dialects() -> dict[str, Any]:
        return {name: csv.get_dialect(name) for name in csv.list_dialects()}

    def put(values: Mapping[str, Any]) -> None:
        for name in csv.list_dialects():
            csv.unregister_dialect(name)
        for name, dialect in values.items():
            csv.register_dialect(name, dialect)

    return [
        Setting("longest CSV field", csv.field_size_limit, csv.field_size_limit),
        Setting("dialects", dialects, put),
    ]


def _decimal(decimal: Any) -> list[Setting]:
    return attributes(decimal.DefaultContext, "prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def _tracemalloc(tracemalloc: Any) -> list[Setting]:
    def put(is_on: bool) -> None:
        tracemalloc.start() if is_on else tracemalloc.stop()

    return [Setting("tracemalloc", tracemalloc.is_tracing, put)]


def _scipy_special(special: Any) -> list[Setting]:
    return [Setting("SciPy's errors", special.geterr, lambda value: special.seterr(**value))]


def _sklearn(sklearn: Any) -> list[Setting]:
    return [Setting("scikit-learn's settings", sklearn.get_config, lambda value: sklearn.set_config(**value))]


def _threadpoolctl(threadpoolctl: Any) -> list[Setting]:
    def pools() -> dict[str, Any]:
        return {pool.filepath: pool for pool in threadpoolctl.ThreadpoolController().lib_controllers}

    def put(values: Mapping[str, int]) -> None:
        for path, pool in pools().items():
            if path in values:
                pool.set_num_threads(values[path])

    return [Setting("threads of BLAS", lambda: {path: pool.num_threads for path, pool in pools().items()}, put)]


def _pandas(pandas: Any) -> list[Setting]:
    options = pandas._config.config._global_config
    return [
        Setting("pandas' options", lambda: copy.deepcopy(options), lambda value: options.update(copy.deepcopy(value)))
    ]


LIBRARIES: Mapping[str, Callable[[Any], list[Setting]]] = {
    "numpy": _numpy,
    "torch": _torch,
    "matplotlib": _matplotlib,
    "sklearn": _sklearn,
    "scipy.special": _scipy_special,
    "pandas": _pandas,
    "threadpoolctl": _threadpoolctl,
    "csv": _csv,
    "decimal": _decimal,
    "ssl": lambda ssl: attributes(ssl, "_create_default_https_context"),
    "tracemalloc": _tracemalloc,
}


def _empty_caches(torch: Any) -> None:
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        gc.collect()
        torch.mps.empty_cache()


def _end_process_group(distributed: Any) -> None:
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


LEFTOVERS: Mapping[str, Callable[[Any], object]] = {
    "matplotlib.pyplot": lambda pyplot: pyplot.close("all"),
    "torch.distributed": _end_process_group,
    "torch": _empty_caches,
    "asyncio": lambda asyncio: asyncio.set_event_loop_policy(None),  # the next trial gets a new event loop
}
