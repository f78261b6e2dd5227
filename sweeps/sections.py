"""The frozen tables that a spec is made of, each with the rules among its own keys."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Stage = Literal["search", "choice", "publication"]
MOST = 1_000_000_000  # of whatever is counted
STAGES: tuple[Stage, ...] = get_args(Stage)  # in their order

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def parse_duration(value: object) -> object:
    """Seconds from 90, "90s", "10m" or "1h30m"; anything else is given back for the caller to refuse."""
    if isinstance(value, bool):
        raise ValueError("a duration is written like 90s, 10m or 1h30m")
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match and any(match.groups()):
            hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return hours * 3600 + minutes * 60 + seconds
        raise ValueError("a duration is written like 90s, 10m or 1h30m")
    return value


Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen table that refuses keys it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_is_a_bool(cls, value: object, about: ValidationInfo) -> object:
        kind = cls.model_fields[about.field_name or ""].annotation
        if isinstance(value, bool) and kind in (int, float, int | None, float | None):
            raise ValueError("must be a number")
        return value


Fidelity = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def by_name(value: object) -> object:
    """A table that is written as its name alone."""
    return {"name": value} if isinstance(value, str) else value


def listed(value: object) -> object:
    """A list of one that is written without its brackets."""
    return [value] if isinstance(value, str | Mapping) else value


class Sampler(Section):
    """How parameters are suggested."""

    name: Literal["tpe", "gp", "random", "qmc", "grid"] = "tpe"


class Pruning(Section):
    """When a trial is stopped early; fidelity is epochs of the training set seen, or reports of a function."""

    name: Literal["asha", "hyperband", "median", "none"] = "asha"
    variant: Literal["promote", "stop"] = "promote"
    reduction_factor: Annotated[int, Field(ge=2, le=MOST)] = 4  # of asha and hyperband
    min_fidelity: Fidelity | None = None  # the first rung; a third of an epoch, or a function's first report
    max_fidelity: Fidelity | None = None  # a trial that reaches it is complete

    @model_validator(mode="after")
    def _rungs_below_the_end(self) -> Self:
        first, full = self.min_fidelity, self.max_fidelity
        if first is not None and full is not None and first > full:
            raise ValueError(f"min_fidelity must be at most max_fidelity={full:g}, but got {first:g}")
        return self


class Resources(Section):
    """What one trial occupies; fractions of a GPU share it."""

    cpus_per_trial: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    gpus_per_trial: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    accelerator_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")] | None = None  # a GPU model: A100, L4

    @model_validator(mode="after")
    def _whole_gpus_above_one(self) -> Self:
        if self.gpus_per_trial > 1 and self.gpus_per_trial != int(self.gpus_per_trial):
            raise ValueError("gpus_per_trial above 1 must be a whole number")
        if self.cpus_per_trial == 0 and self.gpus_per_trial == 0:
            raise ValueError("a trial needs a share of a CPU or of a GPU")
        if self.accelerator_type is not None and self.gpus_per_trial == 0:
            raise ValueError("accelerator_type is a GPU's model: give gpus_per_trial too")
        return self

    def spares(self, others: "Resources") -> bool:
        """Whether this asks for no GPU where others do, to which nodes with one are then left."""
        return not self.gpus_per_trial and others.gpus_per_trial > 0


class Retries(Section):
    """What happens to a trial whose worker died or hung, or that raised an exception."""

    lost: Annotated[int, Field(ge=0, le=MOST)] = 2  # how often it goes on after its worker died or hung
    failed: Annotated[int, Field(ge=0, le=MOST)] = 0  # how often one that raised is tried again, from its checkpoint
    wait: Duration = 1.0  # before it goes on for the first time, s; doubled each further time
    report_timeout: Duration = 3600.0  # without a word for so long, s, a worker is taken as hung and is killed


_NOTHING = {"candidates": 0, "seeds": 0, "published_seeds": 0}


def selected(value: object) -> object:
    """Return the table of a selection that is written as "none"."""
    if isinstance(value, str) and value != "none":
        raise ValueError('a selection is a table, or "none"')
    return _NOTHING if value == "none" else value


class SelectionRule(Section):
    """How the final model is chosen: the best candidates and the baseline race on fresh seeds, further ones publish.

    Without candidates or without seeds nothing is chosen on fresh seeds: the best of the search wins. Without published
    seeds the winner is not confirmed: all that is known of it are the values that chose it.
    """

    candidates: Annotated[int, Field(ge=0, le=MOST)] = 5
    seeds: Annotated[int, Field(ge=0, le=1000)] = 5  # fresh, common to all candidates; they choose
    published_seeds: Annotated[int, Field(ge=0, le=MOST)] = 7  # further ones, of winner and baseline
    racing: bool = True  # a candidate that can't win any more gets no further seed
    rule: Literal["best", "within_one_se"] = "best"  # or the cheapest within one standard error of the best
    cost: str | None = None  # parameters, epoch_seconds or latency; a function: one of its metrics
    time_share: Annotated[float, Field(ge=0, lt=1)] = 0.4  # the most of a budget that is held back from the search
    resources: Resources | None = None  # what a run on a fresh seed occupies, where that is not what the search's does

    @property
    def races(self) -> bool:
        """Whether candidates are raced out; not where one that is a little worse may win for its cost."""
        return self.racing and self.rule == "best"

    @property
    def chooses(self) -> bool:
        """Whether fresh seeds choose the winner."""
        return self.candidates > 0 and self.seeds > 0

    @property
    def trainings(self) -> int:
        """How many trainings on fresh seeds it takes at most."""
        return (self.candidates + 1) * self.seeds * self.chooses + 2 * self.published_seeds

    @model_validator(mode="after")
    def _a_rule_that_weighs_costs_has_one(self) -> Self:
        if self.rule == "within_one_se" and self.cost is None:
            raise ValueError("rule within_one_se takes the cheapest: give selection.cost, such as parameters")
        if self.rule == "within_one_se" and self.chooses and self.seeds < 2:
            raise ValueError("rule within_one_se needs selection.seeds of 2 or more: one seed has no standard error")
        return self
