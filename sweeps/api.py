"""The Python API: functions to run, resume, load and compare sweeps."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.config import DEFAULT_EPOCHS
from study.data import EMBEDDED
from sweeps.comparison import Comparison
from sweeps.errors import SpecError
from sweeps.execution.functions import Function, check_function, function_name
from sweeps.names import as_path
from sweeps.plans import ablation_cells, baseline_cells, design_spec
from sweeps.result import Result, concluded
from sweeps.returning import how_to_continue
from sweeps.running import go_on, is_taken, new_folder, recorded_data_dir, start
from sweeps.search.comparing import check_named
from sweeps.search.extension import Changes
from sweeps.search.verification import Verification
from sweeps.search.verification import verify as search_verification
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.places import place_of
from sweeps.terminal.screen import Form

if TYPE_CHECKING:
    from sweeps.store.salvage import Saved

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
    selection: str | Mapping[str, Any] | None = None,
    resume: bool = False,
    ledger: str | None = None,
    progress: Form = "auto",
    verbose: bool = False,
    profile: bool = False,
) -> Result:
    """Run a sweep to its end and return its result.

    Arguments that are given override the spec. If this process has started Ray already, the sweep uses it; otherwise
    Ray is started for the sweep. Scripts need no main guard.

    Args:
        spec: A preset's name, a TOML file, a table with the keys of that file, or a SweepSpec.
        target: A generator function of (params, seed) or (params, seed, checkpoint) that yields dicts of metrics. It is
            trained instead of the study's models.
        results: The folder, or s3://BUCKET/FOLDER, that holds everything that sweeps write.
        name: Name of the sweep, which must be free. Without it the spec's name is used, with -2, -3, … if it is taken.
        trials: Number of trials to search.
        time: Wall-clock time of the whole sweep, in seconds or like "10m".
        seed: The seed from which all others derive.
        data_dir: Folder where full data sets are, or are downloaded to.
        cpus_per_trial: CPUs that a trial occupies; may be a fraction.
        gpus_per_trial: GPUs that a trial occupies; trials with fractions share one.
        selection: The table [selection], or "none": the best trial of the search then wins, without confirmation.
        resume: Continue the sweep of this name if there is one, so a script can be run again. The spec may differ from
            the recorded one only by more trials, time, device_hours or trial_time.
        ledger: URL of a PostgreSQL database, postgresql://user@host/database, to hold the ledger instead of a SQLite
            file in the sweep's folder. The environment variable SWEEPS_LEDGER by default.
        progress: Form of the progress display: "auto", "json" or "none".
        verbose: Print a line for every report, and Ray's own logs.
        profile: Report at the end where the time went, and draw it as profile.png.

    Returns:
        The result, read from the ledger.

    Raises:
        OutcomeError: No trial survived, or a design is incomplete; its `result` has everything that was tried.
        SweepError: Anything else went wrong (see sweeps.errors); the message is one line that says what to do.
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
        selection=selection,
    )
    there, place = SweepFolder(Path(results), loaded.name), _path(data_dir)
    if resume and is_taken(there, ledger):
        same = Changes(wanted=loaded)
        go_on(there, target, place, progress, verbose=verbose, changes=same, ledger_url=ledger, profiled=profile)
        return concluded(Result(there, target, ledger))
    folder, named = new_folder(Path(results), loaded, name_was_given=name is not None, ledger_url=ledger)
    note = "" if named.name == loaded.name else f"{loaded.name!r} is taken: this sweep is {named.name!r}"
    start(named, folder, target, place, progress, verbose=verbose, note=note, ledger_url=ledger, profiled=profile)
    return concluded(Result(folder, target, ledger))


def baseline(
    models: str | Sequence[str] = ("custom_cnn",),
    *,
    data: str = EMBEDDED,
    seeds: int = 3,
    epochs: int | None = None,
    seconds: float | None = None,
    test: bool = True,
    name: str | None = None,
    seed: int = 0,
    **options: Any,
) -> Result:
    """Train each model at the defaults of its preset, on the same seeds.

    Args:
        models: Names of models, or one name.
        data: Name of the data set.
        seeds: Number of seeds that each model is trained on.
        epochs: Passes over the training set. With both limits, each model is trained under both protocols; with
            neither, for 9 epochs.
        seconds: Seconds of training.
        test: Score each trained model once on the test set, and store it as an experiment.
        name: Name of the sweep; by default "baseline", with -2, -3, … if it is taken.
        seed: The seed from which all others derive.
        options: Further arguments of `run`.

    Returns:
        The result of the design; see `Result.cells`.

    Raises:
        SpaceError: A model is unknown.
    """
    design = {"seeds": seeds, "epochs": _epochs(epochs, seconds), "seconds": seconds, "test": test}
    table = design_spec("baseline", baseline_cells(_listed(models)), {"dataset": data}, **design)
    return run(table, name=name, seed=seed, **options)


def ablate(
    model: str = "custom_cnn",
    *,
    factors: str | Sequence[str] | None = None,
    data: str = EMBEDDED,
    seeds: int = 3,
    epochs: int | None = None,
    seconds: float | None = None,
    name: str | None = None,
    seed: int = 0,
    **options: Any,
) -> Result:
    """Change one factor of a model's baseline at a time, and train each cell on the same seeds.

    Differences are measured on validation data and paired by seed.

    Args:
        model: Name of the model.
        factors: Names of the factors to change, or one name; all by default.
        data: Name of the data set.
        seeds: Number of seeds that each cell is trained on.
        epochs: Passes over the training set. With both limits, each cell is trained under both protocols; with neither,
            for 9 epochs.
        seconds: Seconds of training.
        name: Name of the sweep; by default "ablation-" and the model, with -2, -3, … if it is taken.
        seed: The seed from which all others derive.
        options: Further arguments of `run`.

    Returns:
        The result of the design; see `Result.cells`.

    Raises:
        SpaceError: The model or a factor is unknown.
    """
    design = {"seeds": seeds, "epochs": _epochs(epochs, seconds), "seconds": seconds}
    table = design_spec(
        f"ablation-{model}",
        ablation_cells(model, None if factors is None else _listed(factors)),
        {"dataset": data},
        **design,
    )
    return run(table, name=name, seed=seed, **options)


def ablation_path(
    name: str, *, seeds: int = 3, target: Function | None = None, results: str | Path = DEFAULT_RESULTS, **options: Any
) -> Result:
    """Walk from a sweep's baseline to its winner, one change after another, each cell on the same seeds.

    The walk is a design named NAME-path. Afterwards, `sweeps explain` shows the gain of each change.

    Args:
        name: Name of the sweep.
        seeds: Number of seeds that each cell is trained on.
        target: The function of the sweep, if it was defined in a script.
        results: The folder that holds the sweep.
        options: Further arguments of `run`.

    Returns:
        The result of the design NAME-path.

    Raises:
        SpecError: The sweep is a design or has no winner, the winner is the baseline, or NAME-path exists already and
            `resume` is not given.
    """
    from sweeps.search.path import path_table  # imported late: only this needs Optuna

    found = load(name, target=target, results=results, ledger=options.get("ledger"))
    table = path_table(found.spec, found.history, seeds)
    if (there := found.walked) is not None and not options.get("resume"):
        raise SpecError(
            f"the path of {name!r} is there already, as the sweep {there.name!r}: "
            f"{how_to_continue(there.spec, there.folder.home)}; `{found.folder.command('explain')}` shows it; "
            f"to walk it again remove {there.folder.shown}"
        )
    options["data_dir"] = options.get("data_dir") or recorded_data_dir(found.history)
    return run(table, name=table["name"], target=target, results=results, **options)


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _epochs(epochs: int | None, seconds: float | None) -> int | None:
    return DEFAULT_EPOCHS if epochs is None and seconds is None else epochs


def resume(
    name: str,
    *,
    target: Function | None = None,
    results: str | Path = DEFAULT_RESULTS,
    trials: int | None = None,
    time: str | float | None = None,
    device_hours: float | None = None,
    trial_time: str | float | None = None,
    concurrency: int | None = None,
    retry_failed: bool = False,
    data_dir: str | Path | None = None,
    ledger: str | None = None,
    progress: Form = "auto",
    verbose: bool = False,
    profile: bool = False,
) -> Result:
    """Resume an interrupted sweep, or extend one; every trial that has not ended continues under its own number.

    The sweep may be extended whether it is over or not. Trials that it left paused or cut may then continue.

    Args:
        name: Name of the sweep.
        target: The function of the sweep, if it was defined in a script.
        results: The folder that holds the sweep.
        trials: Trials to add to the budget.
        time: Wall-clock time to add to the budget, in seconds or like "10m".
        device_hours: Device-hours to add to the budget.
        trial_time: Wall-clock time to add to the budget of each trial, in seconds or like "10m".
        concurrency: The most trials at a time, until the sweep stops again.
        retry_failed: Run failed trials again, once their code is fixed, from their checkpoints if they have one.
        data_dir: Folder of full data sets; that of the last session by default.
        ledger: URL of a ledger in PostgreSQL. The sweep's folder remembers it without its password.
        progress: Form of the progress display: "auto", "json" or "none".
        verbose: Print a line for every report, and Ray's own logs.
        profile: Report at the end where the time of this session went, and draw it as profile.png.

    Returns:
        The result, read from the ledger.

    Raises:
        OutcomeError: No trial survived, or a design is incomplete; its `result` has everything that was tried.
        SweepError: Anything else went wrong (see sweeps.errors); the message is one line that says what to do.
    """
    folder = SweepFolder(Path(results), name)
    more = {"trials": trials, "time": time, "device_hours": device_hours, "trial_time": trial_time}
    go_on(
        folder,
        target,
        _path(data_dir),
        progress,
        verbose=verbose,
        changes=Changes(more=more, retry_failed=retry_failed),
        at_most=concurrency,
        ledger_url=ledger,
        profiled=profile,
    )
    return concluded(Result(folder, target, ledger))


def select(
    name: str,
    *,
    candidates: int | None = None,
    seeds: int | None = None,
    published_seeds: int | None = None,
    rule: str | None = None,
    cost: str | None = None,
    target: Function | None = None,
    results: str | Path = DEFAULT_RESULTS,
    data_dir: str | Path | None = None,
    ledger: str | None = None,
    progress: Form = "auto",
    verbose: bool = False,
) -> Result:
    """End a sweep's search at its present state and choose its winner, or choose it again by another rule.

    Runs on fresh seeds that exist already count. A later `resume` with more trials or time opens the search again.

    Args:
        name: Name of the sweep.
        candidates: New value of the key in the spec's [selection]; like the next four, unchanged by default.
        seeds: See `candidates`.
        published_seeds: See `candidates`.
        rule: See `candidates`.
        cost: See `candidates`.
        target: The function of the sweep, if it was defined in a script.
        results: The folder that holds the sweep.
        data_dir: Folder of full data sets; that of the last session by default.
        ledger: URL of a ledger in PostgreSQL. The sweep's folder remembers it without its password.
        progress: Form of the progress display: "auto", "json" or "none".
        verbose: Print a line for every report, and Ray's own logs.

    Returns:
        The result, read from the ledger.

    Raises:
        OutcomeError: There is no winner; its `result` has everything that was tried.
        SweepError: Anything else went wrong (see sweeps.errors); the message is one line that says what to do.
    """
    folder = SweepFolder(Path(results), name)
    given = {"candidates": candidates, "seeds": seeds, "published_seeds": published_seeds, "rule": rule, "cost": cost}
    go_on(folder, target, _path(data_dir), progress, verbose=verbose, changes=Changes(rule=given), ledger_url=ledger)
    return concluded(Result(folder, target, ledger))


def verify(name: str, *, results: str | Path = DEFAULT_RESULTS, ledger: str | None = None) -> Verification:
    """Check that a sweep's rows are unchanged, and that its suggestions, seeds and decisions follow from them.

    Every suggestion, seed and pruning decision is recomputed from the ledger.

    Returns:
        How much was recomputed, and the first difference with its trial. If a row was changed after it was written,
        that is the difference, and nothing is recomputed.
    """
    with closing(Ledger.open(place_of(SweepFolder(Path(results), name), ledger), read_only=True)) as opened:
        changed = opened.first_changed()
        return Verification(0, 0, changed) if changed else search_verification(opened.spec(), opened.rows())


def export(name: str, to: str | Path, *, results: str | Path = DEFAULT_RESULTS, ledger: str | None = None) -> "Saved":
    """Write a sweep's tables and rows into a folder; from a damaged ledger, write what can be read.

    The tables are built from the rows before the first damage; rows.jsonl has every row that can be read.

    Args:
        name: Name of the sweep.
        to: The folder to write into.
        results: The folder that holds the sweep.
        ledger: URL of a ledger in PostgreSQL.

    Returns:
        The numbers of sound and of known rows, the damage, and warnings.

    Raises:
        LedgerError: Nothing can be saved, or `to` cannot be written.
        SpecError: `to` holds an export already.
    """
    from sweeps.store.salvage import export as save  # imported late: only the tables need pandas

    folder = SweepFolder(Path(results), name)
    return save(folder, place_of(folder, ledger), as_path(to))


def load(
    name: str, *, target: Function | None = None, results: str | Path = DEFAULT_RESULTS, ledger: str | None = None
) -> Result:
    """Return the present result of a sweep, which may still be running."""
    return Result(SweepFolder(Path(results), name), target, ledger)


def compare(*names: str, results: str | Path = DEFAULT_RESULTS, ledger: str | None = None) -> Comparison:
    """Compare two or more sweeps, which may still be running.

    Returns:
        The pandas frames `sweeps`, `regret`, `spaces`, `common` and `pairs`, and regret over time as a `figure`.

    Raises:
        SpecError: Fewer than two sweeps are named, one is named twice, or their values have no common scale.
    """
    check_named(names)
    return Comparison([load(name, results=results, ledger=ledger) for name in names])


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else as_path(given).absolute()
