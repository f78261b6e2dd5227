"""A class trainable of Ray Tune as in its tutorial; prints when its first report arrived (s since the epoch)."""

import sys
import time
from pathlib import Path
from typing import Any

from ray import tune

FOLDER = str(Path(__file__).parent)


class Training(tune.Trainable):
    """A trainable that trains the small CNN for one epoch in each step."""

    def setup(self, config: dict[str, Any]) -> None:
        sys.path.insert(0, FOLDER)
        from digits import train

        self.epochs = train({"learning_rate": config["learning_rate"], "epochs": 1})

    def step(self) -> dict[str, float]:
        return {"accuracy": next(self.epochs)}


class First(tune.Callback):
    """A callback that keeps the time of the first report."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        self.times.append(time.time())


def main() -> None:
    first = First()
    tune.Tuner(
        tune.with_resources(Training, {"cpu": 1}),
        param_space={"learning_rate": tune.grid_search([0.01, 0.1])},
        run_config=tune.RunConfig(stop={"training_iteration": 1}, callbacks=[first]),
    ).fit()
    print(first.times[0])


if __name__ == "__main__":
    main()
