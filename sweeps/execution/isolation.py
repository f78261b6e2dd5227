"""Isolation of trials in one worker: settings that a trial makes in its process don't reach the next trial.

A worker has one `Isolation`. Each segment of a trial begins under the settings that the process had before any trial.
Settings that a module makes while a trial imports it are kept: the module stays imported and won't make them again.

Python can't undo everything: module variables, threads that keep running and functions registered with atexit remain.
"""

import contextvars
import decimal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sweeps.execution.imports import Imports
from sweeps.execution.setting import Setting
from sweeps.execution.settings import plug_descriptors, put_leftovers_away, settings

_Answer = TypeVar("_Answer")


class Isolation:
    """The settings of a worker's process, which are restored between segments of trials."""

    def __init__(self) -> None:
        self._clean: dict[str, Any] = {}
        self._imports = Imports(lambda: _values(settings()), self._keep)
        self.begin()

    def begin(self) -> None:
        """Restore all settings to what they were before any trial."""
        self._imports.stop()
        self._adopt()
        put_leftovers_away()
        self.not_set_back = _put(self._clean, settings())
        self._threads = set(threading.enumerate())
        self._trial: dict[str, Any] = {}
        self._context = contextvars.copy_context()
        self._context.run(lambda: decimal.setcontext(decimal.getcontext().copy()))

    @contextmanager
    def trial(self) -> Iterator[Callable[[Callable[[], _Answer]], _Answer]]:
        """Run a block under the settings of the trial.

        Between two blocks the trial's settings stay as they are, since its threads may keep running. Only settings
        that would disturb the worker are put away.

        Yields:
            A function that calls its argument in the context of the trial.
        """
        disturbing = [setting for setting in settings() if setting.disturbs]
        _put(self._trial, disturbing)
        try:
            with self._imports.watched():
                yield self._context.run
        finally:
            self._trial = _values(disturbing)
            _put(self._clean, disturbing)
            plug_descriptors()

    @property
    def stuck(self) -> list[str]:
        """Return the names of settings that the trial changed and that can't be restored in this process."""
        present = _values(setting for setting in settings() if setting.sticks)
        return [name for name, value in present.items() if not _is_same(value, self._clean.get(name, value))]

    @property
    def left_threads(self) -> list[str]:
        """Return the names of threads that the trial began and that still run, in alphabetical order."""
        return sorted(thread.name for thread in threading.enumerate() if thread not in self._threads)

    def _adopt(self) -> None:
        """Adopt the settings of libraries that were imported outside of any trial."""
        self._clean = _values(setting for setting in settings() if setting.name not in self._clean) | self._clean

    def _keep(self, before: Mapping[str, Any]) -> None:
        """Keep the settings that an import has changed."""
        for name, value in _values(settings()).items():
            old, clean = before.get(name), self._clean.get(name)
            if name not in self._clean:
                self._clean[name] = value
            elif isinstance(value, dict) and isinstance(old, dict):
                changed = {key: one for key, one in value.items() if key not in old or not _is_same(one, old[key])}
                self._clean[name] = {**clean, **changed}  # type: ignore[dict-item]
            elif _is_same(old, clean):
                self._clean[name] = value


def _values(rows: Iterable[Setting]) -> dict[str, Any]:
    """Return the present values of settings, without those that can't be read, such as a removed working folder."""
    found = {}
    for setting in rows:
        with suppress(Exception):
            found[setting.name] = setting.get()
    return found


def _put(values: Mapping[str, Any], rows: Sequence[Setting]) -> list[str]:
    """Set the settings that differ, and return the names of those that can't be set, with the kind of error."""
    present, failed = _values(rows), []
    for setting in rows:
        name = setting.name
        if name in values and not (name in present and _is_same(present[name], values[name])):
            try:
                setting.set(values[name])
            except Exception as error:
                failed.append(f"{name} ({type(error).__name__})")
    return failed


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:  # comparing arrays or tensors gives no single answer
        return False
