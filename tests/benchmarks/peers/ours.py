"""The same trainings as a sweep of this project: a design with one cell for each, and default settings otherwise.

The arguments are a file of configurations (JSON), each of which is trained once, and optionally a precision. Without a
precision, the project chooses one. The script prints how many epochs were trained.
"""

import json
import sys
import tempfile
from pathlib import Path

import sweeps


def main() -> None:
    configurations, precision = json.loads(Path(sys.argv[1]).read_text()), (sys.argv[2:] or ["auto"])[0]
    cells = [
        {"name": f"c{place}", "params": {name: value for name, value in params.items() if name != "seed"}}
        for place, params in enumerate(configurations)
    ]
    table = {
        "name": "digits",
        "metric": "validation_accuracy",
        "direction": "maximize",
        "training": {"precision": precision},
        "design": {"cells": cells, "seeds": 1},
    }
    result = sweeps.run(table, results=tempfile.mkdtemp(), progress="none")
    print(json.dumps({"epochs": sum(trial.last.fidelity for trial in result.history.search if trial.last)}))


if __name__ == "__main__":
    main()
