"""A function that continues from a checkpoint: where the states of the global generators are restored.

Its set-up runs again, with the generators as at the trial's start. Where the training begins, the generators must be as
they were when the checkpoint was made. That is the entry of the loop that yields, which is seen as it happens.

Three kinds of code need more. A thread that the function starts may train while the loop waits for its reports. A
function may yield outside of any loop. And it may make its model within the loop. There, the generators are restored
at looks at the checkpoint, and when a module or optimizer loads one of its states.
"""

import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from types import FrameType
from typing import Any

from sweeps.execution.determinism import States, are_same, generator_states, once_imported, restore_generators
from sweeps.execution.loops import at_entry, is_training, yields_in_a_loop
from sweeps.execution.watched import is_watched


class Continuation:
    """A function on its way from a checkpoint to its next report, as a listener to looks at the checkpoint."""

    def __init__(self, states: States, checkpoint: object, loop: Sequence[int] = ()) -> None:
        """Prepare to continue a function.

        Args:
            states: The states of the generators when the checkpoint was made.
            checkpoint: What the function gets.
            loop: The loop in which the function made it, see `loop_of`.
        """
        self._states, self._loop = states, loop
        self._is_watched = is_watched(checkpoint)
        self._kept = list(_arrays(checkpoint))
        self._known = {id(one) for one in self._kept}
        self._loaded: list[object] = []  # the modules and optimizers that have loaded a state
        self._threads: list[threading.Thread] = []  # those that the function started in its set-up
        self._is_read = False
        self._is_taken = False  # whether the set-up has looked at a state
        self._waits = False  # for the entry of the loop
        self._is_over = False

    @contextmanager
    def up_to_the_next_report(self, generator: object) -> Iterator[None]:
        """Run a block in which a function sets up and trains until its next report."""
        with ExitStack() as stack:
            stack.callback(self._end)
            stack.callback(once_imported("torch", "loads", lambda torch: stack.enter_context(self._torch(torch))))
            stack.enter_context(_replaced(threading.Thread, "start", self._noting_a_start(threading.get_ident())))
            if yields_in_a_loop(generator):
                self._waits = True
                stack.enter_context(at_entry(generator, self._loop, self._enter, self._leave))
            elif not self._is_watched:
                self._restore()
            yield

    def look(self, is_state: bool) -> None:
        """Restore the generators at the first look, and at a later one if the set-up drew from them in between.

        Args:
            is_state: Whether the look is at an array or the like, and not at a plain value.
        """
        if self._is_over:
            return
        was_read, self._is_read = self._is_read, True
        if self._is_setting_up():
            self._is_taken = self._is_taken or is_state
        elif not was_read or not (is_training() or are_same(self._states, generator_states())):
            self._restore()

    def _loads(self, load: object, state: object) -> None:
        """Restore the generators when a module or optimizer loads a state of the checkpoint for the first time."""
        if self._is_over or any(load is one for one in self._loaded) or not self._is_kept(state):
            return
        self._loaded.append(load)
        if not self._is_setting_up() and not (self._is_taken and is_training()):
            self._restore()

    def _enter(self) -> None:
        """Restore the generators where the loop begins, unless a thread of the function already trains."""
        if any(thread.is_alive() for thread in self._threads):
            return
        self._restore()
        self._waits = False
        self._is_over = bool(self._loaded)

    def _leave(self) -> None:
        """Go back to the set-up after a loop without a round, as of a first phase that is over."""
        self._waits, self._is_over = True, False

    def _steps(self, *_: Any) -> None:
        """Take a step of an optimizer for the begin of the training, where no loop is waited for."""
        self._is_over = self._is_over or not self._is_setting_up()

    def _is_setting_up(self) -> bool:
        return self._waits and not any(thread.is_alive() for thread in self._threads)

    def _end(self) -> None:
        self._is_over = True

    def _restore(self) -> None:
        restore_generators(self._states)

    def _is_kept(self, state: object) -> bool:
        """Return whether a state is part of the checkpoint; one without arrays, such as of bytes, may hold any."""
        return not self._kept or all(
            id(one) in self._known or any(_is_equal(one, kept) for kept in self._kept) for one in _arrays(state)
        )

    @contextmanager
    def _torch(self, torch: Any) -> Iterator[None]:
        """Run a block in which what modules and optimizers load, and the steps of optimizers, are noted."""
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        with ExitStack() as stack:
            stack.callback(register_optimizer_step_pre_hook(self._steps).remove)
            for kind in (torch.nn.Module, torch.optim.Optimizer):
                stack.enter_context(_replaced(kind, "load_state_dict", self._noting_a_load))
            yield

    def _noting_a_load(self, load: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(load)
        def load_state_dict(module: Any, state_dict: Any, *options: Any, **named: Any) -> Any:
            loaded = load(module, state_dict, *options, **named)
            self._loads(module, state_dict)
            return loaded

        return load_state_dict

    def _noting_a_start(self, own: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
        def noting(start: Callable[..., None]) -> Callable[..., None]:
            @wraps(start)
            def start_thread(thread: threading.Thread) -> None:
                if self._waits and threading.get_ident() == own and _is_started_by_the_user():
                    self._restore()
                    self._threads.append(thread)
                start(thread)

            return start_thread

        return noting


@contextmanager
def _replaced(owner: Any, name: str, by: Callable[[Any], Any]) -> Iterator[None]:
    """Run a block in which a method is replaced by what `by` makes of it."""
    own = getattr(owner, name)
    setattr(owner, name, by(own))
    try:
        yield
    finally:
        setattr(owner, name, own)


_PYTHONS = sysconfig.get_path("stdlib")
_LIBRARIES = ("site-packages", "dist-packages")


def _is_started_by_the_user() -> bool:
    """Return whether the caller's caller is the user's code, directly or by the standard library, and no library."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if any(folder in file for folder in _LIBRARIES):
            return False
        if not file.startswith(_PYTHONS):
            return True
        frame = frame.f_back
    return False


def _arrays(value: object) -> Iterator[Any]:
    """Yield the tensors and NumPy arrays in nested dicts, lists and tuples."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _arrays(one)
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        yield value


def _is_equal(one: Any, other: Any) -> bool:
    """Return whether two arrays hold the same values, or False if torch can't compare them, as with text."""
    import torch

    if one.shape != other.shape:
        return False
    try:
        return torch.equal(torch.as_tensor(one).cpu(), torch.as_tensor(other).cpu())
    except (TypeError, RuntimeError):
        return False
