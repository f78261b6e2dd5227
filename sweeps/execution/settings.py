"""The table of settings that code can change in its process, each with its getter and its setter.

Each library has a part of the table, which is used only if the library is imported.
"""

import builtins
import contextlib
import faulthandler
import functools
import gc
import locale
import logging
import multiprocessing
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from sweeps.execution.library_settings import LEFTOVERS, LIBRARIES
from sweeps.execution.setting import Setting, attributes, table

_STREAMS = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_HOOKS = ("excepthook", "unraisablehook", "displayhook", "breakpointhook", "dont_write_bytecode")


def settings() -> list[Setting]:
    """Return the present table, with the parts of the libraries that are imported."""
    found = [*_python()]
    for name in LIBRARIES:
        if (module := sys.modules.get(name)) is not None:
            with contextlib.suppress(AttributeError):  # another thread is importing it right now
                found += _library(name, module)
    return found


@functools.cache
def _library(name: str, module: ModuleType) -> tuple[Setting, ...]:
    return tuple(LIBRARIES[name](module))


def _list(owner: Any, name: str) -> Setting:
    """Return the setting of a list: which object it is, and its items."""

    def put(value: tuple[list[Any], list[Any]]) -> None:
        value[0][:] = value[1]
        setattr(owner, name, value[0])

    return Setting(f"{owner.__name__}.{name}", lambda: (getattr(owner, name), list(getattr(owner, name))), put)


@functools.cache
def _python() -> tuple[Setting, ...]:
    return (
        Setting("working directory", os.getcwd, os.chdir),
        Setting("environment", lambda: dict(os.environ), _set_environment),
        Setting("umask", _umask, os.umask),
        _list(sys, "path"),
        _list(sys, "argv"),
        *attributes(sys, *_STREAMS, *_HOOKS),
        Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, disturbs=True),
        Setting("switch interval", sys.getswitchinterval, sys.setswitchinterval),
        Setting("digits of whole numbers", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
        Setting("traceback limit", lambda: getattr(sys, "tracebacklimit", None), _set_traceback_limit),
        Setting("trace function", sys.gettrace, sys.settrace),
        Setting("profile function", sys.getprofile, sys.setprofile),
        *attributes(builtins, "print", "input", "open"),
        *attributes(threading, "excepthook"),
        Setting("trace function of threads", threading.gettrace, threading.settrace),
        Setting("profile function of threads", threading.getprofile, threading.setprofile),
        Setting("stack size of threads", threading.stack_size, threading.stack_size),
        Setting("Python's generator", random.getstate, random.setstate),
        *attributes(tempfile, "tempdir"),
        Setting("timeout of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout),
        Setting(
            "locale", lambda: locale.setlocale(locale.LC_ALL), lambda value: locale.setlocale(locale.LC_ALL, value)
        ),
        Setting("garbage collector", gc.isenabled, lambda value: gc.enable() if value else gc.disable()),
        Setting("garbage thresholds", gc.get_threshold, lambda value: gc.set_threshold(*value)),
        _list(gc, "callbacks"),
        Setting("garbage debugging", gc.get_debug, gc.set_debug),
        Setting("warnings", _warnings, _set_warnings, disturbs=True),
        *attributes(warnings, "showwarning", "formatwarning", "defaultaction"),
        *attributes(logging, "raiseExceptions", "lastResort", "_warnings_showwarning"),
        *(table(logging, name) for name in ("_levelToName", "_nameToLevel")),
        Setting("loggers", _loggers, _set_loggers),
        Setting("logging.disable", lambda: logging.root.manager.disable, logging.disable),
        Setting("logger class", logging.getLoggerClass, logging.setLoggerClass),
        Setting("log records", logging.getLogRecordFactory, logging.setLogRecordFactory),
        Setting("start method", lambda: multiprocessing.get_start_method(allow_none=True), _set_start_method),
        Setting("priority", lambda: os.getpriority(os.PRIO_PROCESS, 0), _set_priority, sticks=True),
        *_processors(),
        Setting("hard limits", lambda: {n: hard for n, (_, hard) in _limits().items()}, lambda _: None, sticks=True),
        Setting("limits", _limits, _set_limits),
        *(_timer(kind) for kind in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)),
        Setting("standard descriptors", _descriptors, lambda _: plug_descriptors(also_open=True)),
        Setting("signal handlers", _handlers, _set_handlers),
        Setting("blocked signals", _blocked, _set_blocked),
        Setting("faulthandler", faulthandler.is_enabled, _set_faulthandler),
    )


def _timer(kind: int) -> Setting:
    return Setting(f"timer {kind}", lambda: signal.getitimer(kind), lambda _: signal.setitimer(kind, 0))


def _processors() -> list[Setting]:
    if not hasattr(os, "sched_getaffinity"):  # on macOS
        return []
    return [
        Setting("processors", lambda: os.sched_getaffinity(0), lambda value: os.sched_setaffinity(0, value)),
        Setting("scheduling", lambda: os.sched_getscheduler(0), lambda _: None, sticks=True),
    ]


def _set_environment(values: Mapping[str, str]) -> None:
    has_moved = values.get("TZ") != os.environ.get("TZ")
    for name in os.environ.keys() - values.keys():
        del os.environ[name]
    for name, value in values.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if has_moved:
        time.tzset()


def _set_traceback_limit(limit: int | None) -> None:
    if limit is None:
        vars(sys).pop("tracebacklimit", None)
    else:
        sys.tracebacklimit = limit


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _set_start_method(method: str | None) -> None:
    multiprocessing.set_start_method(method, force=True)


def _set_priority(value: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, value)


def _limits() -> dict[int, tuple[int, int]]:
    numbers = {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
    found = {}
    for number in numbers:
        with contextlib.suppress(OSError, ValueError):
            found[number] = resource.getrlimit(number)
    return found


def _set_limits(values: Mapping[int, tuple[int, int]]) -> None:
    for number, value in values.items():
        if resource.getrlimit(number) != value:
            resource.setrlimit(number, value)


def _warnings() -> tuple[Any, ...]:
    return warnings.filters, list(warnings.filters)


def _set_warnings(value: tuple[Any, ...]) -> None:
    warnings.resetwarnings()  # also lets each warning be shown once again
    warnings.filters = value[0]
    value[0][:] = value[1]


def _loggers() -> dict[str, tuple[Any, ...]]:
    """Return the settings of each logger, by name; "" is the root."""
    known = list(logging.root.manager.loggerDict.items())
    loggers = {name: logger for name, logger in known if isinstance(logger, logging.Logger)}
    return {
        name: (one.level, tuple(one.handlers), one.propagate, one.disabled, tuple(one.filters))
        for name, one in {"": logging.root, **loggers}.items()
    }


def _set_loggers(values: Mapping[str, tuple[Any, ...]]) -> None:
    fresh = (logging.NOTSET, (), True, False, ())
    for name, now in _loggers().items():
        value = values.get(name, fresh)
        if value == now:
            continue
        logger = logging.getLogger(name or None)
        logger.setLevel(value[0])  # also clears the cache of levels
        logger.handlers[:], logger.filters[:] = value[1], value[4]
        logger.propagate, logger.disabled = value[2], value[3]


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _set_handlers(values: Mapping[int, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in values.items():
        if handler is not None and signal.getsignal(number) != handler:  # None is a handler that Python has not set
            signal.signal(number, handler)


def _blocked() -> Any:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _set_blocked(value: Any) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, value)


def _set_faulthandler(is_on: bool) -> None:
    faulthandler.cancel_dump_traceback_later()
    if is_on and not faulthandler.is_enabled():
        faulthandler.enable(file=2, all_threads=False)
    elif not is_on:
        faulthandler.disable()


_DESCRIPTORS = (0, 1, 2)


@functools.cache
def _kept_descriptors() -> Mapping[int, int]:
    """Return copies of the standard descriptors as they were at the first call."""
    return {number: os.dup(number) for number in _DESCRIPTORS if _identity(number) is not None}


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return what identifies an open file, or None for a closed descriptor."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _descriptors() -> list[tuple[int, int] | None]:
    _kept_descriptors()
    return [_identity(number) for number in _DESCRIPTORS]


def plug_descriptors(*, also_open: bool = False) -> None:
    """Reopen standard descriptors that were closed, before another file takes their numbers.

    Args:
        also_open: Whether to restore open ones too.
    """
    for number, kept in _kept_descriptors().items():
        if also_open or _identity(number) is None:
            os.dup2(kept, number)


def put_leftovers_away() -> None:
    """Free what a trial left in libraries (figures, process groups, device memory), and forget shown warnings."""
    _set_warnings(_warnings())
    warnings.onceregistry.clear()  # type: ignore[attr-defined]
    for name, put_away in LEFTOVERS.items():
        if (module := sys.modules.get(name)) is not None:
            with contextlib.suppress(Exception):  # such as after a device error
                put_away(module)
