"""Calls before and after each import that a block makes; an import includes all imports within it."""

import importlib.abc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Generic, TypeVar

_Seen = TypeVar("_Seen")


class Imports(importlib.abc.MetaPathFinder, Generic[_Seen]):
    """A finder that calls `before()` ahead of the execution of each module, and then `after` with its answer.

    A module that another module imports belongs to that module, and causes no further call.
    """

    def __init__(self, before: Callable[[], _Seen], after: Callable[[_Seen], None]) -> None:
        self._before, self._after = before, after
        self._local = threading.local()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the imports of a block."""
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop watching imports, even if a watched block was never left."""
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module by the other finders, and watch its execution unless another import is under way."""
        if getattr(self._local, "is_busy", False):  # another finder may ask all finders too, and so this one
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        self._local.is_busy = True
        try:
            spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        finally:
            self._local.is_busy = False
        is_of_python = isinstance(spec and spec.loader, type)  # built in or frozen: has no state, and sets nothing
        if spec is not None and hasattr(spec.loader, "exec_module") and not is_of_python:
            with suppress(AttributeError):  # a loader written in C takes no attributes
                spec.loader.exec_module = self._executing(spec.loader.exec_module, self._before())  # type: ignore[union-attr, method-assign]
        return spec

    def _executing(self, execute: Callable[[ModuleType], None], seen: _Seen) -> Callable[[ModuleType], None]:
        def exec_module(module: ModuleType) -> None:
            module.__loader__.__dict__.pop("exec_module", None)  # one loader may load several modules
            self._local.is_busy = True
            try:
                execute(module)
                self._after(seen)
            finally:
                self._local.is_busy = False

        return exec_module
