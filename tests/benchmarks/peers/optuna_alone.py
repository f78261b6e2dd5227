"""Optuna as in its tutorial on parallel runs: the same script in two processes that share a SQLite file.

The argument is a file of configurations (JSON). They are enqueued, and each epoch is reported to Optuna.
The script prints how many epochs were trained.
"""

import json
import multiprocessing
import sys
import tempfile
from pathlib import Path

import optuna

PROCESSES = 2


def work(storage: str, configurations: str) -> None:
    """Run trials in one process until none is waiting."""
    import torch
    from digits import train

    torch.set_num_threads(1)  # two processes, two CPUs
    known = json.loads(Path(configurations).read_text())

    def objective(trial: optuna.Trial) -> float:
        accuracy = 0.0
        place = trial.suggest_int("place", 0, len(known) - 1)
        for epoch, accuracy in enumerate(train(known[place]), start=1):
            trial.report(accuracy, epoch)
        return accuracy

    def stop_after_the_last(study: optuna.Study, _trial: optuna.trial.FrozenTrial) -> None:
        if not study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
            study.stop()

    study = optuna.load_study(study_name="digits", storage=storage)
    study.optimize(objective, callbacks=[stop_after_the_last])


def main() -> None:
    configurations = Path(sys.argv[1])
    storage = f"sqlite:///{tempfile.mkdtemp()}/optuna.db"
    study = optuna.create_study(study_name="digits", storage=storage, direction="maximize")
    for place in range(len(json.loads(configurations.read_text()))):
        study.enqueue_trial({"place": place})
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(storage, str(configurations))) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(json.dumps({"epochs": sum(len(trial.intermediate_values) for trial in study.trials)}))


if __name__ == "__main__":
    main()
