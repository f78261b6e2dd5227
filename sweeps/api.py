"""The Python face: run, resume and load a sweep."""

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
    """Run a sweep to its end and give its result.

    spec: a preset's name, a TOML file, a table like such a file, or a SweepSpec. target: a generator function of
    (params, seed) or (params, seed, checkpoint) that yields dicts of metrics, instead of the study's models. time:
    wall-clock of the sweep, seconds or like "10m". selection: the table of that name, or "none": the best of the search
    is then the winner, and not confirmed. What is given here wins over the spec. resume: continue the sweep of
    this name if there is one, so that a script may be run again; its spec may only have grown in trials, time,
    device_hours or trial_time. ledger: the URL of a
    PostgreSQL database, postgresql://user@host/database, for a ledger there in place of a SQLite file in the sweep's
    folder; the environment variable SWEEPS_LEDGER by default. profile: say at the end where the time went, and draw it
    as profile.png.

    Uses the Ray that this process has started, else starts one for the sweep. Needs no main guard. Raises SweepError
    (see sweeps.errors) with one line that says what to do; OutcomeError, whose `result` has all that was tried, where
    no trial survived.
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
    """Train each model at the defaults of its preset, on the same seeds; gives a result with `cells`.

    epochs, seconds: how long; with both, each model is trained under both protocols (9 epochs with neither). test:
    score each trained model once on the test set and store it as an experiment. options: as of `run`.
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
    """Change one factor of a model's baseline at a time, each cell on the same seeds; gives a result with `cells`.

    factors: which to change, all without. Differences are paired by seed and on validation data; options as of `run`.
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

    Runs the design NAME-path and gives its result; `explain` shows then what each change bought. target: the function
    of a sweep whose function was defined in a script. options: as of `run`. SpecError where nothing lies between, or
    where NAME-path is there already.
    """
    from sweeps.search.path import path_table  # needs Optuna, which nothing else here does

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
    """Go on with an interrupted sweep; every trial that is not ended continues under its own number.

    trials, time, device_hours, trial_time: what the sweep gets on top of the budgets it had (times in seconds or like
    "10m"), whether it is over or not; what it left paused or cut may then go on. concurrency: how many trials at a
    time, at most, until it stops again. retry_failed: run the trials that failed again, once their code is mended, from
    their checkpoints where they have one. target: the function of a sweep whose
    function was defined in a script. ledger: the URL of a ledger in PostgreSQL, which the sweep's folder remembers
    without its password. profile: as of `run`, of this session.
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
    """End a sweep's search where it stands and choose its winner, or choose it again by another rule.

    candidates, seeds, published_seeds, rule, cost: keys of the spec's [selection], which stay as they are without.
    What was trained on fresh seeds already counts; a later `resume` with more trials or time opens the search again.
    """
    folder = SweepFolder(Path(results), name)
    given = {"candidates": candidates, "seeds": seeds, "published_seeds": published_seeds, "rule": rule, "cost": cost}
    go_on(folder, target, _path(data_dir), progress, verbose=verbose, changes=Changes(rule=given), ledger_url=ledger)
    return concluded(Result(folder, target, ledger))


def verify(name: str, *, results: str | Path = DEFAULT_RESULTS, ledger: str | None = None) -> Verification:
    """Compute every suggestion, seed and pruning decision of a sweep again from its ledger, and compare.

    Every row must be as it was written first. The first difference of either kind is named with its trial.
    """
    with closing(Ledger.open(place_of(SweepFolder(Path(results), name), ledger), read_only=True)) as opened:
        changed = opened.first_changed()
        return Verification(0, 0, changed) if changed else search_verification(opened.spec(), opened.rows())


def export(name: str, to: str | Path, *, results: str | Path = DEFAULT_RESULTS, ledger: str | None = None) -> "Saved":
    """Write a sweep's tables and all its rows into a folder; of a damaged ledger what can be read.

    The tables stand on the rows before the first damage. LedgerError where nothing can be saved.
    """
    from sweeps.store.salvage import export as save  # the tables need pandas, which nothing else here does

    folder = SweepFolder(Path(results), name)
    return save(folder, place_of(folder, ledger), as_path(to))


def load(
    name: str, *, target: Function | None = None, results: str | Path = DEFAULT_RESULTS, ledger: str | None = None
) -> Result:
    """The result of a sweep as it stands, also of one that is running."""
    return Result(SweepFolder(Path(results), name), target, ledger)


def compare(*names: str, results: str | Path = DEFAULT_RESULTS, ledger: str | None = None) -> Comparison:
    """Two sweeps or more beside each other, also ones that are running; SpecError for what can't be compared.

    Gives pandas frames: `sweeps`, `regret`, `spaces`, `common` and `pairs`, and regret over time as a `figure`.
    """
    check_named(names)
    return Comparison([load(name, results=results, ledger=ledger) for name in names])


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else as_path(given).absolute()
