"""The loop in which a generator function trains: code before it sets up, code within it trains."""

import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from types import CodeType, FrameType
from typing import Any

_OURS = "sweeps."
_DELEGATING = ("SEND", "FOR_ITER")  # the instructions of `yield from` and `for` while another generator runs


def is_training() -> bool:
    """Return whether the function that a trial runs is within the innermost loop that yields its reports.

    A generator that it delegates to, with `yield from` or a loop over its reports, counts as a part of it. Without
    such a loop, or in a thread of its own, this can't be told, and the answer is no.
    """
    frames = _frames_of_the_function(sys._getframe(1))
    for frame, inner in zip_longest(frames, frames[1:]):
        if not _is_generator(frame.f_code):
            return False
        if inner is None or not _is_generator(inner.f_code) or _instruction(frame) not in _DELEGATING:
            around = [max(loops) for loops in _loops_around_yields(frame.f_code) if loops]
            return any(start <= frame.f_lasti <= end for start, end in around)
    return False


def yields_in_a_loop(generator: object) -> bool:
    """Return whether the entry of a generator to its training can be seen: it yields in a loop, or delegates."""
    return inspect.isgenerator(generator) and bool(_entry(generator.gi_code).places)


@contextmanager
def at_entry(generator: Any, act: Callable[[], None]) -> Iterator[None]:
    """Run a block in which `act` is called when a generator enters the outermost loop that yields.

    For a loop over another generator, or `yield from` one, that is the loop of the other. What the loop runs over is
    made before its entry, and gives its first value after it.

    Args:
        generator: A generator for which `yields_in_a_loop` is true, and that has not begun.
        act: The function to call, once.
    """
    watch = _Watch(generator.gi_frame, act)
    watch.begin()
    try:
        yield
    finally:
        watch.end()


class _Watch:
    """A trace function that follows a generator, and those that it delegates to, up to the entry of its loop."""

    def __init__(self, frame: FrameType, act: Callable[[], None]) -> None:
        self._frame = frame
        self._act = act
        self._is_pending = False  # the next instruction shows whether the loop runs over another generator
        self._is_over = False

    def begin(self) -> None:
        self._follow(self._frame)
        self._other = sys.gettrace()  # such as of a debugger
        sys.settrace(self._called)

    def end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._leave()
            sys.settrace(self._other)

    def _follow(self, frame: FrameType) -> None:
        self._frame, self._is_pending = frame, False
        frame.f_trace_opcodes = True  # Python 3.12 needs this before it begins to trace

    def _leave(self) -> None:
        self._frame.f_trace, self._frame.f_trace_opcodes = None, False

    def _enter(self) -> None:
        self.end()
        self._act()

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        """Trace a call, or a generator that continues."""
        if frame is not self._frame and self._is_pending and frame.f_back is self._frame:
            if not _is_generator(frame.f_code) or not _entry(frame.f_code).places:
                self._enter()
                return None
            self._leave()
            self._follow(frame)
        return self._stepped if frame is self._frame else None

    def _stepped(self, frame: FrameType, event: str, argument: object) -> Any:
        """Trace a line, an instruction or the end of a generator; instructions only in the lines of an entry."""
        if frame is not self._frame or self._is_over:
            return None
        entry = _entry(frame.f_code)
        if event == "line":
            frame.f_trace_opcodes = self._is_pending or frame.f_lineno in entry.lines
        elif event == "opcode":
            name = entry.places.get(frame.f_lasti)
            if name is None and not self._is_pending:
                return self._stepped
            if name not in _DELEGATING:
                self._enter()
                return None
            self._is_pending = True
        elif event == "return" and self._is_pending:  # a loop over nothing
            self._enter()
            return None
        return self._stepped


@dataclass(frozen=True)
class _Entry:
    """The instructions with which the code of a generator enters its training, by offset, and their lines."""

    places: Mapping[int, str]
    lines: frozenset[int | None]


@cache
def _entry(code: CodeType) -> _Entry:
    instructions = list(dis.get_instructions(code))
    outermost = [min(loops) for loops in _loops_around_yields(code) if loops]
    starts = {start for start, _ in outermost} | {
        one.offset
        for one in instructions
        if one.opname == "SEND" and not any(start <= one.offset <= end for start, end in outermost)
    }
    places, lines = dict[int, str](), set[int | None]()
    prefixes, line = list[int](), None  # EXTENDED_ARG in front of an instruction; only one of them may be traced
    for one in instructions:
        line = one.starts_line or line
        prefixes.append(one.offset)
        if one.opname == "EXTENDED_ARG":
            continue
        if prefixes[0] in starts or one.offset in starts:
            places |= dict.fromkeys(prefixes, one.opname)
            lines.add(line)
        prefixes = []
    return _Entry(places, frozenset(lines))


def _frames_of_the_function(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of the user's code, the outermost first, up to the caller that asks for the next report."""
    found: list[FrameType] = []
    while frame is not None:
        if not frame.f_globals.get("__name__", "").startswith(_OURS):
            found.append(frame)
        elif found:
            break
        frame = frame.f_back
    return found[::-1]


@cache
def _loops_around_yields(code: CodeType) -> list[list[tuple[int, int]]]:
    """Return the loops around each yield, each from its first to its last instruction."""
    instructions = list(dis.get_instructions(code))
    backward = [(one.argval, one.offset) for one in instructions if _jumps_back(one)]
    loops = [
        (start, max(end for first, end in backward if first == start)) for start in {first for first, _ in backward}
    ]
    yields = [one.offset for one in instructions if one.opname == "YIELD_VALUE"]
    return [[loop for loop in loops if loop[0] <= offset <= loop[1]] for offset in yields]


def _jumps_back(one: dis.Instruction) -> bool:
    # The last of these is the loop within `yield from`.
    is_jump = one.opcode in (*dis.hasjrel, *dis.hasjabs)
    return is_jump and one.argval <= one.offset and not one.opname.endswith("NO_INTERRUPT")


def _is_generator(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_GENERATOR)


def _instruction(frame: FrameType) -> str:
    return dis.opname[frame.f_code.co_code[frame.f_lasti]]
