"""The loop in which a generator function trains: code before it sets up, code within it trains."""

import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    return inspect.isgenerator(generator) and bool(_entry(generator.gi_code).loops)


def loop_of(generator: Any) -> list[int]:
    """Return in which of its outermost loops that yield a generator is suspended, counted from 0.

    If that is a `yield from` another generator, the loop of the other follows, and so on.
    """
    found = list[int]()
    while inspect.isgenerator(generator) and generator.gi_frame is not None:
        at = generator.gi_frame.f_lasti
        loop = next((place.number for place in _entry(generator.gi_code).loops if place.holds(at)), None)
        if loop is None:
            break
        found.append(loop)
        generator = generator.gi_yieldfrom
    return found


@contextmanager
def at_entry(
    generator: Any, loop: Sequence[int], enter: Callable[[], None], leave: Callable[[], None]
) -> Iterator[None]:
    """Run a block in which a generator's way to the loop that yields is followed.

    For a loop over another generator, or `yield from` one, that is the loop of the other. What the loop runs over is
    made before its entry, and gives its first value after it, unless that comes from a built-in iterator.

    Args:
        generator: A generator for which `yields_in_a_loop` is true, and that has not begun.
        loop: The loop in which it continues, as from `loop_of`; if empty, the first that has something to do.
        enter: Called when it enters an outermost loop that yields. Of several calls, the last one counts.
        leave: Called when such a loop has nothing to do, and the generator continues in a later one.
    """
    watch = _Watch(generator.gi_frame, loop, enter, leave)
    watch.begin()
    try:
        yield
    finally:
        watch.end()


@dataclass(frozen=True)
class _Loop:
    """An outermost loop that yields, or a `yield from` outside of loops.

    Attributes:
        number: Its number among those of its generator.
        name: The name of its first instruction.
        start: The place of that instruction in the code.
        end: The place at which the code continues once it is over.
    """

    number: int
    name: str
    start: int
    end: int

    def holds(self, offset: int) -> bool:
        """Return whether an instruction belongs to the loop."""
        return self.start <= offset < self.end


class _Followed:
    """A generator that is followed.

    Attributes:
        frame: Its frame.
        wanted: The loops in which it continues, and those that it delegates to; [] for any; None for a later one.
        waiting: The loop whose first value is waited for.
    """

    def __init__(self, frame: FrameType, wanted: Sequence[int] | None) -> None:
        self.frame, self.wanted = frame, wanted
        self.waiting: _Loop | None = None
        frame.f_trace_opcodes = True  # Python 3.12 needs this before it begins to trace

    def is_last(self, loop: _Loop, *, has_work: bool) -> bool:
        """Return whether the generator trains from this loop on, whether the loop has something to do or not."""
        if self.wanted is None:
            return False
        return loop.number == self.wanted[0] or (has_work and loop.number > self.wanted[0]) if self.wanted else has_work

    @property
    def within(self) -> Sequence[int] | None:
        """Return the loops in which a generator continues that this one delegates to."""
        if self.wanted is None or (self.waiting and self.wanted and self.waiting.number < self.wanted[0]):
            return None
        return self.wanted[1:] if self.waiting and self.waiting.number in self.wanted[:1] else []


class _Watch:
    """A trace function that follows a generator, and those that it delegates to, up to the entry of its loop."""

    def __init__(
        self, frame: FrameType, loop: Sequence[int], enter: Callable[[], None], leave: Callable[[], None]
    ) -> None:
        self._followed = [_Followed(frame, loop)]
        self._enter_loop, self._leave_loop = enter, leave
        self._is_in = False  # whether the entry of a loop was told, and the first value of the loop has not come
        self._is_over = False

    def begin(self) -> None:
        self._other = sys.gettrace()  # such as of a debugger
        sys.settrace(self._called)

    def end(self) -> None:
        if not self._is_over:
            self._is_over = True
            for one in self._followed:
                one.frame.f_trace, one.frame.f_trace_opcodes = None, False
            sys.settrace(self._other)

    def _enter(self) -> None:
        if not self._is_in:
            self._is_in = True
            self._enter_loop()

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        """Trace a call, or a generator that continues."""
        last = self._followed[-1]
        if last.waiting and frame is not last.frame and frame.f_back is last.frame:
            if _is_generator(frame.f_code) and _entry(frame.f_code).loops:
                self._followed.append(_Followed(frame, last.within))
            else:
                self._enter()
        return self._stepped if frame is self._followed[-1].frame else None

    def _stepped(self, frame: FrameType, event: str, argument: object) -> Any:
        """Trace a line, an instruction or the end of a generator; instructions only in the lines of an entry."""
        last = self._followed[-1]
        if frame is not last.frame or self._is_over:
            return None
        if event == "line":
            frame.f_trace_opcodes = last.waiting is not None or frame.f_lineno in _entry(frame.f_code).lines
        elif event == "opcode":
            self._step(last, frame.f_lasti)
        elif event == "return" and len(self._followed) > 1:  # or a yield, which gives the outer loop its first value
            self._followed.pop()
        return None if self._is_over else self._stepped

    def _step(self, one: _Followed, at: int) -> None:
        """Take an instruction for the first value of the loop that is waited for, for its end, or for an entry."""
        if (loop := one.waiting) is not None:
            one.waiting = None
            self._tell(one, loop, has_work=loop.holds(at))
        if self._is_over or (loop := _entry(one.frame.f_code).starts.get(at)) is None:
            return
        if loop.name in _DELEGATING:
            one.waiting = loop
        else:
            self._tell(one, loop, has_work=True)

    def _tell(self, one: _Followed, loop: _Loop, *, has_work: bool) -> None:
        self._enter()
        self._is_in = False
        if one.is_last(loop, has_work=has_work):
            self.end()
        elif not has_work:
            self._leave_loop()


@dataclass(frozen=True)
class _Entry:
    """The loops in which the code of a generator trains.

    Attributes:
        loops: The loops, in the order of the code.
        starts: The loops by their first instruction, with or without its prefixes.
        lines: The lines of the first instructions.
    """

    loops: tuple[_Loop, ...]
    starts: Mapping[int, _Loop]
    lines: frozenset[int | None]


@cache
def _entry(code: CodeType) -> _Entry:
    instructions = list(dis.get_instructions(code))
    outermost = dict(min(loops) for loops in _loops_around_yields(code) if loops)
    starts, lines = dict[int, _Loop](), set[int | None]()
    prefixes, line = list[int](), None  # EXTENDED_ARG in front of an instruction; only one of them may be traced
    for one in instructions:
        line = one.starts_line or line
        prefixes.append(one.offset)
        if one.opname == "EXTENDED_ARG":
            continue
        start = next((offset for offset in prefixes if offset in outermost), None)
        is_within = any(first <= one.offset <= last for first, last in outermost.items())
        if start is not None or (one.opname == "SEND" and not is_within):
            end = one.argval if one.opname in _DELEGATING else outermost[start] + 1 if start is not None else 0
            loop = _Loop(len({id(loop) for loop in starts.values()}), one.opname, one.offset, end)
            starts |= dict.fromkeys(prefixes, loop)
            lines.add(line)
        prefixes = []
    return _Entry(tuple(dict.fromkeys(starts.values())), starts, frozenset(lines))


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
