"""What gives a function's trial equal bits each time: threads, variables, and the states of the global generators.

The generators are Python's, NumPy's legacy one and torch's (CPU, and CUDA once it is in use). A library that the
function imports later is set up at that moment, so that a function without torch never pays for its import.
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
    """Return how many threads a trial has: as many as CPUs."""
    return max(1, int(resources.cpus_per_trial))


def worker_variables(resources: Resources) -> dict[str, str]:
    """Return the environment variables with which a worker's process starts."""
    return for_training(threads_of(resources), os.environ)


def seed_generators(seed: int) -> None:
    """Seed the global generators, and those of libraries that are imported later; `seed` fits 32 bits."""
    random.seed(seed)
    _AFTER_IMPORT.clear()
    _once_imported("numpy", "seed", lambda numpy: numpy.random.seed(seed % 2**32))
    _once_imported("torch", "seed", lambda torch: _seed_torch(torch, seed))


def _seed_torch(torch: Any, seed: int) -> None:
    from study.algorithms import use_deterministic_algorithms

    use_deterministic_algorithms(warn_only=True)  # an operation that can't says so in the trial's log
    _watch_loading(torch)
    torch.manual_seed(seed)


def generator_states() -> States:
    """Return the states of the global generators of what is imported."""
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
    """Return whether nothing was drawn from the global generators since `seed_generators`."""
    fresh: dict[str, Any] = {"python": random.Random(seed).getstate()}
    if (numpy := _imported("numpy")) is not None:
        fresh["numpy"] = numpy.random.RandomState(seed % 2**32).get_state(legacy=False)
    if (torch := _imported("torch")) is not None:
        fresh["torch"] = torch.Generator().manual_seed(seed).get_state()
    return _are_same(fresh, generator_states())


def restore_generators(states: States) -> None:
    """Set the global generators back, also those of libraries that are imported later."""
    random.setstate(states["python"])
    if "numpy" in states:
        _once_imported("numpy", "state", lambda numpy: numpy.random.set_state(states["numpy"]))
    if "torch" in states:
        _once_imported("torch", "state", lambda torch: _restore_torch(torch, states))


def _restore_torch(torch: Any, states: States) -> None:
    torch.set_rng_state(states["torch"])
    for device, state in enumerate(states.get("cuda", ())[: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, device)
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])


class _Continuation:
    """A function on its way from a checkpoint to its next report: what it sets back to, and where it has done so."""

    def __init__(self, states: States, checkpoint: object) -> None:
        self._states = states
        self._kept = list(_arrays(checkpoint))
        self._known = {id(one) for one in self._kept}
        self._loaded: list[object] = []  # the modules and optimizers that have taken a state
        self._is_read = False
        self._before: States | None = None  # the states ahead of the last look, which set others back

    def restore(self) -> None:
        restore_generators(self._states)

    def look(self) -> None:
        """Set the generators back at the first look, and at one at a state ahead of which a set-up drew from them."""
        states = generator_states()
        if self._is_read and _are_same(self._states, states):
            return
        self._before = states if self._is_read else None
        self._is_read = True
        self.restore()

    def write(self) -> None:
        """Undo what the last look did: a function that writes into its checkpoint has drawn for its training."""
        before, self._before = self._before, None
        if before is not None and _are_same(self._states, generator_states()):
            restore_generators(before)

    def restore_after(self, load: object, state: object) -> None:
        """Set the generators back where a module or optimizer takes a state of the checkpoint for the first time."""
        if not any(load is one for one in self._loaded) and self._is_kept(state):
            self._loaded.append(load)
            self.restore()

    def _is_kept(self, state: object) -> bool:
        """Return whether a state is of the checkpoint; one without arrays, such as of bytes, may hold any."""
        return not self._kept or all(
            id(one) in self._known or any(_is_equal(one, kept) for kept in self._kept) for one in _arrays(state)
        )


def _arrays(value: object) -> Iterator[Any]:
    """Give the tensors and NumPy arrays that lie in dicts, lists and tuples."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _arrays(one)
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        yield value


def _are_same(states: Any, others: Any) -> bool:
    """Return whether the states of generators are the same, for those that both have."""
    if isinstance(states, Mapping):
        return all(_are_same(states[name], others[name]) for name in states.keys() & others.keys())
    if isinstance(states, list | tuple):
        return len(states) == len(others) and all(map(_are_same, states, others))
    return bool((states == others).all()) if hasattr(states, "shape") else bool(states == others)


def _is_equal(one: Any, other: Any) -> bool:
    """Return whether two arrays hold the same; False where torch can't compare them, as with text."""
    import torch

    if one.shape != other.shape:
        return False
    try:
        return torch.equal(torch.as_tensor(one).cpu(), torch.as_tensor(other).cpu())
    except (TypeError, RuntimeError):
        return False


_CONTINUING: list[_Continuation] = []


@contextmanager
def continuing(states: States | None, checkpoint: object) -> Iterator[None]:
    """Run a block, in which a function continues from a checkpoint, with these states set back again and again.

    A function makes its data and model first, with the generators as at its start, and then reads its checkpoint. So
    they are set back at the first look at it, at a further look at a state of it if something was drawn in between, and
    where a module or optimizer takes a state of it for the first time, up to the first step of an optimizer.
    """
    _CONTINUING[:] = [] if states is None else [_Continuation(states, checkpoint)]
    try:
        yield
    finally:
        _CONTINUING.clear()


class CheckpointReader:
    """Sets the generators back at looks at a checkpoint where a function continues and has not begun to train."""

    def look(self) -> None:
        for one in _CONTINUING:
            one.look()

    def write(self) -> None:
        for one in _CONTINUING:
            one.write()


def _begin_training(*_: Any) -> None:
    _CONTINUING.clear()


@cache
def _watch_loading(torch: Any) -> None:
    """Set the generators back after a state is loaded, until an optimizer makes a step; once a process."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    for kind in (torch.nn.Module, torch.optim.Optimizer):
        kind.load_state_dict = _and_restore(kind.load_state_dict)
    register_optimizer_step_pre_hook(_begin_training)


def _and_restore(load: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load)
    def load_state_dict(self: Any, state_dict: Any, *options: Any, **named: Any) -> Any:
        loaded = load(self, state_dict, *options, **named)
        for one in _CONTINUING:
            one.restore_after(self, state_dict)
        return loaded

    return load_state_dict


def process_facts() -> dict[str, str]:
    """Return what can change the bits of what this process computes, as far as it can be seen from outside."""
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
    """Return the facts of one process that can be held against those of another.

    What a process says of a library that the other has not imported is no difference: no result used it.
    """
    alone = {name for name in ("numpy", "torch") if (name in facts) != (name in others)}
    left_out = {*alone, *(_TORCH_FACTS if "torch" in alone else ())}
    return {name: value for name, value in facts.items() if name not in left_out}


@cache
def _cpu() -> str:
    """Return the processor's model, where the system names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:  # not on macOS
        names = []
    return names[0] if names else platform.processor() or "unknown"


def _imported(name: str) -> Any:
    """Return a library if its import has come to its end in this process, else None."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return None if module is None or getattr(spec, "_initializing", False) else module


_AFTER_IMPORT: dict[tuple[str, str], Callable[[Any], None]] = {}  # by library and what is set, in this order


def _once_imported(library: str, what: str, act: Callable[[Any], None]) -> None:
    """Act on a library now if it is imported, else right after its import."""
    if (module := _imported(library)) is not None:
        act(module)
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _AFTER_IMPORT[library, what] = act


def _act_on(library: str) -> None:
    """Do to a library that was just imported what waits for that."""
    for waiting, act in list(_AFTER_IMPORT.items()):
        if waiting[0] == library:
            act(sys.modules[library])


@contextmanager
def undisturbed_by_imports() -> Iterator[None]:
    """Run a block in which each import leaves the generators as they were, whatever the module does with them.

    A module may seed them as it is imported, which only the first trial of a process would see.
    """
    thread = threading.get_ident()

    def before() -> States | None:
        return generator_states() if threading.get_ident() == thread else None

    def after(states: States | None) -> None:
        if states is None:  # of another thread, while this one draws
            return
        restore_generators(states)
        for library in ("numpy", "torch"):
            if library not in states and _imported(library) is not None:
                _act_on(library)

    with Imports(before, after).watched():
        yield


class _Finder(importlib.abc.MetaPathFinder):
    """Finds a library where the others find it, with a loader that acts after its own."""

    def __init__(self) -> None:
        self._local = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        # Another finder may ask all others too, and so this one.
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
    """Loads with the library's own loader, which it leaves in its place, and then does what waits for the library."""

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
