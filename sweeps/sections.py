"""The frozen tables of a spec, each with the rules between its own keys."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Stage = Literal["search", "choice", "publication"]
MOST = 1_000_000_000  # the upper limit of all counts
STAGES: tuple[Stage, ...] = get_args(Stage)  # in the order of a sweep

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def parse_duration(value: object) -> object:
    """Return a duration in seconds.

    Args:
        value: A number of seconds, or text like "90s", "10m" or "1h30m".

    Returns:
        The seconds. A value that is no text is returned unchanged, for the caller to check.

    Raises:
        ValueError: The value is a bool or a text of another form.
    """
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
    """Return a table; a text becomes a table with this name."""
    return {"name": value} if isinstance(value, str) else value


def listed(value: object) -> object:
    """Return a list; a text or table without brackets becomes a list of one."""
    return [value] if isinstance(value, str | Mapping) else value


class Sampler(Section):
    """The way in which parameters are suggested."""

    name: Literal["tpe", "gp", "random", "qmc", "grid"] = "tpe"


class Pruning(Section):
    """The rules for stopping trials early; fidelity is epochs over the training set, or reports of a function."""

    name: Literal["asha", "hyperband", "median", "none"] = "asha"
    variant: Literal["promote", "stop"] = "promote"
    reduction_factor: Annotated[int, Field(ge=2, le=MOST)] = 4  # of asha and hyperband
    min_fidelity: Fidelity | None = None  # first rung; by default a third of an epoch, or a function's first report
    max_fidelity: Fidelity | None = None  # a trial that reaches it is complete

    @model_validator(mode="after")
    def _rungs_below_the_end(self) -> Self:
        first, full = self.min_fidelity, self.max_fidelity
        if first is not None and full is not None and first > full:
            raise ValueError(f"min_fidelity must be at most max_fidelity={full:g}, but got {first:g}")
        return self


class Resources(Section):
    """The resources that one trial occupies; trials with fractions of a GPU share it."""

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
        """Return whether this needs no GPU but `others` does, so nodes with a GPU are left to the others."""
        return not self.gpus_per_trial and others.gpus_per_trial > 0


class Retries(Section):
    """The handling of trials whose worker died or hung, or that raised an exception."""

    lost: Annotated[int, Field(ge=0, le=MOST)] = 2  # times that a trial continues after its worker died or hung
    failed: Annotated[int, Field(ge=0, le=MOST)] = 0  # times that a trial that raised is retried, from its checkpoint
    wait: Duration = 1.0  # s before the first continuation; doubled each further time
    report_timeout: Duration = 3600.0  # s of silence after which a worker counts as hung and is killed


_NOTHING = {"candidates": 0, "seeds": 0, "published_seeds": 0}


def selected(value: object) -> object:
    """Return the table of a selection; "none" becomes a table that trains nothing on fresh seeds."""
    if isinstance(value, str) and value != "none":
        raise ValueError('a selection is a table, or "none"')
    return _NOTHING if value == "none" else value


class SelectionRule(Section):
    """The choice of the final model: the best candidates and the baseline race on fresh seeds.

    The winner and the baseline are published on further seeds. Without candidates or seeds, nothing is chosen on fresh
    seeds, and the best trial of the search wins. Without published seeds, the winner is not confirmed: only the values
    that chose it are known.
    """

    candidates: Annotated[int, Field(ge=0, le=MOST)] = 5
    seeds: Annotated[int, Field(ge=0, le=1000)] = 5  # fresh seeds that choose, common to all candidates
    published_seeds: Annotated[int, Field(ge=0, le=MOST)] = 7  # further seeds, of winner and baseline
    racing: bool = True  # a candidate that can no longer win gets no further seed
    rule: Literal["best", "within_one_se"] = "best"  # or the cheapest within one standard error of the best
    cost: str | None = None  # parameters, epoch_seconds or latency; for a function, one of its metrics
    time_share: Annotated[float, Field(ge=0, lt=1)] = 0.4  # at most this share of a budget is held back from the search
    resources: Resources | None = None  # of a run on a fresh seed, if not those of the search

    @property
    def races(self) -> bool:
        """Return whether candidates can be raced out; they cannot if a slightly worse one may win by its cost."""
        return self.racing and self.rule == "best"

    @property
    def chooses(self) -> bool:
        """Return whether fresh seeds choose the winner."""
        return self.candidates > 0 and self.seeds > 0

    @property
    def trainings(self) -> int:
        """Return the largest number of trainings on fresh seeds that the selection takes."""
        return (self.candidates + 1) * self.seeds * self.chooses + 2 * self.published_seeds

    @model_validator(mode="after")
    def _a_rule_that_weighs_costs_has_one(self) -> Self:
        if self.rule == "within_one_se" and self.cost is None:
            raise ValueError("rule within_one_se takes the cheapest: give selection.cost, such as parameters")
        if self.rule == "within_one_se" and self.chooses and self.seeds < 2:
            raise ValueError("rule within_one_se needs selection.seeds of 2 or more: one seed has no standard error")
        return self
