"""The Python face: run, resume and load a sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.execution.targets import Function, check_function, function_name
from sweeps.result import Result
from sweeps.running import go_on, new_folder, start
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder
from sweeps.terminal.progress import Form

DEFAULT_RESULTS = Path("results")


def run(
    spec: str | Path | Mapping[str, Any] | SweepSpec,
    *,
    target: Function | None = None,
    results: str | Path = DEFAULT_RESULTS,
    name: str | None = None,
    trials: int | None = None,
    time: str | float | None = None,
    seed: int | None = None,
    data_dir: str | Path | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    progress: Form = "auto",
    verbose: bool = False,
) -> Result:
    """Run a sweep to its end and give its result.

    spec: a preset's name, a TOML file, a table like such a file, or a SweepSpec. target: a generator function of
    (params, seed) or (params, seed, checkpoint) that yields dicts of metrics, instead of the study's models. time:
    wall-clock of the sweep, seconds or like "10m". What is given here wins over the spec.

    Uses the Ray that this process has started, else starts one for the sweep. Needs no main guard. Raises SweepError
    (see sweeps.errors) with one line that says what to do.
    """
    given = None if target is None else function_name(check_function(target))
    loaded = load_spec(
        spec,
        name=name,
        trials=trials,
        time=time,
        seed=seed,
        target=given,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
    )
    folder, named = new_folder(Path(results), loaded, name_was_given=name is not None)
    start(named, folder, target, _path(data_dir), progress, verbose=verbose)
    return Result(folder, target)


def resume(
    name: str,
    *,
    target: Function | None = None,
    results: str | Path = DEFAULT_RESULTS,
    data_dir: str | Path | None = None,
    progress: Form = "auto",
    verbose: bool = False,
) -> Result:
    """Go on with an interrupted sweep; every trial that is not ended continues under its own number.

    target: the function of a sweep whose function was defined in a script.
    """
    folder = SweepFolder(Path(results), name).require()
    go_on(folder, target, _path(data_dir), progress, verbose=verbose)
    return Result(folder, target)


def load(name: str, *, target: Function | None = None, results: str | Path = DEFAULT_RESULTS) -> Result:
    """The result of a sweep as it stands, also of one that is running."""
    return Result(SweepFolder(Path(results), name), target)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given).absolute()
