"""A sweep's data, which is loaded once and put where all workers of a node share it."""

from pathlib import Path
from typing import Any

from study.data import EMBEDDED, DataError, load
from sweeps.errors import SpecError
from sweeps.spec import SweepSpec


def stage(spec: SweepSpec, data_dir: Path | None) -> Any:
    """Return a reference to the sweep's Dataset in Ray's object store, or None for a user's function.

    Args:
        spec: The spec of the sweep.
        data_dir: The folder of the data sets, or None for the default one.

    Raises:
        SpecError: The data set can't be loaded.
    """
    if spec.target is not None:
        return None
    import ray

    dataset = spec.trial_config(spec.baseline, 0).dataset
    try:
        if dataset == EMBEDDED:  # NumPy reads it; the others need torchvision, which the driver does without
            return ray.put(load(dataset, data_dir))
        task: Any = ray.remote(load)
        reference = task.options(num_cpus=0, name=f"load {dataset}").remote(dataset, data_dir)
        ray.wait([reference])
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # Caught first, since Ray's error is also an instance of its cause's class, with a traceback as its message.
        raise SpecError(str(error.cause)) from error
    except DataError as error:
        raise SpecError(str(error)) from error
    return reference
