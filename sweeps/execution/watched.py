"""A checkpoint that tells when it is read or written, so that generators are set back between set-up and training.

A function that continues runs its set-up again, with generators that are seeded as at the trial's start, and then reads
its checkpoint. From there on they must be as they were at the pause.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, SupportsIndex

_PLAIN = (int, float, complex, str, type(None))
_ALL = object()  # stands for all places of a checkpoint


class Reader(Protocol):
    """What hears of the looks at a checkpoint."""

    def look(self) -> None:
        """Hear of the first look at all, or at a state."""

    def write(self) -> None:
        """Hear that something is written into the checkpoint."""


def watched(state: Any, reader: Reader) -> Any:
    """Return a dict, list or tuple that says when it is looked at; others as they are."""
    kind = _WATCHED.get(type(state))
    return state if kind is None else kind(state, reader)


def is_watched(state: object) -> bool:
    """Return whether `watched` can tell when a checkpoint is read."""
    return isinstance(state, WATCHED) or type(state) in _WATCHED


def unwatched(state: Any) -> Any:
    """Return the plain dict, list or tuple of one that is watched; others as they are."""
    return state.plain() if isinstance(state, WATCHED) else state


class _Looks:
    """What of a checkpoint has not been looked at: all of it, and each of its states."""

    def __init__(self, items: Mapping[Any, Any], reader: Reader) -> None:
        self._states = {place for place, value in items.items() if not _is_plain(value)}
        self._is_first = True
        self._reader = reader

    def at(self, place: Any) -> None:
        """Take note of a look at a place, or at all of them."""
        seen = self._states if place is _ALL else self._states & {place}
        self._states = self._states - seen
        if seen or self._is_first:
            self._is_first = False
            self._reader.look()

    def written(self) -> None:
        """Take note that something is written, which is a look at all."""
        if self._is_first:
            self.at(None)
        self._reader.write()


class _Deaf:
    """Hears nothing."""

    def look(self) -> None:
        pass

    def write(self) -> None:
        pass


def _is_plain(value: object) -> bool:
    """Return whether a value is a number or text, or holds nothing else."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, list | tuple | set) else isinstance(value, _PLAIN)


def _mapping(kind: Any) -> Any:
    """Return the class of a watched dict that is copied and pickled as its plain kind."""

    class Watched(kind):  # type: ignore[misc]
        def __init__(self, values: Mapping[Any, Any], reader: Reader) -> None:
            self._looks = _Looks({}, _Deaf())  # an OrderedDict is filled by its own __setitem__
            super().__init__(values)
            self.__dict__.update(getattr(values, "__dict__", {}))  # such as what torch adds to a state_dict
            self._looks = _Looks(values, reader)

        def plain(self) -> Any:
            made = kind(super().items())
            if hasattr(made, "__dict__"):
                made.__dict__.update({name: value for name, value in vars(self).items() if name != "_looks"})
            return made

        def __getitem__(self, key: Any) -> Any:
            self._looks.at(key)
            return super().__getitem__(key)

        def __iter__(self) -> Any:
            self._looks.at(_ALL)
            return super().__iter__()

        def __reversed__(self) -> Any:
            self._looks.at(_ALL)
            return super().__reversed__()

        def get(self, key: Any, default: Any = None) -> Any:
            self._looks.at(key)
            return super().get(key, default)

        def __setitem__(self, key: Any, value: Any) -> None:
            self._looks.written()
            super().__setitem__(key, value)

        def update(self, *others: Any, **named: Any) -> None:
            self._looks.written()
            super().update(*others, **named)

        def setdefault(self, key: Any, default: Any = None) -> Any:
            self._looks.at(key)
            return super().setdefault(key, default)

        def pop(self, key: Any, *default: Any) -> Any:
            self._looks.at(key)
            return super().pop(key, *default)

        def popitem(self, *last: bool) -> Any:
            self._looks.at(_ALL)
            return super().popitem(*last)

        def items(self) -> Any:
            self._looks.at(_ALL)
            return super().items()

        def values(self) -> Any:
            self._looks.at(_ALL)
            return super().values()

        def copy(self) -> Any:
            self._looks.at(_ALL)
            return self.plain()

        def __or__(self, other: Any) -> Any:
            return self.copy() | other

        def __reduce__(self) -> Any:
            return self.copy().__reduce_ex__(2) if kind is not dict else (dict, (self.copy(),))

    return Watched


WatchedDict: Any = _mapping(dict)
WatchedOrderedDict: Any = _mapping(OrderedDict)


class WatchedList(list[Any]):
    """A list that is copied and pickled as a plain one."""

    def __init__(self, values: list[Any], reader: Reader) -> None:
        super().__init__(values)
        self._looks = _Looks(dict(enumerate(values)), reader)

    def plain(self) -> list[Any]:
        return super().copy()

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        self._looks.at(_place(place, super().__len__()))
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[Any]:
        self._looks.at(_ALL)
        return super().__iter__()

    def __reversed__(self) -> Iterator[Any]:
        self._looks.at(_ALL)
        return super().__reversed__()

    def __len__(self) -> int:
        self._looks.at(None)
        return super().__len__()

    def __setitem__(self, place: Any, value: Any) -> None:
        self._looks.written()
        super().__setitem__(place, value)

    def append(self, value: Any) -> None:
        self._looks.written()
        super().append(value)

    def extend(self, values: Iterable[Any]) -> None:
        self._looks.written()
        super().extend(values)

    def __add__(self, other: Any) -> Any:
        return self.copy() + other

    def __mul__(self, count: SupportsIndex) -> list[Any]:
        return self.copy() * count

    def pop(self, place: SupportsIndex = -1) -> Any:
        self._looks.at(_ALL)
        return super().pop(place)

    def copy(self) -> list[Any]:
        self._looks.at(_ALL)
        return self.plain()

    def __reduce__(self) -> Any:
        return list, (self.copy(),)


class WatchedTuple(tuple[Any, ...]):
    """A tuple that is copied and pickled as a plain one."""

    _looks: _Looks

    def __new__(cls, values: tuple[Any, ...], reader: Reader) -> "WatchedTuple":
        made = super().__new__(cls, values)
        made._looks = _Looks(dict(enumerate(values)), reader)
        return made

    def plain(self) -> tuple[Any, ...]:
        return tuple(super().__iter__())

    def __getitem__(self, place: Any) -> Any:
        self._looks.at(_place(place, super().__len__()))
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[Any]:
        self._looks.at(_ALL)
        return super().__iter__()

    def __add__(self, other: Any) -> Any:
        self._looks.at(_ALL)
        return self.plain() + other

    def __mul__(self, count: SupportsIndex) -> tuple[Any, ...]:
        self._looks.at(_ALL)
        return self.plain() * count

    def __reduce__(self) -> Any:
        self._looks.at(_ALL)
        return tuple, (self.plain(),)


def _place(place: SupportsIndex | slice, length: int) -> Any:
    """Return what stands for an index or a slice among the looks."""
    return _ALL if isinstance(place, slice) else range(length)[place] if -length <= int(place) < length else None


WATCHED = (WatchedDict, WatchedOrderedDict, WatchedList, WatchedTuple)
_WATCHED: dict[type, Callable[[Any, Reader], Any]] = {
    dict: WatchedDict,
    OrderedDict: WatchedOrderedDict,
    list: WatchedList,
    tuple: WatchedTuple,
}
