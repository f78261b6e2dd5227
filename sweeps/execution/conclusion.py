"""The end of a sweep: final models are scored once on the test set and stored, and the outcome is recorded."""

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
    """Conclude a sweep: score and store its final models, record the outcome and write the tables.

    A search names its winner and stores the final model. A design counts its complete trials, and scores and stores
    their models if its spec says so.

    Args:
        driver: The driver of the sweep.
        data: A reference to the staged Dataset, or None for a user's function, which has no test set and no weights of
            a model of the study.
        data_dir: The folder of the data sets, or None for the default one.
        at_a_time: How many models may be scored at the same time.
        away: The Ray nodes on which no model may be scored.
    """
    spec, folder, history = driver.spec, driver.folder, driver.history
    score = partial(_score, driver, data=data, data_dir=data_dir, at_a_time=at_a_time, away=away)
    body = _conclude_search(driver, score) if spec.design is None else _conclude_design(driver, score)
    driver.record(Noted("outcome", body))
    save_tables(folder, spec, history, lambda text: driver.record(Noted("warning", {"text": text})))


def save_tables(folder: SweepFolder, spec: SweepSpec, history: History, warn: Callable[[str], None]) -> None:
    """Write the tables, and pass a line to `warn` if that fails: the records in the ledger stay valid."""
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
        folder.discard(folder.best)  # the file of an earlier choice
    for key in (
        *complete_in_search(spec, history)[:1],
        *(run.key for run in history.selection if run.state == "complete"),
    ):
        if key != final:  # these models were kept as candidates for the final one
            driver.drop_checkpoint(key)
    return body


def _conclude_design(driver: Driver, score: _Score) -> dict[str, Any]:
    spec, history = driver.spec, driver.history
    if spec.design and spec.design.test and spec.target is None:
        done = {note.key for note in history.noted("scored") if note.key is not None}
        for key in done:
            driver.drop_checkpoint(key)  # a kill may have come between the record and this call
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
    """Return the fate of a design's first incomplete trial in words, or "" if all are complete."""
    first = next((trial for trial in history.search if trial.state != "complete"), None)
    return "" if first is None else f" (trial {first.key.label}: {fate(first)})"


def final_config(spec: SweepSpec, trial: Trial) -> dict[str, Any]:
    """Return the configuration of a trial as a table.

    Args:
        spec: The spec of the sweep.
        trial: The trial, such as the winner.

    Returns:
        For the study's training, a table that `sweeps train` takes, with every knob that is not None and the seed. For
        a user's function, its target, seed and parameters.
    """
    if spec.target is not None:
        return {"target": spec.target, "seed": trial.seed, "params": spec.space.in_order(trial.params)}
    return spec.for_stage(trial.key.stage).trial_config(trial.params, trial.seed).model_dump(exclude_none=True)


def write_best(folder: SweepFolder, spec: SweepSpec, trial: Trial) -> None:
    """Write the configuration of the winner to best.toml."""
    with replacing(folder.best) as temporary:
        temporary.write_text(tomli_w.dumps(final_config(spec, trial)), "utf-8")


@dataclass(frozen=True)
class _Final:
    """The request to a worker that scores a final model."""

    spec: SweepSpec
    trial: Trial
    checkpoints: tuple[Path, ...]  # newest first; the first that exists has the model
    plan: Mapping[str, Any] | None
    results: Path
    data_dir: Path | None
    store: ObjectStore | None = None
    place: Path | None = None  # the experiment's folder, if the results are in a store


def _score(
    driver: Driver, trials: Sequence[Trial], *, data: Any, data_dir: Path | None, at_a_time: int, away: Sequence[str]
) -> Iterator[tuple[Trial, dict[str, Any]]]:
    """Score each trial's model once on the test set, store it as an experiment, and yield its scores when done.

    At most `at_a_time` models are scored at once. A read is recorded before it begins, and a kill must not leave many
    records of reads that never began.
    """
    import ray

    spec, folder, history = driver.spec, driver.folder, driver.history
    # Any, since Ray's types know no task that takes a reference instead of a value.
    score: Any = ray.remote(_score_in_worker)
    pending: dict[Any, Trial] = {}
    for trial in trials:
        if any(note.key == trial.key for note in history.noted(TEST_READ)) and (found := _stored(driver, trial)):
            yield trial, found
            continue
        # The intention is recorded before the read, so no read of the test set can go unseen.
        dataset = final_config(spec, trial)["dataset"]
        driver.record(Noted(TEST_READ, {"dataset": dataset}, trial.key))
        plan = history.plan(trial.key)
        place = _claim(driver, final_config(spec, trial)["model"])
        written = folder.written_checkpoints(trial)
        own = spec.for_stage(trial.key.stage)
        final = _Final(own, trial, written, plan, folder.results, data_dir, folder.store, place)
        # After a worker's death Ray's retry would read the test set without a record: `resume` records the new read.
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
    """Wait for the next of the pending models and return its scores; raise SweepError if its task failed."""
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
    """Claim a new experiment's folder in an object store, and return it; return None if there is no store.

    Making a folder in a store does not exclude other drivers, so the claim is made under a lock.
    """
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
    """Return the scores of a trial stored before a kill, or None; with them, the test set is not read again."""
    spec, results = driver.spec, driver.folder.results
    model = spec.trial_config(trial.params, trial.seed).model
    last = trial.last
    store = driver.folder.store
    if store:
        store.complete(results / model, "metadata.json", "metrics.json")  # the weights stay in the store
    for folder in list_experiments(results / model):
        if store and "metadata.json" not in store.names(folder):
            continue  # this machine was stopped before it sent the experiment: no other has it
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
    """Return the facts about a stored experiment that the ledger keeps."""
    facts = experiment.metadata
    names = ("test_accuracy", "test_loss", "test_images", "digest", "note")
    return {"experiment": str(experiment.folder.relative_to(results)), **{name: facts[name] for name in names}}


def _keep(final: _Final, *run: Any, **facts: Any) -> "Experiment":
    """Store a run as an experiment where the results are, in a folder or an object store."""
    from study.experiments import store

    if final.store is None or final.place is None:
        return store(final.results, *run, **facts)
    with TemporaryDirectory() as scratch:
        made = store(Path(scratch), *run, **facts).folder
        # metadata.json goes last, so a folder that has it is complete.
        files = sorted(made.iterdir(), key=lambda path: path.name == "metadata.json")
        final.place.mkdir(parents=True, exist_ok=True)
        final.store.send(*(Path(shutil.copy2(path, final.place)) for path in files))
    return load_experiment(final.place)


def _score_in_worker(final: _Final, data: "Dataset") -> dict[str, Any]:
    """Restore a trial's model in a worker, or train it again, then read the test set once and store the model."""
    from study.data import load_test
    from study.exporting import ExportError
    from study.predictions import predict
    from study.reproducibility import environment

    spec, trial = final.spec, final.trial
    config = spec.trial_config(trial.params, trial.seed)
    last = trial.measurements[-1]
    training, notes = _as_measured(final, data)
    if trial.state != "complete":
        training.finish()  # a replay then ends at the same step
        notes.append(f"ended early, after {spec.told(last.fidelity)}")
    if final.store:  # the store keeps the checkpoint until the outcome is recorded
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
    except ExportError as error:  # the test set was read, and must not be read again for want of one file
        facts["note"] = "; ".join([*notes, f"no model.pt2: {error}"])
        experiment = write(exit_reason=how, extra=facts)
    return _scores(experiment, final.results)


def _as_measured(final: _Final, data: "Dataset") -> tuple["Training", list[str]]:
    """Return the training at the trial's last report, from a fitting checkpoint or trained again, with notes."""
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
