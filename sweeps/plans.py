"""The designs of the study: the baselines of models, and ablations that change one factor at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Choice, Scalar, SearchSpace, SpaceError, preset
from search_spaces.space import hint
from sweeps.design import Cell, with_defaults

REFERENCE = "baseline"

# The ratio of Adam's usual rate, 1e-3, to the usual rate of SGD with momentum, 0.05, is 1 to 50. A rate belongs to its
# optimizer: with the reference's rate, an ablation would only show that the rate does not fit.
_ADAPTIVE = ("adam", "adamw")
_ADAPTIVE_SHARE = 1 / 50

# Levels of the numeric factors; the levels of a choice are its other values.
_LEVELS: Mapping[str, tuple[float, ...]] = {"label_smoothing": (0.1,), "weight_decay": (0.0, 5e-3)}


def design_spec(name: str, cells: Sequence[Cell], training: Mapping[str, Any], **design: Any) -> dict[str, Any]:
    """Return the table of a sweep over cells, with validation accuracy as its metric.

    Args:
        name: Name of the sweep.
        cells: The cells of the design.
        training: The table [training].
        design: Further keys of the design; those that are None are left out.
    """
    given = {key: value for key, value in design.items() if value is not None}
    table = {"cells": [cell.model_dump() for cell in cells], **given}
    return {"name": name, "metric": "validation_accuracy", "training": dict(training), "design": table}


def factors(space: SearchSpace) -> list[str]:
    """Return the names that an ablation of a space can change: its choices, and the numbers with levels here."""
    return [name for name, parameter in space.parameters.items() if isinstance(parameter, Choice) or name in _LEVELS]


def baseline_cells(models: Sequence[str]) -> list[Cell]:
    """Return one cell for each model, with every parameter at the default of the model's preset space."""
    return [Cell(name=model, params=with_defaults(model, {})) for model in dict.fromkeys(models)]


def ablation_cells(model: str, chosen: Sequence[str] | None = None) -> list[Cell]:
    """Return the baseline and one cell for each other level of each factor, with everything else at its default.

    A cell with Adam or AdamW also has its usual learning rate, a 50th of the baseline's.

    Args:
        model: Name of the model.
        chosen: Names of the factors to change; all by default.

    Raises:
        SpaceError: The model or a factor is unknown.
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
