"""What a trial sets in its process is there for that trial, and not for the next one in the same worker.

A worker has one `Isolation`. Each segment of a trial begins under the settings that the process had before any trial.
What a module sets while a trial imports it is kept, since the module stays imported and would not set it again.

Python can't undo everything: variables of modules, threads that run on and functions registered with atexit remain.
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
    """Sets a worker's process back between segments of trials."""

    def __init__(self) -> None:
        self._clean: dict[str, Any] = {}
        self._imports = Imports(lambda: _values(settings()), self._keep)
        self.begin()

    def begin(self) -> None:
        """Set everything back to how it was before any trial."""
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
        """Let the trial run for the block; gives what calls a function in the context of the trial.

        Between two blocks the trial's settings stay as they are, since its threads may run on. Only those that
        would disturb the worker are away.
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
        """The settings that the trial changed and that can't be set back in this process."""
        present = _values(setting for setting in settings() if setting.sticks)
        return [name for name, value in present.items() if not _is_same(value, self._clean.get(name, value))]

    @property
    def left_threads(self) -> list[str]:
        """The threads that the trial began and that run on."""
        return sorted(thread.name for thread in threading.enumerate() if thread not in self._threads)

    def _adopt(self) -> None:
        """Keep the settings of libraries that were imported outside of any trial."""
        self._clean = _values(setting for setting in settings() if setting.name not in self._clean) | self._clean

    def _keep(self, before: Mapping[str, Any]) -> None:
        """Keep what an import has changed."""
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
    """Return what the settings are now, without those that can't be read, such as a folder that was removed."""
    found = {}
    for setting in rows:
        with suppress(Exception):
            found[setting.name] = setting.get()
    return found


def _put(values: Mapping[str, Any], rows: Sequence[Setting]) -> list[str]:
    """Set what differs; return the names of the settings that can't be set, with the kind of error."""
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
    except Exception:  # arrays and tensors have no single answer
        return False
