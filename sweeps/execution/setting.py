"""One thing that code can set in its process: what gets it and what sets it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One thing that code can set in its process.

    disturbs: whether a trial's value would disturb the code of the worker. sticks: whether it may be impossible to set
    back.
    """

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], object]
    disturbs: bool = False
    sticks: bool = False


def attributes(owner: Any, *names: str) -> list[Setting]:
    """Return settings that are attributes of a module or of what is like one."""
    return [
        Setting(
            f"{getattr(owner, '__name__', type(owner).__name__)}.{name}", _getter(owner, name), _setter(owner, name)
        )
        for name in names
        if hasattr(owner, name)
    ]


def table(owner: Any, name: str) -> Setting:
    """Return the setting of a dict, which stays the same object."""

    def put(value: Mapping[Any, Any]) -> None:
        present = getattr(owner, name)
        present.clear()
        present.update(value)

    return Setting(f"{owner.__name__}.{name}", lambda: dict(getattr(owner, name)), put)


def _getter(owner: Any, name: str) -> Callable[[], Any]:
    return lambda: getattr(owner, name)


def _setter(owner: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(owner, name, value)
