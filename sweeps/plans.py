"""The designs that a study asks for: the baselines of models, and ablations that change one factor at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Choice, Scalar, SearchSpace, SpaceError, preset
from search_spaces.space import hint
from sweeps.design import Cell, with_defaults

REFERENCE = "baseline"

# Adam's usual rate of 1e-3 stands to the usual rate of SGD with momentum, 0.05, as 1 to 50. A rate belongs to its
# optimizer: the reference's would not compare optimizers but show that it doesn't fit.
_ADAPTIVE = ("adam", "adamw")
_ADAPTIVE_SHARE = 1 / 50

# Levels of the factors that are numbers; those of a choice are its other values.
_LEVELS: Mapping[str, tuple[float, ...]] = {"label_smoothing": (0.1,), "weight_decay": (0.0, 5e-3)}


def design_spec(name: str, cells: Sequence[Cell], training: Mapping[str, Any], **design: Any) -> dict[str, Any]:
    """The table of a sweep over cells; options of the design that are None are left out."""
    given = {key: value for key, value in design.items() if value is not None}
    table = {"cells": [cell.model_dump() for cell in cells], **given}
    return {"name": name, "metric": "validation_accuracy", "training": dict(training), "design": table}


def factors(space: SearchSpace) -> list[str]:
    """What an ablation of a space can change: its choices, and the numbers that have levels here."""
    return [name for name, parameter in space.parameters.items() if isinstance(parameter, Choice) or name in _LEVELS]


def baseline_cells(models: Sequence[str]) -> list[Cell]:
    """One cell for each model: every parameter at the default of the model's preset space."""
    return [Cell(name=model, params=with_defaults(model, {})) for model in dict.fromkeys(models)]


def ablation_cells(model: str, chosen: Sequence[str] | None = None) -> list[Cell]:
    """The baseline, and one cell for each other level of each factor, all else at its default.

    SpaceError for an unknown model or factor.
    """
    cells = [Cell(name=REFERENCE, params=with_defaults(model, {}))]
    space = preset(model)
    known = factors(space)
    for factor in known if chosen is None else dict.fromkeys(chosen):
        if factor not in known:
            raise SpaceError(f"no factor {factor!r} of {model}{hint(factor, known)}")
        for level in _levels(space, factor):
            params = with_defaults(model, {factor: level, **_rate(space, factor, level)})
            cells.append(Cell(name=f"{factor}={_in_words(level)}", params=params))
    return cells


def _levels(space: SearchSpace, factor: str) -> list[Scalar]:
    parameter = space.parameters[factor]
    if isinstance(parameter, Choice):
        return [value for value in parameter.values if value != parameter.default]
    return [level for level in _LEVELS[factor] if level != space.defaults()[factor]]


def _rate(space: SearchSpace, factor: str, level: Scalar) -> dict[str, Any]:
    if factor != "optimizer" or level not in _ADAPTIVE:
        return {}
    return {"learning_rate": float(space.defaults()["learning_rate"]) * _ADAPTIVE_SHARE}


def _in_words(level: Scalar) -> str:
    if isinstance(level, bool):
        return "on" if level else "off"
    return f"{level:g}" if isinstance(level, float) else str(level)
