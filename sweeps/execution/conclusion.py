"""The end of a sweep: models to be kept are scored once on the test set and stored, and the outcome is recorded."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import tomli_w

from study.experiments import ExperimentError, claim, list_experiments, load_experiment
from study.files import replacing
from sweeps.errors import SweepError
from sweeps.execution.driver import Driver
from sweeps.execution.placing import options_of
from sweeps.returning import to_resume
from sweeps.search.fates import fate
from sweeps.search.history import History, Noted, Trial
from sweeps.search.keeping import complete_in_search
from sweeps.search.outcome import outcome
from sweeps.search.selection import TEST_READ, candidates, select
from sweeps.spec import SweepSpec
from sweeps.store.columns import in_brief
from sweeps.store.export import write_tables
from sweeps.store.folders import SweepFolder, first_there
from sweeps.store.objects import ObjectStore

if TYPE_CHECKING:
    from study.data import Dataset
    from study.experiments import Experiment
    from study.training import Training


_Score = Callable[[Sequence[Trial]], Iterator[tuple[Trial, dict[str, Any]]]]


def conclude(driver: Driver, data: Any, data_dir: Path | None, at_a_time: int = 1, away: Sequence[str] = ()) -> None:
    """Bring a sweep to its end: score and store what is to be, record the outcome, write the tables.

    A search names its winner and stores its final model; a design compares its cells. `data` refers to the staged
    Dataset, None for a user's function, which has no test set and no weights of ours. at_a_time: how many models may
    be scored. away: the nodes on which none may be.
    """
    spec, folder, history = driver.spec, driver.folder, driver.history
    score = partial(_score, driver, data=data, data_dir=data_dir, at_a_time=at_a_time, away=away)
    body = _conclude_search(driver, score) if spec.design is None else _conclude_design(driver, score)
    driver.record(Noted("outcome", body))
    save_tables(folder, spec, history, lambda text: driver.record(Noted("warning", {"text": text})))


def save_tables(folder: SweepFolder, spec: SweepSpec, history: History, warn: Callable[[str], None]) -> None:
    """Write the tables; whatever is wrong with them, what is recorded stands, and `warn` is called with a line."""
    try:
        write_tables(folder.path, spec, history, warn)
    except Exception as error:
        warn(f"a table could not be written ({in_brief(error)}): try `{to_resume(spec, folder.where)}`")


def _conclude_search(driver: Driver, score: _Score) -> dict[str, Any]:
    spec, folder, history = driver.spec, driver.folder, driver.history
    selection = select(spec, history, candidates(spec, history))
    final = selection.final
    body = outcome(spec, history, selection)
    if final is not None:
        if spec.target is None:
            body |= next(iter(score([history.trials[final]])))[1]
            body["test_reads"] = sum(1 for _ in history.noted(TEST_READ))
        write_best(folder, spec, history.trials[final])
    else:
        folder.discard(folder.best)  # an earlier choice's
    for key in (
        *complete_in_search(spec, history)[:1],
        *(run.key for run in history.selection if run.state == "complete"),
    ):
        if key != final:  # the models that were kept in case one of them would be the final one
            driver.drop_checkpoint(key)
    return body


def _conclude_design(driver: Driver, score: _Score) -> dict[str, Any]:
    spec, history = driver.spec, driver.history
    if spec.design and spec.design.test and spec.target is None:
        done = {note.key for note in history.noted("scored") if note.key is not None}
        for key in done:
            driver.drop_checkpoint(key)  # a kill may have come between the record and this
        todo = [trial for trial in history.search if trial.state == "complete" and trial.key not in done]
        for trial, scores in score(todo):
            driver.record(Noted("scored", scores, trial.key))
            driver.drop_checkpoint(trial.key)
    complete = sum(trial.state == "complete" for trial in history.search)
    return {
        "winner": None,
        "metric": spec.metric,
        "trials": len(history.search),
        "complete": complete,
        "reason": f"{complete} of {spec.trials} trials are complete{_first_fate(history)}",
    }


def _first_fate(history: History) -> str:
    """What became of the first trial of a design that did not come to its end."""
    first = next((trial for trial in history.search if trial.state != "complete"), None)
    return "" if first is None else f" (trial {first.key.label}: {fate(first)})"


def final_config(spec: SweepSpec, trial: Trial) -> dict[str, Any]:
    """The trial as a table that `sweeps train` takes: every knob and the seed, None left out."""
    if spec.target is not None:
        return {"target": spec.target, "seed": trial.seed, "params": spec.space.in_order(trial.params)}
    return spec.for_stage(trial.key.stage).trial_config(trial.params, trial.seed).model_dump(exclude_none=True)


def write_best(folder: SweepFolder, spec: SweepSpec, trial: Trial) -> None:
    """The winner as best.toml."""
    with replacing(folder.best) as temporary:
        temporary.write_text(tomli_w.dumps(final_config(spec, trial)), "utf-8")


@dataclass(frozen=True)
class _Final:
    """What the worker that scores the final model is told."""

    spec: SweepSpec
    trial: Trial
    checkpoints: tuple[Path, ...]  # the newest that is there has the model
    plan: Mapping[str, Any] | None
    results: Path
    data_dir: Path | None
    store: ObjectStore | None = None
    place: Path | None = None  # of the experiment, where it comes into a store


def _score(
    driver: Driver, trials: Sequence[Trial], *, data: Any, data_dir: Path | None, at_a_time: int, away: Sequence[str]
) -> Iterator[tuple[Trial, dict[str, Any]]]:
    """Read the test set once for each trial's model, and store it as an experiment; gives each as it is done.

    No more than so many at a time: a read is recorded before it begins, and a kill must not leave many that never did.
    """
    import ray

    spec, folder, history = driver.spec, driver.folder, driver.history
    # Without types: Ray's know no task that is given a reference in the place of a value.
    score: Any = ray.remote(_score_in_worker)
    pending: dict[Any, Trial] = {}
    for trial in trials:
        if any(note.key == trial.key for note in history.noted(TEST_READ)) and (found := _stored(driver, trial)):
            yield trial, found
            continue
        # The intention is recorded before the read, so that no read of the test set can go unseen.
        dataset = final_config(spec, trial)["dataset"]
        driver.record(Noted(TEST_READ, {"dataset": dataset}, trial.key))
        plan = history.plan(trial.key)
        place = _claim(driver, final_config(spec, trial)["model"])
        written = folder.written_checkpoints(trial)
        own = spec.for_stage(trial.key.stage)
        final = _Final(own, trial, written, plan, folder.results, data_dir, folder.store, place)
        # Ray would run it again where its worker dies, and read the test set without a record: `resume` records it.
        options = {
            **options_of(own.resources, away),
            "max_retries": 0,
            "name": f"{spec.name} test of #{trial.key.label}",
        }
        pending[score.options(**options).remote(final, data)] = trial
        while len(pending) >= at_a_time:
            yield _scored(driver, pending)
    while pending:
        yield _scored(driver, pending)


def _scored(driver: Driver, pending: dict[Any, Trial]) -> tuple[Trial, dict[str, Any]]:
    """Wait for the next of the models that are being scored; SweepError where its task failed."""
    import ray

    (done,), _ = ray.wait(list(pending), num_returns=1)
    trial = pending.pop(done)
    try:
        return trial, ray.get(done)
    except ray.exceptions.RayError as error:
        raise SweepError(
            f"the model of trial {trial.key.label} of {driver.spec.name!r} could not be scored "
            f"({getattr(error, 'cause', error)}): all is kept; mend the cause, then "
            f"`{to_resume(driver.spec, driver.folder.where)}`"
        ) from error


def _claim(driver: Driver, model: str) -> Path | None:
    """A new experiment's folder in an object store, where making a folder keeps nobody else from it; else None."""
    store, folder = driver.folder.store, driver.folder.results / model
    if store is None:
        return None
    with driver.alone(f"{store.url}/{model}"):
        for name in store.names(folder):
            (folder / name).mkdir(parents=True, exist_ok=True)
        place = claim(folder)
        mark = place / "claimed"
        mark.write_text(f"{driver.spec.name}\n", "utf-8")
        store.send(mark)
    return place


def _stored(driver: Driver, trial: Trial) -> dict[str, Any] | None:
    """The scores of a trial that was stored before a kill, so that the test set is not read again for it."""
    spec, results = driver.spec, driver.folder.results
    model = spec.trial_config(trial.params, trial.seed).model
    last = trial.last
    store = driver.folder.store
    if store:
        store.complete(results / model, "metadata.json", "metrics.json")  # their weights stay there
    for folder in list_experiments(results / model):
        if store and "metadata.json" not in store.names(folder):
            continue  # what this machine had not sent when it was stopped is nobody else's
        try:
            experiment = load_experiment(folder)
        except ExperimentError:
            continue
        facts = experiment.metadata
        here = {"sweep": spec.name, "trial": trial.key.label, "digest": last.digest if last else None}
        if all(facts.get(name) == value for name, value in here.items()):
            return _scores(experiment, results)
    return None


def _scores(experiment: "Experiment", results: Path) -> dict[str, Any]:
    """What the ledger keeps of a stored experiment."""
    facts = experiment.metadata
    names = ("test_accuracy", "test_loss", "test_images", "digest", "note")
    return {"experiment": str(experiment.folder.relative_to(results)), **{name: facts[name] for name in names}}


def _keep(final: _Final, *run: Any, **facts: Any) -> "Experiment":
    """Store a run where the results are."""
    from study.experiments import store

    if final.store is None or final.place is None:
        return store(final.results, *run, **facts)
    with TemporaryDirectory() as scratch:
        made = store(Path(scratch), *run, **facts).folder
        # In this order, so that a folder with metadata.json is a whole one.
        files = sorted(made.iterdir(), key=lambda path: path.name == "metadata.json")
        final.place.mkdir(parents=True, exist_ok=True)
        final.store.send(*(Path(shutil.copy2(path, final.place)) for path in files))
    return load_experiment(final.place)


def _score_in_worker(final: _Final, data: "Dataset") -> dict[str, Any]:
    """In a worker: the model from its checkpoint or, if that is gone, trained again; then the test set, once."""
    from study.data import load_test
    from study.exporting import ExportError
    from study.predictions import predict
    from study.reproducibility import environment

    spec, trial = final.spec, final.trial
    config = spec.trial_config(trial.params, trial.seed)
    last = trial.measurements[-1]
    training, notes = _as_measured(final, data)
    if trial.state != "complete":
        training.finish()  # so that a replay ends there too
        notes.append(f"ended early, after {spec.told(last.fidelity)}")
    if final.store:  # which keeps it until the outcome is recorded
        shutil.rmtree(final.checkpoints[-1].parent, ignore_errors=True)
    if training.digest() != last.digest:
        raise RuntimeError(f"its weights have digest {training.digest()}, the ledger says {last.digest}")
    split = load_test(config.dataset, final.data_dir)
    test = training.evaluate(split)
    facts = {
        "sweep": spec.name,
        "trial": trial.key.label,
        "test_loss": test["loss"],
        "test_accuracy": test["accuracy"],
        "test_images": len(split.labels),
        "confusion": predict(training, split).confusion().tolist(),  # a row for each true class
        "note": "; ".join(notes),
    }
    how = "complete" if trial.state == "complete" else "ended early"
    write = partial(_keep, final, training, trial.measurements, environment(config, data))
    try:
        experiment = write(exit_reason=how, extra=facts, example=data.validation)
    except ExportError as error:  # the test set is read, and must not be again for a file that can't be made
        facts["note"] = "; ".join([*notes, f"no model.pt2: {error}"])
        experiment = write(exit_reason=how, extra=facts)
    return _scores(experiment, final.results)


def _as_measured(final: _Final, data: "Dataset") -> tuple["Training", list[str]]:
    """Return the training at the trial's last report, and notes: from its checkpoint or, without one, trained again."""
    from study.training import CheckpointError, Plan, Training

    trial, last = final.trial, final.trial.measurements[-1]
    config = final.spec.trial_config(trial.params, trial.seed)
    plan = Plan(**{**final.plan, "stop_steps": last.step}) if final.plan else None
    try:
        checkpoint = first_there(final.checkpoints, final.store) or final.checkpoints[0]
        training = Training(config, data, plan=plan, checkpoint=checkpoint)
        if training.step == last.step:
            return training, []
        why = "its checkpoint is ahead of its last report"
    except CheckpointError as error:
        why = str(error)
    training = Training(config, data, plan=plan)
    for measurement in training.run():
        if measurement.report == last.report:
            break
    return training, [f"trained again, since {why}"]
