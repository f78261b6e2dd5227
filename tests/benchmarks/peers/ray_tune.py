"""Ray Tune as in its tutorial: a function that reports after each epoch, and one CPU for each trial.

The argument is a file of configurations (JSON), each of which is trained once. The script prints how many epochs were
trained.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ray import tune

FOLDER = str(Path(__file__).parent)


def trainable(config: dict[str, Any]) -> None:
    sys.path.insert(0, FOLDER)
    from digits import train

    for accuracy in train(config["params"]):
        tune.report({"accuracy": accuracy})


def main() -> None:
    configurations = json.loads(Path(sys.argv[1]).read_text())
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"params": tune.grid_search(configurations)},
        tune_config=tune.TuneConfig(metric="accuracy", mode="max"),
    )
    results = tuner.fit()
    print(json.dumps({"epochs": sum(result.metrics["training_iteration"] for result in results if result.metrics)}))


if __name__ == "__main__":
    main()
