"""A planned comparison in place of a search: cells that differ as one has chosen, each trained on the same seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from search_spaces import Choice, Constant, Parameter, Scalar, SearchSpace, SpaceError, preset, preset_names
from search_spaces.space import hint
from sweeps.sections import Fidelity, Section

BY_EPOCHS, BY_CLOCK = "epochs", "wall-clock"  # the protocols: fixed epochs, fixed seconds of training


class Cell(Section):
    """One configuration under comparison.

    A file may give `preset`, a model's name: every parameter then has the default of that model's preset space, but for
    those in `params`. The cell keeps all of them as its params, so that a later preset changes no recorded design.
    """

    name: Annotated[str, Field(min_length=1)]
    params: dict[str, bool | int | float | str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "preset" not in given:
            return given
        rest = {key: value for key, value in given.items() if key != "preset"}
        params = rest.get("params", {})
        if not isinstance(params, Mapping):
            return rest  # refused as what it is
        return {**rest, "params": with_defaults(str(given["preset"]), params)}


@dataclass(frozen=True)
class Variant:
    """A cell under a protocol ("" where the design names none), with all of its parameters."""

    cell: str
    protocol: str
    params: Mapping[str, Scalar]


class Design(Section):
    """The cells, the first of which is the reference, and on how many seeds each is trained.

    With `epochs` or `seconds` every cell trains so long; with both, every cell is trained under both protocols. A
    function's trial is complete at `max_fidelity` reports, or where it ends by itself. `test` also scores each trained
    model once on the test set: honest where nothing is chosen by it, as with baselines.
    """

    cells: Annotated[tuple[Cell, ...], Field(min_length=1)]
    seeds: Annotated[int, Field(ge=1, strict=True)] = 3
    epochs: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_fidelity: Fidelity | None = None
    test: bool = False

    @model_validator(mode="after")
    def _rules_between_cells(self) -> Self:
        names = [cell.name for cell in self.cells]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"each cell needs a name of its own, but {twice!r} stands twice")
        if self.epochs or self.seconds:
            for cell in self.cells:
                if taken := {"epochs", "seconds"} & cell.params.keys():
                    raise ValueError(f"{taken.pop()} stands in the design and in the cell {cell.name!r}: keep one")
        return self

    @property
    def protocols(self) -> list[str]:
        """The protocols by name, in order."""
        return [name for name, given in ((BY_EPOCHS, self.epochs), (BY_CLOCK, self.seconds)) if given] or [""]

    @property
    def variants(self) -> list[Variant]:
        """Every cell under every protocol; the first is the baseline, trial 0."""
        limits: dict[str, dict[str, Any]] = {
            "": {},
            BY_EPOCHS: {"epochs": self.epochs},
            BY_CLOCK: {"seconds": self.seconds},
        }
        return [Variant(c.name, p, {**c.params, **limits[p]}) for p in self.protocols for c in self.cells]

    @property
    def trials(self) -> int:
        """How many trials the design consists of."""
        return self.seeds * len(self.variants)

    def place(self, number: int) -> tuple[Variant, int]:
        """What trial `number` trains, and on which of the seeds: all variants on the first come before the second."""
        replicate, index = divmod(number, len(self.variants))
        return self.variants[index], replicate

    def space(self) -> SearchSpace:
        """What varies between the variants, for the columns of tables."""
        values: dict[str, list[Scalar]] = {}
        for variant in self.variants:
            for name, value in variant.params.items():
                known = values.setdefault(name, [])
                if not any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in known):
                    known.append(value)
        return SearchSpace({name: _parameter(name, found) for name, found in values.items()})


def with_defaults(model: str, changes: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The parameters of a model's preset at their defaults, with some changed and what hangs on these at its default.

    A change that the preset doesn't know, such as `epochs`, is added. SpaceError for an unknown model.
    """
    if model not in preset_names():
        raise SpaceError(f"no model {model!r}{hint(model, preset_names())}")
    walked = preset(model).walk(lambda name, parameter: changes.get(name, parameter.default))  # type: ignore[arg-type]
    return {"model": model, **walked, **changes}


def _parameter(name: str, values: list[Scalar]) -> Parameter:
    try:
        return Constant(values[0]) if len(values) == 1 else Choice(tuple(values))
    except SpaceError as error:
        raise SpaceError(f"design: cells: {name}: {error}") from None
