"""Training of one experiment: config, data, models, training, reproducibility and experiment folders.

Names are imported on first use, so importing the package does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.comparison import Replay as Replay
    from study.config import ConfigError as ConfigError
    from study.config import TrialConfig as TrialConfig
    from study.data import DataError as DataError
    from study.data import Dataset as Dataset
    from study.data import Split as Split
    from study.data import load as load
    from study.data import load_test as load_test
    from study.experiments import Experiment as Experiment
    from study.experiments import ExperimentError as ExperimentError
    from study.experiments import load_experiment as load_experiment
    from study.experiments import replay as replay
    from study.experiments import store as store
    from study.layers import LayerStatistics as LayerStatistics
    from study.layers import layer_statistics as layer_statistics
    from study.measurement import Measurement as Measurement
    from study.models import build_model as build_model
    from study.models import parameter_count as parameter_count
    from study.panel import Panel as Panel
    from study.panel import PanelError as PanelError
    from study.predictions import Predictions as Predictions
    from study.predictions import predict as predict
    from study.range_test import LrRange as LrRange
    from study.range_test import RangeTestError as RangeTestError
    from study.range_test import lr_range as lr_range
    from study.reproducibility import environment as environment
    from study.reproducibility import prepare_process as prepare_process
    from study.reproducibility import weights_digest as weights_digest
    from study.seeds import derive_seed as derive_seed
    from study.training import CheckpointError as CheckpointError
    from study.training import Plan as Plan
    from study.training import Training as Training
    from study.training import train as train

_MODULES = {
    "Replay": "comparison",
    "ConfigError": "config",
    "TrialConfig": "config",
    "DataError": "data",
    "Dataset": "data",
    "Split": "data",
    "load": "data",
    "load_test": "data",
    "Experiment": "experiments",
    "ExperimentError": "experiments",
    "load_experiment": "experiments",
    "replay": "experiments",
    "store": "experiments",
    "LayerStatistics": "layers",
    "layer_statistics": "layers",
    "Measurement": "measurement",
    "build_model": "models",
    "parameter_count": "models",
    "Panel": "panel",
    "PanelError": "panel",
    "Predictions": "predictions",
    "predict": "predictions",
    "LrRange": "range_test",
    "RangeTestError": "range_test",
    "lr_range": "range_test",
    "environment": "reproducibility",
    "prepare_process": "reproducibility",
    "weights_digest": "reproducibility",
    "derive_seed": "seeds",
    "CheckpointError": "training",
    "Plan": "training",
    "Training": "training",
    "train": "training",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
