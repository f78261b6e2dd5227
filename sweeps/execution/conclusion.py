"""The end of a sweep: the winner's final model is loaded, scored once on the test set, stored and written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from study.files import replacing
from sweeps.errors import SweepError
from sweeps.execution.driver import Driver
from sweeps.search.history import History, Noted, Trial
from sweeps.search.selection import BASELINE, Selection, candidates, select
from sweeps.spec import SweepSpec
from sweeps.store.export import write_tables
from sweeps.store.folders import SweepFolder

if TYPE_CHECKING:
    from study.data import Dataset


def conclude(driver: Driver, data: Any, data_dir: Path | None) -> None:
    """Name the winner, score and store its final model, write best.toml and the Parquet tables.

    `data` refers to the staged Dataset, None for a user's function, which has no test set and no weights of ours.
    """
    spec, folder, history = driver.spec, driver.folder, driver.history
    selection = select(spec, history, candidates(spec, history))
    final = selection.final
    body = outcome(spec, history, selection)
    if final is not None and spec.target is None:
        # The intention is recorded before the read, so that no read of the test set can go unseen.
        driver.record(Noted("test_read", {"dataset": final_config(spec, history.trials[final])["dataset"]}, final))
        body |= _score_and_store(driver, history.trials[final], data, data_dir)
    if final is not None:
        write_best(folder, spec, history.trials[final])
    driver.record(Noted("outcome", body))
    write_tables(folder, spec, history)


def outcome(spec: SweepSpec, history: History, selection: Selection) -> dict[str, Any]:
    """The result in a few values: the winner, its mean on fresh seeds, the baseline's, and how many trials it took."""
    ranked = {candidate.number: candidate for candidate in selection.candidates}
    winner = ranked.get(selection.winner) if selection.winner is not None else None
    baseline = ranked.get(BASELINE)
    return {
        "winner": selection.winner,
        "metric": spec.metric,
        "mean": winner.mean if winner else None,
        "searched": winner.searched if winner else None,
        "baseline_mean": baseline.mean if baseline else None,
        "seeds": spec.selection.seeds,
        "trials": len(history.search),
        "reason": winner.reason if winner else _why_none(history),
    }


def _why_none(history: History) -> str:
    states = sorted({f"{t.state}: {t.reason.splitlines()[0]}" for t in history.trials.values() if t.reason})
    return f"no trial has a finite value on all its fresh seeds ({'; '.join(states[:3])})"


def final_config(spec: SweepSpec, trial: Trial) -> dict[str, Any]:
    """The trial as a table that `sweeps train` takes: every knob and the seed, None left out."""
    if spec.target is not None:
        return {"target": spec.target, "seed": trial.seed, "params": dict(trial.params)}
    return spec.trial_config(trial.params, trial.seed).model_dump(exclude_none=True)


def write_best(folder: SweepFolder, spec: SweepSpec, trial: Trial) -> None:
    """The winner as best.toml."""
    with replacing(folder.best) as temporary:
        temporary.write_text(tomli_w.dumps(final_config(spec, trial)), "utf-8")


@dataclass(frozen=True)
class _Final:
    """What the worker that scores the final model is told."""

    spec: SweepSpec
    trial: Trial
    checkpoint: Path
    plan: Mapping[str, Any] | None
    results: Path
    data_dir: Path | None


def _score_and_store(driver: Driver, trial: Trial, data: Any, data_dir: Path | None) -> dict[str, Any]:
    import ray

    spec, folder = driver.spec, driver.folder
    plan = driver.history.plan(trial.key)
    final = _Final(spec, trial, folder.checkpoint(trial.key.label), plan, folder.results, data_dir)
    # Without types: Ray's know no task that is given a reference in the place of a value.
    score: Any = ray.remote(_score)
    options = {
        "num_cpus": spec.resources.cpus_per_trial,
        "num_gpus": spec.resources.gpus_per_trial,
        "name": f"{spec.name} test of #{trial.key.label}",
    }
    try:
        scored: dict[str, Any] = ray.get(score.options(**options).remote(final, data))
    except ray.exceptions.RayError as error:
        raise SweepError(
            f"the final model of {spec.name!r} could not be scored ({getattr(error, 'cause', error)}): all is kept; "
            f"mend the cause, then `sweeps resume {spec.name}`"
        ) from error
    return scored


def _score(final: _Final, data: "Dataset") -> dict[str, Any]:
    """In a worker: the final model from its checkpoint or, if that is gone, trained again; then the test set, once."""
    from study.data import load_test
    from study.experiments import store
    from study.reproducibility import environment
    from study.training import CheckpointError, Plan, Training

    spec, trial = final.spec, final.trial
    config = spec.trial_config(trial.params, trial.seed)
    last = trial.measurements[-1]
    plan = Plan(**final.plan) if final.plan else None
    if plan is not None:
        plan = Plan(plan.horizon_steps, last.step)
    note = ""
    try:
        training = Training(config, data, plan=plan, checkpoint=final.checkpoint)
    except CheckpointError as error:
        note = f"trained again, since {error}"
        training = Training(config, data, plan=plan)
        for _ in training.run():
            pass
    if training.digest() != last.digest:
        raise RuntimeError(f"its weights have digest {training.digest()}, the ledger says {last.digest}")
    test = training.evaluate(load_test(config.dataset, final.data_dir))
    facts = {"sweep": spec.name, "trial": trial.key.label, "test_loss": test["loss"], "test_accuracy": test["accuracy"]}
    experiment = store(
        final.results, training, trial.measurements, environment(config, data), exit_reason="complete", extra=facts
    )
    return {
        "experiment": str(experiment.folder.relative_to(final.results)),
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "digest": last.digest,
        "note": note,
    }
