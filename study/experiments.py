"""Experiment folders: results/<model>/exp_<n>/ with metrics.json, metadata.json and model.pth (weights only)."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.config import TrialConfig
from study.files import replacing
from study.measurement import Measurement

if TYPE_CHECKING:
    from torch import Tensor, nn

    from study.data import Dataset
    from study.training import Training

SCHEMA_VERSION = 1
_FOLDER = re.compile(r"exp_([1-9][0-9]*)")


class ExperimentError(RuntimeError):
    """An experiment folder can't be read; one line that names it and why."""


@dataclass(frozen=True)
class Experiment:
    """One stored run: its config, its measurements and everything else that metadata.json says."""

    folder: Path
    config: TrialConfig
    measurements: tuple[Measurement, ...]
    metadata: Mapping[str, Any]

    def weights(self) -> "dict[str, Tensor]":
        """The state_dict; ExperimentError if it doesn't fit the recorded digest. Never unpickles code."""
        from study.reproducibility import weights_digest
        from study.tensors import load_tensors

        try:
            weights = load_tensors(self.folder / "model.pth")
        except (OSError, ValueError) as error:
            raise ExperimentError(f"the weights of {self.folder} can't be read: {error}") from error
        digest = weights_digest(weights)
        if digest != self.metadata["digest"]:
            raise ExperimentError(
                f"the weights of {self.folder} are damaged: their digest is {digest}, "
                f"metadata.json says {self.metadata['digest']}"
            )
        return weights

    def model(self, data: "Dataset") -> "nn.Module":
        """The trained model for data of the same shape and classes, on the CPU, in evaluation mode."""
        from study.models import build_model

        _, channels, height, width = data.train.images.shape
        model = build_model(self.config, (channels, height, width), data.classes)
        model.load_state_dict(self.weights())
        return model.eval()


def store(
    results: Path,
    training: "Training",
    measurements: Sequence[Measurement],
    environment: Mapping[str, str],
    *,
    exit_reason: str,
    extra: Mapping[str, Any],
) -> Experiment:
    """Write a finished run as a new folder below results/<model>/; `extra` goes into metadata.json."""
    from study.tensors import save_tensors

    folder = claim(results / training.config.model)
    try:
        save_tensors(folder / "model.pth", training.state_dict())
        metrics = {"schema_version": SCHEMA_VERSION, "measurements": [asdict(m) for m in measurements]}
        _write(folder / "metrics.json", metrics)
        metadata = {
            "schema_version": SCHEMA_VERSION,
            "config": training.config.model_dump(exclude_none=True),
            "seed": training.config.seed,
            "plan": asdict(training.plan),
            "digest": training.digest(),
            "exit_reason": exit_reason,
            "environment": dict(environment),
            "stored": datetime.now(UTC).isoformat(timespec="seconds"),
            **extra,
        }
        # Last, so that a folder with metadata.json is a whole one.
        _write(folder / "metadata.json", metadata)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return load_experiment(folder)


def claim(folder: Path) -> Path:
    """A new exp_<n> below the folder; creating a directory is atomic, so no two processes get the same one."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(m[1]) for entry in folder.iterdir() if (m := _FOLDER.fullmatch(entry.name))]
    number = max(numbers, default=0) + 1
    while True:
        try:
            (folder / f"exp_{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder / f"exp_{number}"


def load_experiment(folder: Path | str) -> Experiment:
    """A stored run; ExperimentError for a folder that is missing, incomplete or of another schema version."""
    folder = Path(folder)
    metadata = _read(folder / "metadata.json")
    metrics = _read(folder / "metrics.json")
    if metadata["schema_version"] != SCHEMA_VERSION:
        raise ExperimentError(
            f"{folder} has schema version {metadata['schema_version']}, this package reads {SCHEMA_VERSION}"
        )
    measurements = tuple(Measurement(**m) for m in metrics["measurements"])
    return Experiment(folder, TrialConfig(**metadata["config"]), measurements, metadata)


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ExperimentError(f"{path.parent} is no whole experiment: {path.name} is missing") from error
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} can't be read: {error}") from error
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """JSON as Python reads and writes it (NaN and Infinity stand as such), under a temporary name first."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True), "utf-8")
