"""Syne Tune as in its tutorial: one script for each trial, and two local workers.

The argument is a file of configurations (JSON), each of which is trained once. The script prints how many epochs were
trained.
"""

import json
import logging
import sys
from pathlib import Path

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import randint
from syne_tune.experiments import load_experiment
from syne_tune.optimizer.baselines import RandomSearch


def main() -> None:
    configurations = Path(sys.argv[1]).absolute()
    count = len(json.loads(configurations.read_text()))
    logging.getLogger().setLevel(logging.WARNING)
    space = {"place": randint(0, count - 1), "configurations": str(configurations)}
    places = [{"place": place} for place in range(count)]
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(Path(__file__).with_name("syne_tune_trial.py"))),
        scheduler=RandomSearch(space, metrics=["accuracy"], do_minimize=False, points_to_evaluate=places),
        stop_criterion=StoppingCriterion(max_num_trials_started=count),
        wait_trial_completion_when_stopping=True,
        n_workers=2,
        tuner_name="digits",
    )
    tuner.run()
    print(json.dumps({"epochs": len(load_experiment(tuner.name).results)}))


if __name__ == "__main__":
    main()
