"""A function's checkpoint as a file of plain values, NumPy arrays and torch tensors, which all come back equal.

Values are pickled, but only values of the kinds listed here. Reading builds nothing else, so it runs no code. Arrays
follow as the memory that they occupy. Tensors follow as `torch.save` writes them, and are read with `weights_only`. A
function without torch therefore never pays for its import. JSON would turn numeric keys into text and tuples into
lists.
"""

import io
import pickle
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from sweeps.execution.arrays import Span, as_chunks, from_chunks, span
from sweeps.execution.watched import WATCHED, recipe, unwatched

HOLDS = (
    "a checkpoint may hold None, numbers, text, bytes, NumPy arrays, torch tensors, "
    "and lists, tuples, sets and dicts of these"
)
# The classes that a pickle of these values refers to by name; all other values have pickle opcodes.
_NAMED: dict[str, type] = {
    kind.__name__: kind for kind in (bytearray, complex, dict, frozenset, list, range, set, tuple, Counter, OrderedDict)
}


class CheckpointError(TypeError):
    """The error for a checkpoint with a value that would not come back equal."""


def write_checkpoint(path: Path, state: object, about: Mapping[str, Any]) -> None:
    """Write a state to a file, with facts about it.

    Args:
        path: The file to write.
        state: The state that a function yielded as its checkpoint.
        about: Facts to store with the state, such as its measurement.

    Raises:
        CheckpointError: The state holds a value that can't be kept, which the error names, or an array and a tensor
            share memory.
    """
    tree = io.BytesIO()
    pickler = _Pickler(tree)
    try:
        pickler.dump((state, about))
        chunks = as_chunks(pickler.arrays)
    except (pickle.PicklingError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{_first_refused(state)}: {HOLDS}") from error
    if (places := _sharing(state, pickler)) is not None:
        raise CheckpointError(f"{' and '.join(places)} share memory, and would not when read back: copy one of them")
    with path.open("wb") as file:
        pickle.dump((tree.getvalue(), chunks), file, protocol=5)
        if pickler.tensors:
            import torch

            torch.save(pickler.tensors, file)


def read_checkpoint(path: Path) -> tuple[Any, Mapping[str, Any]]:
    """Return the state and the facts about it, as `write_checkpoint` wrote them."""
    with path.open("rb") as file:
        tree, chunks = _Unpickler(file).load()
        tensors = _read_tensors(file) if file.peek(1) else []
    state, about = _Unpickler(io.BytesIO(tree), from_chunks(chunks), tensors).load()
    return state, about


def _read_tensors(file: BinaryIO) -> list[Any]:
    import torch

    place = None if torch.cuda.is_available() else "cpu"
    tensors: list[Any] = torch.load(file, map_location=place, weights_only=True, mmap=False)
    return tensors


def _sharing(state: object, pickler: "_Pickler") -> tuple[str, str] | None:
    """Return the places of an array and a tensor that share memory, as after `torch.from_numpy`, or None."""
    for array, (low, high) in zip(pickler.arrays, map(span, pickler.arrays), strict=True):
        for tensor, (start, end) in zip(pickler.tensors, map(_span, pickler.tensors), strict=True):
            if low < end and start < high:
                return _place_of(array, state), _place_of(tensor, state)
    return None


def _place_of(value: object, state: object, place: str = "checkpoint") -> str:
    """Return the first place of an object in a state, or "" if it is not there."""
    if value is state:
        return place
    return next(filter(None, (_place_of(value, child, f"{place}[{key!r}]") for key, child in _children(state))), "")


def _span(tensor: Any) -> Span:
    import torch

    is_plain = isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu" and tensor.layout == torch.strided
    if not is_plain:
        return 0, 0
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.data_ptr() + storage.nbytes()


class _Pickler(pickle.Pickler):
    """A pickler of the kinds of values above, which refuses all others.

    It collects `arrays` and `tensors`, which are to be written after the pickle.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, protocol=5)
        self.arrays: list[Any] = []
        self.tensors: list[Any] = []
        self._numbers: dict[int, int] = {}  # the number of each array and tensor, by its id

    def persistent_id(self, value: Any) -> tuple[Any, ...] | None:
        if (numpy := sys.modules.get("numpy")) is not None:
            if type(value) is numpy.ndarray and not value.dtype.hasobject:
                return "array", self._number_in(self.arrays, value)
            if isinstance(value, numpy.generic):
                return "number", _as_bytes(numpy, value)
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, (torch.Tensor, torch.Size, torch.dtype, torch.device)):
            return "tensor", self._number_in(self.tensors, value)
        return None

    def _number_in(self, kept: list[Any], value: Any) -> int:
        number = self._numbers.setdefault(id(value), len(kept))
        if number == len(kept):
            kept.append(value)
        return number

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, WATCHED):
            return recipe(unwatched(value))
        if type(value) in _NAMED.values() or any(value is kind for kind in _NAMED.values()):
            return NotImplemented
        raise pickle.PicklingError(f"a {type(value).__name__} is refused")


class _Unpickler(pickle.Unpickler):
    """An unpickler that builds nothing but the kinds of values above."""

    def __init__(self, file: Any, arrays: Sequence[Any] = (), tensors: Sequence[Any] = ()) -> None:
        super().__init__(file)
        self._arrays = arrays
        self._tensors = tensors

    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "collections") and name in _NAMED:
            return _NAMED[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}: {HOLDS}")

    def persistent_load(self, kept: tuple[Any, ...]) -> Any:
        match kept:
            case "tensor", number:
                return self._tensors[number]
            case "array", number:
                return self._arrays[number]
            case "number", content:
                return _from_bytes(content)[()]
        raise pickle.UnpicklingError(f"it holds {kept!r}: {HOLDS}")


def _as_bytes(numpy: Any, value: Any) -> bytes:
    file = io.BytesIO()
    numpy.save(file, value, allow_pickle=False)
    return file.getvalue()


def _from_bytes(content: bytes) -> Any:
    import numpy

    return numpy.load(io.BytesIO(content), allow_pickle=False)


def _first_refused(value: Any, place: str = "checkpoint") -> str:
    """Describe the first value in a checkpoint that can't be kept, with its place."""
    for key, child in _children(value):
        if not _is_kept(key):
            return f"{place} has the key {key!r}, which is a {type(key).__name__}"
        if not _is_kept(child):
            return _first_refused(child, f"{place}[{key!r}]")
    kind = type(value).__name__
    is_array = kind == "ndarray" and value.dtype.hasobject
    what = "an array of objects" if is_array else f"a {kind}"
    advice = " (keep its state_dict())" if hasattr(value, "state_dict") else ""
    return f"{place} is {what}, which a checkpoint can't keep{advice}"


def _children(value: Any) -> list[tuple[Any, Any]]:
    value = unwatched(value)
    if type(value) in (dict, OrderedDict, Counter):
        return [*value.items()]
    return [*enumerate(value)] if type(value) in (list, tuple, set, frozenset) else []


def _is_kept(value: Any) -> bool:
    try:
        _Pickler(io.BytesIO()).dump(value)
    except (pickle.PicklingError, TypeError, ValueError, AttributeError, RecursionError):
        return False
    return True


def first_unequal(kept: Any, read: Any, place: str = "checkpoint") -> str | None:
    """Return the place of the first value that did not come back equal, or None if all did.

    Args:
        kept: The value that was written.
        read: The value that was read back.
        place: The expression for the place of `kept`, to which keys and indices are added.
    """
    kept = unwatched(kept)
    pairs: Iterator[tuple[Any, Any, Any]] = iter(())
    is_equal = type(kept) is type(read)
    if is_equal and isinstance(kept, dict):
        is_equal = [*kept] == [*read]
        pairs = ((key, kept[key], read.get(key)) for key in kept)
    elif is_equal and isinstance(kept, list | tuple):
        is_equal = len(kept) == len(read)
        pairs = ((number, *pair) for number, pair in enumerate(zip(kept, read, strict=False)))
    elif is_equal:
        is_equal = _are_equal(kept, read)
    if not is_equal:
        return place
    found = (first_unequal(one, other, f"{place}[{key!r}]") for key, one, other in pairs)
    return next(filter(None, found), None)


def _are_equal(kept: Any, read: Any) -> bool:
    """Return whether two values of one type, other than a dict, list or tuple, are equal; NaN equals itself here."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(kept, torch.Tensor):
        return _are_equal_tensors(torch, kept, read)
    if numpy is not None and isinstance(kept, numpy.ndarray | numpy.generic):
        is_alike = (kept.dtype, kept.shape, kept.strides) == (read.dtype, read.shape, read.strides)
        return bool(is_alike and kept.tobytes() == read.tobytes())
    return bool(kept == read or repr(kept) == repr(read))


def _are_equal_tensors(torch: Any, kept: Any, read: Any) -> bool:
    if (kept.dtype, kept.shape, kept.device, kept.layout) != (read.dtype, read.shape, read.device, read.layout):
        return False
    if kept.layout != torch.strided or kept.is_quantized:
        return repr(kept) == repr(read)
    return kept.stride() == read.stride() and bool(torch.equal(_bytes_of(torch, kept), _bytes_of(torch, read)))


def _bytes_of(torch: Any, tensor: Any) -> Any:
    return tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
