"""The description of a sweep, read from TOML: training, search space, search, pruning and selection."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from search_spaces import Choice, RangeTest, Scalar, SearchSpace, SpaceError, extend, parse, preset, to_table
from search_spaces.plain import check_name as check_column
from search_spaces.plain import plain
from search_spaces.space import configuration, hint
from study.config import ConfigError, TrialConfig
from study.measurement import METRICS
from sweeps.design import Design
from sweeps.direction import Direction, direction_by_name
from sweeps.errors import SpecError
from sweeps.names import check_name, check_target_name
from sweeps.rules import explain
from sweeps.sections import (
    MOST,
    STAGES,
    Duration,
    Pruning,
    Resources,
    Retries,
    Sampler,
    Section,
    SelectionRule,
    Stage,
    by_name,
    listed,
    selected,
)
from sweeps.spec_files import read_table

LEARNING_RATE = "learning_rate"
DEFAULT_METRIC = "validation_accuracy"
LARGEST_GRID = 100_000
FIRST_RUNG, FIRST_REPORT = 1 / 3, 1.0  # epochs for a model, reports for a function
TIMED_COSTS = ("epoch_seconds", "latency")
COSTS = ("parameters", *TIMED_COSTS)  # of the study's models
IMAGINED_WORKERS = 4  # in a deterministic sweep that gives no concurrency
_SAID_BY_DESIGN = ("space", "trials", "sampler", "start", "warm_start", "pruning", "selection")


class SweepSpec(Section):
    """Everything that determines what a sweep does; equal specs with equal seeds search the same way."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    trials: Annotated[int, Field(ge=1, le=MOST)]
    time: Duration | None = None  # wall-clock of the whole sweep, s
    # Hours of GPUs if a trial has a share of one, otherwise of CPUs.
    device_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    trial_time: Duration | None = None  # wall-clock of one trial of the search, s
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None  # trials at a time; by default as many as fit
    deterministic: bool = False  # same trials, decisions and winner whatever the timing
    metric: str = DEFAULT_METRIC
    direction: Direction  # by default the metric's own, if its name shows it
    # Metrics that differ between runs, such as timings; a replay does not compare them.
    untracked: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    target: Annotated[str | None, BeforeValidator(check_target_name)] = None  # None: the study's models are trained
    training: dict[str, Any] = Field(default_factory=dict)  # knobs of a TrialConfig that don't vary
    space: SearchSpace
    design: Design | None = None  # planned cells instead of a search; implies [space] and `trials`
    sampler: Annotated[Sampler, BeforeValidator(by_name)] = Sampler()
    # Points that are tried first; parameters that a point leaves out have their defaults.
    start: Annotated[tuple[dict[str, bool | int | float | str], ...], BeforeValidator(listed)] = ()
    # Earlier sweeps that the sampler learns from: names, or folders with a '/'.
    warm_start: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    pruning: Annotated[Pruning, BeforeValidator(by_name)] = Pruning()
    resources: Resources = Resources()
    retries: Retries = Retries()
    selection: Annotated[SelectionRule, BeforeValidator(selected)] = SelectionRule()

    @model_validator(mode="before")
    @classmethod
    def _direction_of_the_metric(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping) or fields.get("direction") is not None:
            return fields
        metric = fields.get("metric", DEFAULT_METRIC)
        by_name = direction_by_name(metric) if isinstance(metric, str) else None
        is_refused_anyway = (
            not (isinstance(metric, str) and metric) or not fields.get("target") or fields.keys() - cls.model_fields
        )
        if by_name is None and not is_refused_anyway:
            raise ValueError(
                f"direction: the name of the metric {metric!r} doesn't say which way is better: "
                'give direction = "minimize" or "maximize"'
            )
        return {**fields, "direction": by_name or "maximize"}

    @model_validator(mode="after")
    def _rules_between_keys(self) -> Self:
        check_name(self.name)
        self._check_texts()
        self._check_range_tests()
        self._check_determinism()
        if self.selection.resources is not None and self.device_hours is not None:
            raise ValueError(
                "selection.resources: device_hours counts trials of one kind alone: give `time` in its place"
            )
        if self.pruning.name == "hyperband" and self.max_fidelity is None:
            raise ValueError("hyperband plans its brackets from the full fidelity: give pruning.max_fidelity")
        if self.target is None:
            self._check_training()
        elif self.design and self.design.test:
            raise ValueError("design.test: a function has no test set: leave `test` out where `target` names one")
        elif self.training:
            raise ValueError("[training] belongs to the study's models: leave it out where `target` names a function")
        return self

    @model_validator(mode="after")
    def _rules_of_the_sampler(self) -> Self:
        for number, point in enumerate(self.start, start=1):
            try:
                typed = self.space.typed(point)
                self.space.check({**self.defaults_with(typed), **typed})
            except SpaceError as error:
                raise ValueError(f"start: point {number}: {error}") from None
        if len(self.start) >= self.trials:
            raise ValueError(f"start lists {len(self.start)} points, so trials must be more, but got {self.trials}")
        if twice := next((place for place in self.warm_start if self.warm_start.count(place) > 1), None):
            raise ValueError(f"warm_start lists {twice!r} twice: keep one")
        name = self.sampler.name
        if self.warm_start and name not in ("tpe", "gp"):
            raise ValueError(f"warm_start: the sampler {name!r} learns from nothing: take tpe or gp, or leave it out")
        if name == "grid":
            self._check_grid()
        return self

    def _check_texts(self) -> None:
        """Refuse, before any training, texts that no table can hold and a metric that is excluded from comparison."""
        if self.metric in self.untracked:
            raise ValueError(
                f"untracked: {self.metric!r} is the sweep's metric, which is always compared: leave it out"
            )
        check_column(self.metric, "metric")
        for key in ("untracked", "warm_start"):
            for text in getattr(self, key):
                check_column(text, key)
        if self.target is not None and "checkpoint" in (self.metric, self.selection.cost):
            raise ValueError("a function's checkpoint is no metric: give metric and selection.cost other names")
        if self.selection.cost is not None:
            check_column(self.selection.cost, "selection.cost")
        for cell in self.design.cells if self.design else ():
            check_column(cell.name, "a cell's name")

    def _check_determinism(self) -> None:
        clocks = {name: getattr(self, name) for name in ("time", "device_hours", "trial_time")}
        if self.selection.rule == "within_one_se" and self.selection.cost in TIMED_COSTS and self.target is None:
            clocks["selection.rule"] = self.selection.rule
        protocols = {
            "design.seconds": self.design and self.design.seconds,
            "training.seconds": self.training.get("seconds"),
            "space.seconds": self.space.parameters.get("seconds"),
        }
        for name, given in {**clocks, **protocols}.items():
            if self.deterministic and given is not None:
                raise ValueError(f"deterministic: what a clock ends is never twice the same: leave {name} out")

    def _check_grid(self) -> None:
        try:
            points = self.space.count(LARGEST_GRID)
        except SpaceError as error:
            raise ValueError(f"sampler grid: {error}") from None
        if points > LARGEST_GRID:
            raise ValueError(f"sampler grid: the grid has more than {LARGEST_GRID:,} points: take random or qmc")
        if points < self.trials:
            raise ValueError(f"sampler grid: there are {points} configurations in all, but got trials={self.trials}")

    def _check_range_tests(self) -> None:
        tested = [name for name, parameter in self.space.parameters.items() if isinstance(parameter, RangeTest)]
        if wrong := next((name for name in tested if name != LEARNING_RATE or self.target), None):
            raise ValueError(f"range_test measures the learning_rate of the study's models, not {wrong!r}: give bounds")
        if tested and "model" in self.space.parameters:
            raise ValueError("range_test needs one model, but `model` stands in [space]: put it into [training]")
        optimizers = self.space.parameters.get("optimizer")
        for optimizer in optimizers.values if tested and isinstance(optimizers, Choice) else ():
            self.trial_config(self.defaults_with({"optimizer": optimizer}), seed=0)  # ConfigError if unknown

    def _check_training(self) -> None:
        if self.selection.cost not in (None, *COSTS):
            raise ValueError(
                f"selection.cost: a model has no {self.selection.cost!r}{hint(self.selection.cost, COSTS)}"
            )
        if self.metric not in METRICS:
            raise ValueError(f"metric: the study's models report no {self.metric!r}{hint(self.metric, METRICS)}")
        own = direction_by_name(self.metric)
        if own is None:
            better = ", ".join(metric for metric in METRICS if direction_by_name(metric))
            raise ValueError(f"metric: {self.metric} says nothing about how good a model is: take one of {better}")
        if self.direction != own:
            raise ValueError(
                f"direction: {self.metric} is {own}d: leave direction out or give {own!r}, but got {self.direction!r}"
            )
        for variant in self.design.variants if self.design else ():
            try:
                self.trial_config(variant.params, seed=0)
            except ConfigError as error:
                raise ValueError(f"design: cell {variant.cell!r}: {error}") from None
        knobs = [name for name in TrialConfig.model_fields if name != "seed"]
        for name in (*self.training, *self.space.parameters):
            if name not in knobs:
                raise ValueError(f"{name!r} is no knob of a trial{hint(name, knobs)}")
            if name in self.training and name in self.space.parameters:
                raise ValueError(f"{name!r} stands in [training] and in [space]: keep one")
        if "dataset" in self.space.parameters:
            raise ValueError("a sweep has one data set: put `dataset` into [training]")
        if self.pruning.max_fidelity is not None:
            table = "design" if self.design else "pruning"
            raise ValueError(f"{table}.max_fidelity is for functions: a model's is training.epochs")
        self.trial_config(self.baseline, seed=0)

    @property
    def baseline(self) -> Mapping[str, Scalar]:
        """Return the parameters of trial 0."""
        return self.design.variants[0].params if self.design else self.space.defaults()

    @property
    def starting_points(self) -> list[Mapping[str, Scalar]]:
        """Return the points that are tried before the sampler suggests any: the baseline, then `start`, none twice."""
        if self.design:
            return [self.baseline]
        points = [self.baseline, *(self.defaults_with(self.space.typed(point)) for point in self.start)]
        return list({configuration(point): point for point in points}.values())

    def defaults_with(self, changes: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        """Return the space's defaults with some parameters changed, and those that depend on them at their defaults."""
        return self.space.walk(lambda name, p: changes.get(name, p.default))  # type: ignore[arg-type]

    def trial_config(self, params: Mapping[str, Any], seed: int) -> TrialConfig:
        """Return the frozen configuration of one training run.

        With pruning, its first report is at the first rung if that is below one epoch.

        Args:
            params: The parameters of the trial. They override [training] and the number of threads.
            seed: The seed of the trial.
        """
        knobs: dict[str, Any] = {"threads": max(1, int(self.resources.cpus_per_trial))}
        if self.pruning.name != "none" and self.min_fidelity < 1:
            knobs["first_report"] = self.min_fidelity
        return TrialConfig(**{**knobs, **self.training, **params}, seed=seed)

    @property
    def min_fidelity(self) -> float:
        """Return the fidelity of the first rung."""
        default = FIRST_REPORT if self.target else FIRST_RUNG
        return default if self.pruning.min_fidelity is None else self.pruning.min_fidelity

    @property
    def max_fidelity(self) -> float | None:
        """Return the fidelity at which a trial is complete, or None if only the trial itself knows."""
        return self.pruning.max_fidelity if self.target else self.training.get("epochs", TrialConfig().epochs)

    @property
    def seed_bits(self) -> int:
        """Return the bits of a trial's seed; NumPy, Lightning, transformers and scikit-learn refuse more than 32."""
        return 32 if self.target else 63

    @property
    def fidelity_unit(self) -> str:
        """Return the unit of fidelity."""
        return "reports" if self.target else "epochs"

    def told(self, fidelity: float) -> str:
        """Return a fidelity in words, such as "1 report" or "0.336 epochs"."""
        return f"{fidelity:.3g} {self.fidelity_unit.removesuffix('s') if fidelity == 1 else self.fidelity_unit}"

    @property
    def at_a_time(self) -> int | None:
        """Return the most trials at a time, or None for as many as fit; a deterministic sweep always has a number."""
        return self.concurrency or (IMAGINED_WORKERS if self.deterministic else None)

    def for_stage(self, stage: Stage) -> "SweepSpec":
        """Return the spec for the trials of a stage; runs on fresh seeds may have different resources."""
        own = self.selection.resources
        return self if stage == "search" or own is None else self.model_copy(update={"resources": own})

    @property
    def parts(self) -> tuple[tuple[Stage, ...], ...]:
        """Return the parts of the sweep in order, each a group of stages that share workers."""
        return (STAGES,) if self.selection.resources is None else (STAGES[:1], STAGES[1:])

    @property
    def every_resources(self) -> tuple[Resources, ...]:
        """Return the resources that a trial occupies, for each part."""
        return tuple(self.for_stage(stages[0]).resources for stages in self.parts)

    def devices(self, stage: Stage) -> float:
        """Return the counted devices that a trial occupies: GPUs if those of the search use any, otherwise CPUs."""
        own = self.for_stage(stage).resources
        return own.gpus_per_trial if self.resources.gpus_per_trial else own.cpus_per_trial

    def to_table(self) -> dict[str, Any]:
        """Return the spec as a TOML table that `parse_spec` reads back to an equal spec."""
        if self.design:
            return self.model_dump(exclude=set(_SAID_BY_DESIGN), exclude_none=True)
        table = self.model_dump(exclude={"space"}, exclude_none=True)
        return {**table, "space": to_table(self.space)}

    def to_toml(self) -> str:
        """Return the spec as TOML text."""
        return tomli_w.dumps(self.to_table())

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the spec's canonical JSON, in hex."""
        return hashlib.sha256(json.dumps(self.to_table(), sort_keys=True).encode()).hexdigest()

    def extended(self, more: Mapping[str, float]) -> "SweepSpec":
        """Return the same sweep with amounts added to budgets, by key; a budget that it does not have is skipped."""
        grown = {key: getattr(self, key) + amount for key, amount in more.items() if getattr(self, key) is not None}
        return parse_spec({**self.to_table(), **grown}, "extension")


def parse_spec(table: Mapping[str, Any], source: str) -> SweepSpec:
    """Return the SweepSpec of a TOML table.

    Args:
        table: The table of the spec, with [space] or [design].
        source: Name of the table in error messages.

    Raises:
        SpecError: The table breaks a rule; the message names source, key, rule and value.
    """
    fields = plain(table)
    try:
        if "design" in fields:
            fields |= _fields_of_design(fields, source)
        elif "space" not in fields:
            raise SpecError(f"{source}: the table [space] is missing: say what varies, or give `preset`")
        fields["space"] = _parse_space(fields["space"], source)
        return SweepSpec(**fields)
    except SpaceError as error:
        raise SpecError(str(error)) from error
    except ValidationError as error:
        raise SpecError(explain(error, source, SweepSpec)) from error


def _fields_of_design(fields: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the design and the fields that follow from it: the space, the number of trials, and no pruning."""
    for key in _SAID_BY_DESIGN:
        if key in fields:
            raise SpecError(f"{source}: a [design] says what is trained, and trains it to its end: leave {key!r} out")
    try:
        design = Design.model_validate(fields["design"])
    except ValidationError as error:
        raise SpecError(explain(error, f"{source}: design", Design)) from error
    pruning = Pruning(name="none", max_fidelity=design.max_fidelity)
    return {"design": design, "space": design.space(), "trials": design.trials, "pruning": pruning}


def _parse_space(table: object, source: str) -> SearchSpace:
    if isinstance(table, SearchSpace):
        return table
    if not isinstance(table, Mapping):
        raise SpecError(f"{source}: space: must be a table, but got {table!r}")
    rest = {key: value for key, value in table.items() if key != "preset"}
    if "preset" not in table:
        return parse(rest, f"{source}: space")
    return extend(preset(table["preset"]), rest, f"{source}: space")


def load_spec(spec: "str | Path | Mapping[str, Any] | SweepSpec", **overrides: Any) -> SweepSpec:
    """Return a SweepSpec from any form of a spec, with overrides.

    Args:
        spec: A preset's name, a TOML file, a table or a spec.
        overrides: Values by key; those that are None change nothing. `cpus_per_trial` and `gpus_per_trial` belong to
            [resources], every other override to the top level.

    Raises:
        SpecError: The spec cannot be read or breaks a rule.
    """
    table, source = (spec.to_table(), spec.name) if isinstance(spec, SweepSpec) else read_table(spec)
    given = {key: value for key, value in overrides.items() if value is not None}
    for key in ("cpus_per_trial", "gpus_per_trial"):
        if key in given:
            table["resources"] = {**table.get("resources", {}), key: given.pop(key)}
    return parse_spec({**table, **given}, source)
