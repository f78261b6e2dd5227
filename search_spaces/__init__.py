"""Search spaces declared in TOML, and the presets that ship with them; independent of training and sweeps."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search_spaces.parameters import Choice as Choice
    from search_spaces.parameters import Constant as Constant
    from search_spaces.parameters import Float as Float
    from search_spaces.parameters import FloatBy as FloatBy
    from search_spaces.parameters import Int as Int
    from search_spaces.parameters import Parameter as Parameter
    from search_spaces.parameters import RangeTest as RangeTest
    from search_spaces.plain import Scalar as Scalar
    from search_spaces.plain import SpaceError as SpaceError
    from search_spaces.space import SearchSpace as SearchSpace
    from search_spaces.toml import dumps as dumps
    from search_spaces.toml import extend as extend
    from search_spaces.toml import load as load
    from search_spaces.toml import parse as parse
    from search_spaces.toml import preset as preset
    from search_spaces.toml import preset_names as preset_names
    from search_spaces.toml import to_table as to_table

_MODULES = {
    **dict.fromkeys(("Choice", "Constant", "Float", "FloatBy", "Int"), "parameters"),
    **dict.fromkeys(("Parameter", "RangeTest"), "parameters"),
    **dict.fromkeys(("Scalar", "SpaceError"), "plain"),
    "SearchSpace": "space",
    **dict.fromkeys(("dumps", "extend", "load", "parse", "preset", "preset_names", "to_table"), "toml"),
}

__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
