"""A sweep's data, loaded once and put where all workers of a node share it."""

from pathlib import Path
from typing import Any

from study.data import EMBEDDED, DataError, load
from sweeps.errors import SpecError
from sweeps.spec import SweepSpec


def stage(spec: SweepSpec, data_dir: Path | None) -> Any:
    """A reference to the sweep's Dataset in Ray's object store; None for a user's function. SpecError without data."""
    if spec.target is not None:
        return None
    import ray

    dataset = spec.trial_config(spec.baseline, 0).dataset
    try:
        if dataset == EMBEDDED:  # numpy reads it; torchvision, which the driver does without, reads the others
            return ray.put(load(dataset, data_dir))
        task: Any = ray.remote(load)
        reference = task.options(num_cpus=0, name=f"load {dataset}").remote(dataset, data_dir)
        ray.wait([reference])
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # First, since Ray's error is an instance of its cause's class too, with a traceback for a message.
        raise SpecError(str(error.cause)) from error
    except DataError as error:
        raise SpecError(str(error)) from error
    return reference
