"""A search by Ray Tune as in its tutorials: OptunaSearch, ASHA, a report after each epoch, and one CPU for each trial.

The arguments are a seed and, to begin with the space's default, the word "default". The script prints every validation
accuracy as it is reported, one JSON line each.
"""

import json
import sys
from pathlib import Path
from typing import Any

import optuna
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from search_spaces import preset

FOLDER, EPOCHS = str(Path(__file__).parent), 9
sys.path.insert(0, FOLDER)


def trainable(config: dict[str, Any]) -> None:
    sys.path.insert(0, FOLDER)
    from digits import train

    for accuracy in train({**config, "epochs": EPOCHS}):
        tune.report({"accuracy": accuracy})


def space(trial: optuna.Trial) -> None:
    from space import knobs

    knobs(trial)


class Say(tune.Callback):
    """A callback that prints every report."""

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        print(json.dumps({"accuracy": result["accuracy"]}), flush=True)


def main() -> None:
    points = [preset("custom_cnn").defaults()] if "default" in sys.argv else None
    search = OptunaSearch(space, metric="accuracy", mode="max", seed=int(sys.argv[1]), points_to_evaluate=points)
    tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            search_alg=search,
            scheduler=ASHAScheduler(max_t=EPOCHS),
            num_samples=1000,
        ),
        run_config=tune.RunConfig(callbacks=[Say()]),
    ).fit()


if __name__ == "__main__":
    main()
