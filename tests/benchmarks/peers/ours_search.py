"""The same search by this project, with default settings.

The arguments are a seed and optionally a precision. Without a precision, the project chooses one. The script prints
every report as it is acknowledged, one JSON line each.
"""

import sys
import tempfile

import sweeps


def main() -> None:
    table = {
        "name": "digits",
        "trials": 1000,
        "metric": "validation_accuracy",
        "direction": "maximize",
        "seed": int(sys.argv[1]),
        "training": {"model": "custom_cnn", "epochs": 9, "precision": (sys.argv[2:] or ["auto"])[0]},
        "space": {"preset": "custom_cnn"},
    }
    sweeps.run(table, results=tempfile.mkdtemp(), progress="json")


if __name__ == "__main__":
    main()
