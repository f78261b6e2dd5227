"""TrialConfig: one training run as a frozen value, with every knob that can change its result."""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class ConfigError(ValueError):
    """Raised for a knob of a TrialConfig that breaks a rule; one line names the knob, the rule and the value."""


# The parent that each conditional knob depends on, and the knob's value if it is active and not given:
# knob → (parent, values of the parent that activate the knob, default).
# Sources of the defaults: torch.optim for the betas; 10 degrees keeps a 6 from becoming a 9.
CONDITIONS: dict[str, tuple[str, tuple[str | bool, ...], float]] = {
    "momentum": ("optimizer", ("sgd", "nesterov"), 0.9),
    "beta1": ("optimizer", ("adam", "adamw"), 0.9),
    "beta2": ("optimizer", ("adam", "adamw"), 0.999),
    "dropout_rate": ("dropout", (True,), 0.3),
    "warmup_epochs": ("schedule", ("constant_warmup",), 1.0),
    "step_epochs": ("schedule", ("step",), 3),
    "step_gamma": ("schedule", ("step",), 0.3),
    "rotation_degrees": ("rotation", (True,), 10.0),
    "color_jitter_strength": ("color_jitter", (True,), 0.2),
    "perspective_distortion": ("perspective", (True,), 0.2),
}
DEFAULT_EPOCHS = 9


class TrialConfig(BaseModel):
    """The configuration of one training run.

    Equal configs on equal machines give equal weights, bit for bit.

    A conditional knob (default None) is filled in where it is active. It is refused if it is given where it has no
    effect. Exactly one of `epochs` and `seconds` sets the length of a run: a fixed number of passes over the training
    set, or a fixed wall-clock time of training alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    model: Literal["custom_cnn", "alexnet", "vgg"] = "custom_cnn"
    dataset: Literal["mnist_sample", "mnist", "fashion_mnist", "kmnist", "cifar10"] = "mnist_sample"
    seed: Seed = 0

    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = "nesterov"
    learning_rate: Positive = 0.05  # the schedule's peak
    weight_decay: NonNegative = 5e-4
    momentum: Fraction | None = None
    beta1: Fraction | None = None
    beta2: Fraction | None = None
    batch_size: Count = 128
    label_smoothing: Fraction = 0.0

    schedule: Literal["constant_warmup", "step", "cosine", "one_cycle"] = "one_cycle"
    warmup_epochs: NonNegative | None = None
    step_epochs: Count | None = None
    step_gamma: Annotated[float, Field(gt=0, le=1)] | None = None

    init: Literal["kaiming", "xavier", "orthogonal"] = "kaiming"
    dropout: bool = False
    dropout_rate: OpenFraction | None = None

    rotation: bool = False
    rotation_degrees: Annotated[float, Field(gt=0, le=180)] | None = None  # in each direction
    color_jitter: bool = False
    color_jitter_strength: Annotated[float, Field(gt=0, le=1)] | None = None
    perspective: bool = False
    perspective_distortion: OpenFraction | None = None

    epochs: Count | None = None  # 9 if neither epochs nor seconds is given
    seconds: Positive | None = None
    reports_per_epoch: Count = 1
    first_report: OpenFraction | None = None  # one extra report, after this share of the first epoch
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Count = 1  # of torch; the number of threads changes the bits of a result

    if not TYPE_CHECKING:  # mypy then keeps the signature that pydantic derives from the knobs

        def __init__(self, **knobs: Any) -> None:
            """Check the knobs, and raise ConfigError for the first one that breaks a rule."""
            try:
                super().__init__(**knobs)
            except ValidationError as error:
                raise ConfigError(_explain(error)) from None

    @model_validator(mode="before")
    @classmethod
    def _fill_in_conditional_knobs(cls, given: dict[str, Any]) -> dict[str, Any]:
        knobs = dict(given)
        for knob, (parent, values, default) in CONDITIONS.items():
            parent_value = knobs.get(parent, cls.model_fields[parent].default)
            if parent_value in values:
                if knobs.get(knob) is None:
                    knobs[knob] = default
            elif knobs.get(knob) is not None:
                wanted = " or ".join(repr(value) for value in values)
                raise ValueError(
                    f"{knob}={knobs[knob]!r} has no effect: it needs {parent}={wanted}, "
                    f"but {parent}={parent_value!r}; leave {knob} out"
                )
        if knobs.get("epochs") is None and knobs.get("seconds") is None:
            knobs["epochs"] = DEFAULT_EPOCHS
        return knobs

    @model_validator(mode="after")
    def _rules_between_knobs(self) -> Self:
        if self.epochs is not None and self.seconds is not None:
            raise ValueError(
                f"give epochs or seconds, not both, but got epochs={self.epochs} and seconds={self.seconds:g}"
            )
        if self.optimizer == "nesterov" and self.momentum == 0:
            raise ValueError("momentum must be above 0 with optimizer='nesterov', but got 0: choose 'sgd'")
        return self


def nearest(word: str, names: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the name closest to a word, or a list of all names if none is close."""
    all_names = list(names)
    close = difflib.get_close_matches(word.lower(), all_names, n=1)
    return f", did you mean {close[0]!r}?" if close else f": choose from {', '.join(all_names)}"


def _explain(error: ValidationError) -> str:
    """Describe the first broken rule in one line."""
    first = error.errors()[0]
    knob = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown knob {knob!r}{nearest(knob, TrialConfig.model_fields)}"
    rule = first["msg"].removeprefix("Value error, ")
    if not knob:
        return rule
    got = f"but got {first['input']!r}"
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        choices = get_args(TrialConfig.model_fields[knob].annotation)
        return f"{knob}: unknown choice {first['input']!r}{nearest(first['input'], choices)}"
    return f"{knob}: {rule.replace('Input should', 'must')}, {got}"
