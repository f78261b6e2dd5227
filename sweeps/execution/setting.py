"""A setting that code can change in its process, with its getter and its setter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """A setting that code can change in its process.

    Attributes:
        name: The name of the setting, for messages.
        get: Returns the present value.
        set: Sets a value.
        disturbs: Whether a trial's value would disturb the code of the worker.
        sticks: Whether it may be impossible to restore the setting.
    """

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], object]
    disturbs: bool = False
    sticks: bool = False


def attributes(owner: Any, *names: str) -> list[Setting]:
    """Return the settings for those of the named attributes that a module or another object has."""
    return [
        Setting(
            f"{getattr(owner, '__name__', type(owner).__name__)}.{name}", _getter(owner, name), _setter(owner, name)
        )
        for name in names
        if hasattr(owner, name)
    ]


def table(owner: Any, name: str) -> Setting:
    """Return the setting of a dict in a module, which is changed in place and stays the same object."""

    def put(value: Mapping[Any, Any]) -> None:
        present = getattr(owner, name)
        present.clear()
        present.update(value)

    return Setting(f"{owner.__name__}.{name}", lambda: dict(getattr(owner, name)), put)


def _getter(owner: Any, name: str) -> Callable[[], Any]:
    return lambda: getattr(owner, name)


def _setter(owner: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(owner, name, value)
