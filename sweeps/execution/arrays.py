"""Conversion of NumPy arrays to bytes and back, which keeps their strides and the memory that arrays share.

The last digits of a sum over an array depend on its strides, so a copy in another order is not the same array.
"""

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

Span = tuple[int, int]  # memory addresses: of the first byte, and one past the last


class _View(NamedTuple):
    """An array as a view of a piece of memory, stored in the file as a plain tuple."""

    number: int  # the array's index in the list of arrays
    kind: Any  # the dtype, as NumPy's file format describes it
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int  # in bytes from the start of the memory
    is_writeable: bool
    is_owner: bool  # whether the array owns its memory


def as_chunks(arrays: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the memory of arrays as plain values, with one chunk for all arrays whose memory overlaps.

    Args:
        arrays: The arrays, none of which may hold objects.

    Returns:
        For each chunk, its bytes and the views of the arrays within it.
    """
    chunks: list[tuple[Any, ...]] = []
    behind = -1  # the address one past the end of the present chunk
    for low, high, number in sorted((*span(array), number) for number, array in enumerate(arrays)):
        if not chunks or low >= behind:
            chunks.append((low, []))
        behind = max(behind, high)
        chunks[-1][1].append((number, high))
    return [(_content(low, inside), [tuple(_view(n, arrays[n], low)) for n, _ in inside]) for low, inside in chunks]


def from_chunks(chunks: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the arrays that `as_chunks` converted, in their order."""
    made: dict[int, Any] = {}
    for content, inside in chunks:
        memory, views = bytearray(content), [_View(*view) for view in inside]
        made |= {view.number: _array(memory, view, is_alone=len(views) == 1) for view in views}
    return [made[number] for number in range(len(made))]


def span(array: Any) -> Span:
    """Return the span of memory that an array's values occupy, or (0, 0) if the array is empty."""
    from numpy.lib.array_utils import byte_bounds

    return byte_bounds(array) if array.size else (0, 0)


def _content(low: int, inside: Sequence[tuple[int, int]]) -> bytes:
    return ctypes.string_at(low, max(high for _, high in inside) - low)


def _view(number: int, array: Any, low: int) -> _View:
    from numpy.lib.format import dtype_to_descr

    offset = array.ctypes.data - low if array.size else 0
    kind, is_writeable, is_owner = dtype_to_descr(array.dtype), array.flags.writeable, array.base is None
    return _View(number, kind, array.shape, array.strides, offset, is_writeable, is_owner)


def _array(memory: bytearray, view: _View, *, is_alone: bool) -> Any:
    import numpy
    from numpy.lib.format import descr_to_dtype

    array: Any = numpy.ndarray(view.shape, descr_to_dtype(view.kind), memory, view.offset, view.strides)
    if view.is_owner and is_alone:
        owner = array.copy(order="K")
        array = owner if owner.strides == view.strides else array  # strides may differ along an axis of length 1
    array.flags.writeable = view.is_writeable
    return array
