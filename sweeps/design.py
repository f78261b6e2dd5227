"""A planned comparison instead of a search: cells that the user chooses, each trained on the same seeds."""

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

    A file may give `preset`, the name of a model: every parameter that is not in `params` then has the default of that
    model's preset space. The cell stores all of them as its params, so a later preset changes no recorded design.
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
            return rest  # validation refuses params that are no table
        return {**rest, "params": with_defaults(str(given["preset"]), params)}


@dataclass(frozen=True)
class Variant:
    """A cell under a protocol ("" if the design names none), with all of its parameters."""

    cell: str
    protocol: str
    params: Mapping[str, Scalar]


class Design(Section):
    """The cells, the first of which is the reference, and the number of seeds that each is trained on.

    `epochs` or `seconds` limits the training of every cell; with both, every cell is trained under both protocols. A
    function's trial is complete after `max_fidelity` reports, or when the function returns. `test` also scores each
    trained model once on the test set, which is honest if nothing is chosen by the scores, as with baselines.
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
        """Return the names of the protocols in order, or [""] if there is none."""
        return [name for name, given in ((BY_EPOCHS, self.epochs), (BY_CLOCK, self.seconds)) if given] or [""]

    @property
    def variants(self) -> list[Variant]:
        """Return every cell under every protocol; the first is the baseline, trial 0."""
        limits: dict[str, dict[str, Any]] = {
            "": {},
            BY_EPOCHS: {"epochs": self.epochs},
            BY_CLOCK: {"seconds": self.seconds},
        }
        return [Variant(c.name, p, {**c.params, **limits[p]}) for p in self.protocols for c in self.cells]

    @property
    def trials(self) -> int:
        """Return the number of trials of the design."""
        return self.seeds * len(self.variants)

    def place(self, number: int) -> tuple[Variant, int]:
        """Return the variant and the seed's index of a trial; all variants on one seed come before the next seed."""
        replicate, index = divmod(number, len(self.variants))
        return self.variants[index], replicate

    def space(self) -> SearchSpace:
        """Return the parameters of all variants as a space, for the columns of tables."""
        values: dict[str, list[Scalar]] = {}
        for variant in self.variants:
            for name, value in variant.params.items():
                known = values.setdefault(name, [])
                if not any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in known):
                    known.append(value)
        return SearchSpace({name: _parameter(name, found) for name, found in values.items()})


def with_defaults(model: str, changes: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the parameters of a model's preset at their defaults, with some changed.

    Parameters that depend on a changed one and become active have their defaults.

    Args:
        model: Name of the model.
        changes: Values by name. A name that the preset does not know, such as `epochs`, is added.

    Raises:
        SpaceError: There is no preset for this model.
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
