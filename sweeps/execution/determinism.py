"""Equal bits each time that a function's trial runs: threads, variables and the states of the global generators.

The generators are Python's, NumPy's legacy one and torch's (CPU, CUDA once it is in use, and MPS). A library that the
function imports later is set up right after its import, so a function without torch never pays for that.
"""

import importlib.abc
import importlib.machinery
import os
import platform
import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from types import ModuleType
from typing import Any

from study.variables import changing_bits, for_training
from sweeps.execution.imports import Imports
from sweeps.sections import Resources

States = Mapping[str, Any]  # of generators, by library


def threads_of(resources: Resources) -> int:
    """Return the number of threads of a trial: the whole number of its CPUs, and at least 1."""
    return max(1, int(resources.cpus_per_trial))


def worker_variables(resources: Resources) -> dict[str, str]:
    """Return the environment variables with which a worker's process starts."""
    return for_training(threads_of(resources), os.environ)


def seed_generators(seed: int) -> None:
    """Seed the global generators, and those of libraries that are imported later right after their import.

    Args:
        seed: A seed of at most 32 bits.
    """
    random.seed(seed)
    _AFTER_IMPORT.clear()
    once_imported("numpy", "seed", lambda numpy: numpy.random.seed(seed % 2**32))
    once_imported("torch", "seed", lambda torch: _seed_torch(torch, seed))


def _seed_torch(torch: Any, seed: int) -> None:
    from study.algorithms import use_deterministic_algorithms

    use_deterministic_algorithms(warn_only=True)  # an operation that can't be deterministic warns in the trial's log
    _patch(torch)
    torch.manual_seed(seed)


def generator_states() -> States:
    """Return the states of the global generators of Python and of the libraries that are imported."""
    states: dict[str, Any] = {"python": random.getstate()}
    if (numpy := _imported("numpy")) is not None:
        states["numpy"] = numpy.random.get_state(legacy=False)
    if (torch := _imported("torch")) is not None:
        states["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state_all()
        if torch.backends.mps.is_available():
            states["mps"] = torch.mps.get_rng_state()
    return states


def are_as_seeded(seed: int) -> bool:
    """Return whether nothing was drawn from Python's, NumPy's or torch's CPU generator since `seed_generators`."""
    fresh: dict[str, Any] = {"python": random.Random(seed).getstate()}
    if (numpy := _imported("numpy")) is not None:
        fresh["numpy"] = numpy.random.RandomState(seed % 2**32).get_state(legacy=False)
    if (torch := _imported("torch")) is not None:
        fresh["torch"] = torch.Generator().manual_seed(seed).get_state()
    return are_same(fresh, generator_states())


def restore_generators(states: States) -> None:
    """Restore these states of the global generators, also in libraries that are imported later."""
    random.setstate(states["python"])
    if "numpy" in states:
        once_imported("numpy", "state", lambda numpy: numpy.random.set_state(states["numpy"]))
    if "torch" in states:
        once_imported("torch", "state", lambda torch: _restore_torch(torch, states))


def _restore_torch(torch: Any, states: States) -> None:
    torch.set_rng_state(states["torch"])
    for device, state in enumerate(states.get("cuda", ())[: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, device)
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])


def are_same(states: Any, others: Any) -> bool:
    """Return whether the states of generators are the same, for the generators that both have."""
    if isinstance(states, Mapping):
        return all(are_same(states[name], others[name]) for name in states.keys() & others.keys())
    if isinstance(states, list | tuple):
        return len(states) == len(others) and all(map(are_same, states, others))
    return bool((states == others).all()) if hasattr(states, "shape") else bool(states == others)


@cache
def _patch(torch: Any) -> None:
    """Patch torch, once per process: a trial may set the number of threads between operations to the present value."""
    torch.set_num_interop_threads = _if_changed(torch.set_num_interop_threads, torch.get_num_interop_threads)


def _if_changed(put: Callable[[int], None], get: Callable[[], int]) -> Callable[[int], None]:
    """Return a setter that does nothing for the current value, which torch would refuse once it has worked."""

    @wraps(put)
    def set_if_changed(value: int) -> None:
        if value != get():
            put(value)

    return set_if_changed


def process_facts() -> dict[str, str]:
    """Return the facts that can change the bits of this process's results, as far as they are visible from outside."""
    facts = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        **changing_bits(os.environ),
    }
    if (numpy := _imported("numpy")) is not None:
        facts["numpy"] = str(numpy.__version__)
    if (torch := _imported("torch")) is not None:
        facts["torch"] = str(torch.__version__)
        facts["torch_threads"] = str(torch.get_num_threads())
        facts["cpu_capability"] = str(torch.backends.cpu.get_cpu_capability())
        if torch.cuda.is_initialized():
            facts["gpu"] = str(torch.cuda.get_device_name())
            facts["cuda"] = str(torch.version.cuda)
            facts["cudnn"] = str(torch.backends.cudnn.version())
    return facts


_TORCH_FACTS = ("torch", "torch_threads", "cpu_capability", "gpu", "cuda", "cudnn")


def comparable(facts: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return the facts of one process that can be compared with those of another.

    Facts about NumPy or torch are left out if only one of the processes has imported it: no result used it.

    Args:
        facts: The facts of the one process, as of `process_facts`.
        others: The facts of the other process.
    """
    alone = {name for name in ("numpy", "torch") if (name in facts) != (name in others)}
    left_out = {*alone, *(_TORCH_FACTS if "torch" in alone else ())}
    return {name: value for name, value in facts.items() if name not in left_out}


@cache
def _cpu() -> str:
    """Return the processor's model as the system names it, or "unknown"."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:  # not on macOS
        names = []
    return names[0] if names else platform.processor() or "unknown"


def _imported(name: str) -> Any:
    """Return a library if its import has finished in this process, or None."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return None if module is None or getattr(spec, "_initializing", False) else module


_AFTER_IMPORT: dict[tuple[str, str], Callable[[Any], object]] = {}  # by library and what is set, run in this order


def once_imported(library: str, what: str, act: Callable[[Any], object]) -> Callable[[], None]:
    """Call `act` with a library now if it is imported, or right after its import.

    Returns:
        A function that calls this off, if the library is not imported yet.
    """
    if (module := _imported(library)) is not None:
        act(module)
        return lambda: None
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _AFTER_IMPORT[library, what] = act

    def call_off() -> None:
        if _AFTER_IMPORT.get((library, what)) is act:
            del _AFTER_IMPORT[library, what]

    return call_off


def _act_on(library: str) -> None:
    """Run the actions that were waiting for the import of a library."""
    for waiting, act in list(_AFTER_IMPORT.items()):
        if waiting[0] == library:
            act(sys.modules[library])


@contextmanager
def undisturbed_by_imports() -> Iterator[None]:
    """Run a block in which no import changes the generators, whatever the imported module does with them.

    A module may seed them when it is imported, which only the first trial of a process would see.
    """
    thread = threading.get_ident()

    def before() -> States | None:
        return generator_states() if threading.get_ident() == thread else None

    def after(states: States | None) -> None:
        if states is None:  # an import in another thread, while this one draws
            return
        restore_generators(states)
        for library in ("numpy", "torch"):
            if library not in states and _imported(library) is not None:
                _act_on(library)

    with Imports(before, after).watched():
        yield


class _Finder(importlib.abc.MetaPathFinder):
    """A finder that finds a library as the other finders do, and gives it a `_Loader`."""

    def __init__(self) -> None:
        self._local = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        # Another finder may ask all finders too, and so this one again.
        if getattr(self._local, "is_finding", False) or not any(library == name for library, _ in _AFTER_IMPORT):
            return None
        others = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
        self._local.is_finding = True
        try:
            spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        finally:
            self._local.is_finding = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """A loader that puts the library's own loader back, loads with it, and then runs the actions that wait."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._own.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        _act_on(module.__name__)
