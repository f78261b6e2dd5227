"""Experiment folders: results/<model>/exp_<n>/ with metrics.json, metadata.json and model.pth (weights only)."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.comparison import Replay, compare, environment_differences
from study.config import ConfigError, TrialConfig
from study.files import replacing
from study.measurement import Measurement

if TYPE_CHECKING:
    from torch import Tensor, nn

    from study.data import Dataset, Split
    from study.training import Training

SCHEMA_VERSION = 1
EXPORTED = "model.pt2"
SEAL = "sha256"  # the key under which a JSON file holds the digest of its other content
EXPERIMENT, RANGE_TEST = "exp", "lr_range"  # kinds of numbered folders: exp_1, exp_2, …


class ExperimentError(RuntimeError):
    """Raised for an experiment folder that can't be read; one line names the folder and the reason."""


@dataclass(frozen=True)
class Experiment:
    """One stored run: its config, its measurements and everything else in metadata.json."""

    folder: Path
    config: TrialConfig
    measurements: tuple[Measurement, ...]
    metadata: Mapping[str, Any]

    def weights(self) -> "dict[str, Tensor]":
        """Load the state_dict, without ever unpickling code.

        Raises:
            ExperimentError: If the weights can't be read or don't match the recorded digest.
        """
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
        """Load the trained model on the CPU, in evaluation mode.

        Args:
            data: A data set with images of the same shape and with the same classes as the one trained on.

        Raises:
            ExperimentError: If the weights can't be read or don't match the recorded digest.
        """
        from study.models import build_model

        _, channels, height, width = data.train.images.shape
        model = build_model(self.config, (channels, height, width), data.classes)
        model.load_state_dict(self.weights())
        return model.eval()

    def evaluate(self, data: "Dataset", split: "Split") -> dict[str, float]:
        """Return `loss` and `accuracy` on a split.

        They have the same bits as the recorded values if the environment is the same.

        Args:
            data: The data set trained on, since its training images determine how any image is normalized.
            split: The images and labels to evaluate on.

        Raises:
            ExperimentError: As in `training`.
        """
        return self.training(data).evaluate(split)

    def training(self, data: "Dataset") -> "Training":
        """Return a Training that holds the trained model, for evaluating it on images.

        Its optimizer is new, so it can't serve as a checkpoint to resume from.

        Args:
            data: The data set trained on.

        Raises:
            ExperimentError: If `data` is another data set, or if the weights can't be read or don't match their digest.
        """
        from study.training import Plan, Training

        recorded = self.metadata["environment"].get("dataset_fingerprint", data.fingerprint)
        if data.fingerprint != recorded:
            raise ExperimentError(
                f"{self.folder} was trained on data with fingerprint {recorded}, "
                f"but {data.name!r} here has {data.fingerprint}: give the data set that it was trained on"
            )
        # With a plan, a wall-clock run does not time its steps.
        training = Training(self.config, data, plan=Plan(**self.metadata["plan"]))
        training.model.load_state_dict(self.weights())
        return training


def store(
    results: Path,
    training: "Training",
    measurements: Sequence[Measurement],
    environment: Mapping[str, str],
    *,
    exit_reason: str,
    extra: Mapping[str, Any],
    example: "Split | None" = None,
) -> Experiment:
    """Write a run as a new folder below results/<model>/, and return it.

    A failed write leaves no folder behind.

    Args:
        results: The folder below which the run is stored.
        training: The finished run.
        measurements: Its measurements.
        environment: The facts outside the config that can change its bits.
        exit_reason: Why the run ended.
        extra: Further entries for metadata.json.
        example: Images with which the model is also exported, as model.pt2, and on which the export is checked.

    Raises:
        ValueError: If `extra` holds a key that metadata.json already has.
        ExportError: If the exported model classifies an example image differently.
    """
    from study.exporting import export_model
    from study.tensors import save_tensors

    metadata = {
        "schema_version": SCHEMA_VERSION,
        "config": training.config.model_dump(exclude_none=True),
        "seed": training.config.seed,
        "plan": asdict(training.plan),
        "digest": training.digest(),
        "exit_reason": exit_reason,
        "environment": dict(environment),
        "stored": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if taken := sorted(metadata.keys() & extra.keys()):
        raise ValueError(f"extra must not hold {', '.join(taken)}: metadata.json has it already, choose another name")
    metadata |= extra
    folder = claim(results / training.config.model)
    with ExitStack() as undo:  # an exception propagates, and leaves no incomplete folder
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        save_tensors(folder / "model.pth", training.state_dict())
        if example is not None:
            export_model(training, example, folder / EXPORTED)
        metrics = {"schema_version": SCHEMA_VERSION, "measurements": [asdict(m) for m in measurements]}
        _write(folder / "metrics.json", _sealed(metrics))
        # Written last, so a folder with metadata.json is complete.
        _write(folder / "metadata.json", _sealed(metadata))
        undo.pop_all()
    return load_experiment(folder)


def replay(experiment: Experiment, data: "Dataset") -> Replay:
    """Train the run again in this process from its config and seed, and compare every measurement and digest.

    The stored weights are checked first but not used.

    Raises:
        ExperimentError: If the stored weights can't be read or don't match their digest.
    """
    from study.reproducibility import environment
    from study.training import Plan, Training

    experiment.weights()
    here = environment(experiment.config, data)
    differs = environment_differences(experiment.metadata["environment"], here)
    training = Training(experiment.config, data, plan=Plan(**experiment.metadata["plan"]))
    return compare(str(experiment.folder), experiment.measurements, training.run(), differs)


def list_experiments(folder: Path) -> list[Path]:
    """Return the experiment folders of one model, results/<model>/, by number, including incomplete ones."""
    return [folder / f"{EXPERIMENT}_{number}" for number in _numbers(folder, EXPERIMENT)]


def _numbers(folder: Path, kind: str) -> list[int]:
    if not folder.is_dir():
        return []
    name = re.compile(rf"{kind}_([1-9][0-9]*)")
    return sorted(int(found[1]) for entry in folder.iterdir() if (found := name.fullmatch(entry.name)))


def claim(folder: Path, kind: str = EXPERIMENT) -> Path:
    """Create a new folder <kind>_<n> below a folder, and return it.

    Creating a directory is atomic, so no two processes get the same one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = max(_numbers(folder, kind), default=0) + 1
    while True:
        try:
            (folder / f"{kind}_{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder / f"{kind}_{number}"


def load_experiment(folder: Path | str) -> Experiment:
    """Load a stored run.

    Raises:
        ExperimentError: If the folder is missing or incomplete, was changed after it was written, holds another run's
            weights, or has another schema version.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ExperimentError(f"there is no experiment in {folder}: the folder is missing")
    # Read first, since it was written last.
    metadata = _read(folder / "metadata.json")
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise ExperimentError(
            f"{folder} has schema version {metadata.get('schema_version')}, this package reads {SCHEMA_VERSION}"
        )
    metrics = _read(folder / "metrics.json")
    _unseal(folder / "metadata.json", metadata)
    _unseal(folder / "metrics.json", metrics)
    try:
        measurements = tuple(Measurement(**m) for m in metrics["measurements"])
        config = TrialConfig(**metadata["config"])
        last = measurements[-1].digest if measurements else None
        ends_as_measured = last in (None, metadata["digest"])
        _ = metadata["plan"], metadata["environment"]
    except (ConfigError, KeyError, TypeError) as error:
        raise ExperimentError(f"{folder} is no experiment of this package: {error!r}") from error
    if not ends_as_measured:
        raise ExperimentError(
            f"{folder} holds another run's weights: metadata.json says digest {metadata['digest']}, "
            f"the last measurement {last}"
        )
    return Experiment(folder, config, measurements, metadata)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ExperimentError(
            f"{path.parent} is no whole experiment: {path.name} is missing, so its writer was stopped "
            "or is still at work: if it was stopped, store the run again"
        ) from error
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise ExperimentError(f"{path} must hold a JSON object, but holds a {type(content).__name__}")
    return content


def _unseal(path: Path, content: dict[str, Any]) -> None:
    """Remove the seal, and raise ExperimentError if the content does not match it."""
    recorded = content.pop(SEAL, None)
    if recorded != (digest := _digest(content)):
        raise ExperimentError(
            f"{path} was changed after it was written: what it holds has digest {digest}, but it says {recorded}: "
            "take the change back, or store the run again"
        )


def _sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    # Passed through JSON once, so the seal covers exactly the values that a reader sees.
    return {**content, SEAL: _digest(json.loads(json.dumps(content)))}


def _digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the canonical JSON, in hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON in Python's dialect (with NaN and Infinity), under a temporary name first."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True), "utf-8")
