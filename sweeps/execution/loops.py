"""The loop in which a generator function trains: code before it sets up, code within it trains."""

import dis
import inspect
import sys
from functools import cache
from types import CodeType, FrameType

_OURS = "sweeps."
_DELEGATES = "SEND"  # the instruction of `yield from` while the other generator runs


def is_training() -> bool:
    """Return whether the function that a trial runs is within the loop that yields its reports.

    A generator that it delegates to with `yield from` counts as a part of it. Without such a loop, or in a thread of
    its own, this can't be told, and the answer is no.
    """
    for frame in _frames_of_the_function(sys._getframe(1)):
        if not frame.f_code.co_flags & inspect.CO_GENERATOR:
            return False
        if any(start <= frame.f_lasti <= end for start, end in _loops(frame.f_code)):
            return True
        if _instruction(frame) != _DELEGATES:
            return False
    return False


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
def _loops(code: CodeType) -> list[tuple[int, int]]:
    """Return the innermost loop around each yield, from its first to its last instruction."""
    instructions = list(dis.get_instructions(code))
    backward = [(one.argval, one.offset) for one in instructions if _jumps_back(one)]
    loops = [
        (start, max(end for first, end in backward if first == start)) for start in {first for first, _ in backward}
    ]
    yields = [one.offset for one in instructions if one.opname == "YIELD_VALUE"]
    around = [[loop for loop in loops if loop[0] <= offset <= loop[1]] for offset in yields]
    return [max(found) for found in around if found]


def _jumps_back(one: dis.Instruction) -> bool:
    # The last of these is the loop within `yield from`.
    is_jump = one.opcode in (*dis.hasjrel, *dis.hasjabs)
    return is_jump and one.argval <= one.offset and not one.opname.endswith("NO_INTERRUPT")


def _instruction(frame: FrameType) -> str:
    return dis.opname[frame.f_code.co_code[frame.f_lasti]]
