"""One experiment from the command line: train a config in this process with progress, store it, and train it again."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.config import ConfigError, TrialConfig
from sweeps.design import with_defaults
from sweeps.errors import SpecError

if TYPE_CHECKING:
    from study.comparison import Replay
    from study.data import Dataset
    from study.measurement import Measurement
    from study.training import Training


def read_config(given: Sequence[str]) -> TrialConfig:
    """The config that a TOML file and KNOB=VALUE words say; SpecError names place, key, rule and value.

    Without a file, what is not given is at the default of the model's preset.
    """
    files = [Path(word) for word in given if "=" not in word]
    knobs = dict(_knob(word) for word in given if "=" in word)
    if len(files) > 1:
        raise SpecError(f"one file at most, but got {', '.join(map(str, files))}: a knob is written KNOB=VALUE")
    model = str(knobs.pop("model", "custom_cnn")) if not files else ""
    table = {**_read(files[0]), **knobs} if files else with_defaults(model, knobs)
    try:
        return TrialConfig(**table)
    except ConfigError as error:
        raise SpecError(f"{files[0] if files else 'knobs'}: {error}") from error


def _knob(word: str) -> tuple[str, Any]:
    """A knob's name and value, which is read as TOML; what is no TOML is a word."""
    name, _, text = word.partition("=")
    try:
        return name, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return name, text


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} can't be read ({getattr(error, 'strerror', error)})") from error
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not valid TOML: {error}") from error
    if "target" in table:
        raise SpecError(f"{path} belongs to a user's function: `sweeps train` trains the study's models")
    return table


def train_one(config: TrialConfig, results: Path, data_dir: Path | None) -> None:
    """Train, show each report, and store the experiment with its curves."""
    from study.data import load
    from study.experiments import store
    from study.figures import training_curves
    from study.reproducibility import environment
    from study.training import Training

    data = load(config.dataset, data_dir)
    training = Training(config, data)
    measurements = []
    with _shown(training) as run:
        for measurement in run:
            print(_line(measurement), flush=True)
            measurements.append(measurement)
    try:
        experiment = store(results, training, measurements, environment(config, data), exit_reason="complete", extra={})
        title = f"{config.model}, {config.optimizer}, {config.dataset}, seed {config.seed}"
        training_curves(measurements, title=title).savefig(experiment.folder / "curves.png")
    except OSError as error:
        raise SpecError(
            f"{results.absolute()} can't be written ({error.strerror}): choose another --results"
        ) from error
    print(f"stored in {experiment.folder}, figure curves.png")


def _line(measurement: "Measurement") -> str:
    v = measurement.values
    return (
        f"epoch {measurement.fidelity:g}: loss {v['train_loss']:.4f} train {v['validation_loss']:.4f} validation, "
        f"accuracy {v['train_accuracy']:.4f} train {v['validation_accuracy']:.4f} validation, "
        f"rate {v['learning_rate']:.2g}, {measurement.seconds:.1f} s"
    )


@contextmanager
def _shown(training: "Training") -> "Iterator[Iterator[Measurement]]":
    """The run's measurements, with a bar that each step moves where a person looks on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("step", total=training.plan.horizon_steps)

        def tick() -> bool:
            bar.update(task, completed=training.step)
            return False

        yield training.run(tick)


def reproduce_one(folder: Path, data_dir: Path | None) -> "Replay":
    """Look at a stored experiment's weights and recorded accuracy, then train it again in this process."""
    from study.data import load
    from study.experiments import load_experiment, replay

    experiment = load_experiment(folder)
    data: Dataset = load(experiment.config.dataset, data_dir)
    found = experiment.evaluate(data, data.validation)["accuracy"]
    stored = experiment.measurements[-1].values["validation_accuracy"]
    verdict = "as recorded" if found == stored else f"recorded was {stored!r}"
    print(f"weights: digest as recorded; validation accuracy {found!r}, {verdict}", flush=True)
    return replay(experiment, data)
