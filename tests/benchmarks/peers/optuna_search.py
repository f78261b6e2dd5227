"""A search by Optuna as in its tutorials: TPE, the median pruner, and two processes that share a SQLite file.

The arguments are a seed and, to begin with the space's default, the word "default". The script prints every validation
accuracy as it is reported, one JSON line each.
"""

import json
import multiprocessing
import sys
import tempfile

import optuna

from search_spaces import preset

EPOCHS, PROCESSES = 9, 2


def objective(trial: optuna.Trial) -> float:
    """Train and report, until the pruner stops the trial."""
    from digits import train
    from space import knobs

    accuracy = 0.0
    for epoch, accuracy in enumerate(train({**knobs(trial), "epochs": EPOCHS}), start=1):
        print(json.dumps({"accuracy": accuracy}), flush=True)
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


def work(storage: str, seed: int) -> None:
    import torch

    torch.set_num_threads(1)  # two processes, two CPUs
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.load_study(study_name="digits", storage=storage, sampler=sampler)
    study.optimize(objective)


def main() -> None:
    storage = f"sqlite:///{tempfile.mkdtemp()}/optuna.db"
    study = optuna.create_study(study_name="digits", storage=storage, direction="maximize")
    if "default" in sys.argv:
        study.enqueue_trial(preset("custom_cnn").defaults())
    context = multiprocessing.get_context("spawn")
    seeds = [int(sys.argv[1]) + 1000 * place for place in range(PROCESSES)]
    processes = [context.Process(target=work, args=(storage, seed)) for seed in seeds]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
