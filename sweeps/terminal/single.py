"""One experiment from the command line: train a config in this process, show each report, store the folder."""

import tomllib
from pathlib import Path
from typing import Any

from sweeps.errors import SpecError


def read_config(path: Path) -> Any:
    """The TrialConfig that a TOML file holds; SpecError names file, key, rule and value."""
    from study.config import ConfigError, TrialConfig

    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} can't be read ({getattr(error, 'strerror', error)})") from error
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path} is not valid TOML: {error}") from error
    if "target" in table:
        raise SpecError(f"{path} belongs to a user's function: `sweeps train` trains the study's models")
    try:
        return TrialConfig(**table)
    except ConfigError as error:
        raise SpecError(f"{path}: {error}") from error


def train_one(path: Path, results: Path, data_dir: Path | None) -> None:
    """Train, show each report, and store the experiment."""
    config = read_config(path)
    from study.data import load
    from study.experiments import store
    from study.figures import training_curves
    from study.reproducibility import environment
    from study.training import Training

    data = load(config.dataset, data_dir)
    training = Training(config, data)
    measurements = []
    for measurement in training.run():
        values = " ".join(f"{name} {value:.4f}" for name, value in measurement.values.items())
        print(f"epoch {measurement.fidelity:g}: {values} ({measurement.seconds:.1f} s)", flush=True)
        measurements.append(measurement)
    experiment = store(results, training, measurements, environment(config, data), exit_reason="complete", extra={})
    title = f"{config.model}, {config.optimizer}, {config.dataset}, seed {config.seed}"
    training_curves(measurements, title=title).savefig(experiment.folder / "curves.png")
    print(f"stored in {experiment.folder}, figure curves.png")
