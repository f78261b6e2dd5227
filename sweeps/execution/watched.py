"""A checkpoint that reports its reads, so generators can be restored between set-up and training.

A function that continues runs its set-up again, with generators seeded as at the trial's start, and then reads its
checkpoint. From there on the generators must be as they were at the pause.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Protocol

_PLAIN = (int, float, complex, str, type(None))
_ALL = object()  # means all places of a checkpoint


class Reader(Protocol):
    """A listener to looks at a checkpoint."""

    def look(self, is_state: bool) -> None:
        """Take note of the first look at the checkpoint, or at one of its states."""


def watched(state: Any, reader: Reader) -> Any:
    """Return a copy of a dict, list or tuple that reports looks at it to `reader`; return other values as they are."""
    kind = _KINDS.get(type(state))
    if kind is None:
        return state
    made = kind(state)
    made.__dict__.update(getattr(state, "__dict__", {}))  # such as what torch adds to a state_dict
    items = state if isinstance(state, Mapping) else dict(enumerate(state))
    made.__dict__[_LOOKS] = _Looks(items, reader)
    return made


def is_watched(state: object) -> bool:
    """Return whether `watched` can detect when a checkpoint is read."""
    return isinstance(state, WATCHED) or type(state) in _KINDS


def unwatched(state: Any) -> Any:
    """Return a plain copy of a watched dict, list or tuple; return other values as they are."""
    if not isinstance(state, WATCHED):
        return state
    kind: Any = type(state).__base__
    made = kind(kind.items(state) if isinstance(state, dict) else kind.__iter__(state))
    if hasattr(made, "__dict__"):
        made.__dict__.update({name: value for name, value in vars(state).items() if name != _LOOKS})
    return made


class _Looks:
    """The parts of a checkpoint that have not been looked at: the whole, and each of its states."""

    def __init__(self, items: Mapping[Any, Any], reader: Reader) -> None:
        self._states = {place for place, value in items.items() if not _is_plain(value)}
        self._length = len(items)
        self._is_first = True
        self._reader = reader

    def at(self, place: Any) -> None:
        """Take note of a look at a key or an index, or at all of them."""
        if isinstance(place, int) and place < 0:
            place += self._length
        seen = self._states if place is _ALL or isinstance(place, slice) else self._states & {place}
        self._states = self._states - seen
        if seen or self._is_first:
            self._is_first = False
            self._reader.look(bool(seen))


def _is_plain(value: object) -> bool:
    """Return whether a value is a number, text or None, or holds nothing else."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, list | tuple | set) else isinstance(value, _PLAIN)


_LOOKS = "_looks"  # the attribute that watches; a copy without it reports nothing
# Methods that look at the given place, at all places or at none of the states, and methods that write.
_AT_A_PLACE = ("__getitem__", "get", "setdefault", "pop")
_AT_ALL = ("__iter__", "__reversed__", "items", "values", "popitem", "__add__", "__mul__")
_AT_NO_STATE = ("__setitem__", "__ior__", "__iadd__", "update", "append", "extend", "insert")
_AT_NO_STATE_OF_A_LIST = ("__len__",)  # `if checkpoint` calls it on a dict, too


def _kind(plain: Any, *, has_keys: bool) -> Any:
    """Return the class of a watched dict, list or tuple, whose copies and pickles are plain.

    A dict is pickled as an OrderedDict, which equals it: `torch.load` accepts no other call that makes a dict.
    """

    def copied(self: Any, *_: object) -> Any:
        return unwatched(self)

    def joined(self: Any, other: Any) -> Any:
        return unwatched(self) | other

    def copied_deeply(self: Any, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(unwatched(self), memo)

    def pickled(self: Any) -> Any:
        own = unwatched(self)
        return recipe(OrderedDict(own) if type(own) is dict else own)

    methods: dict[str, Callable[..., Any]] = {}
    for name in (*_AT_A_PLACE, *_AT_ALL, *_AT_NO_STATE, *(() if has_keys else _AT_NO_STATE_OF_A_LIST)):
        if hasattr(plain, name):
            methods[name] = _noted(getattr(plain, name), name, has_keys)
    methods |= {name: _noted(copied, "copy", has_keys) for name in ("copy", "__copy__") if hasattr(plain, "copy")}
    methods |= {"__or__": _noted(joined, "copy", has_keys)} if has_keys else {}
    methods |= {"__deepcopy__": _noted(copied_deeply, "copy", has_keys)}
    return type(f"Watched{plain.__name__}", (plain,), {**methods, "__reduce__": _noted(pickled, "copy", has_keys)})


def recipe(plain: Any) -> Any:
    """Return how pickle rebuilds a plain dict, list or tuple."""
    return plain.__reduce_ex__(2) if isinstance(plain, OrderedDict) else (type(plain), (plain,))


def _noted(method: Callable[..., Any], name: str, has_keys: bool) -> Callable[..., Any]:
    """Return a method that reports its look before it runs."""

    @wraps(method)
    def call(self: Any, *given: Any, **named: Any) -> Any:
        looks = self.__dict__.get(_LOOKS)  # none yet while an OrderedDict fills itself
        if looks is None:
            pass
        elif name in (*_AT_NO_STATE, *_AT_NO_STATE_OF_A_LIST):
            looks.at(None)
        else:
            is_at_a_place = name in _AT_A_PLACE and (has_keys or name == "__getitem__")
            looks.at(given[0] if is_at_a_place else _ALL)
        return method(self, *given, **named)

    return call


_KINDS: dict[type, Any] = {
    **{kind: _kind(kind, has_keys=True) for kind in (dict, OrderedDict)},
    **{kind: _kind(kind, has_keys=False) for kind in (list, tuple)},
}
WATCHED = tuple(_KINDS.values())
