"""What a trial asks of Ray's nodes, and how many trials fit on them at a time, as nodes come and go."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from sweeps.errors import ResourceError
from sweeps.sections import Resources

_PERIOD = 2.0  # s between two counts of the nodes
_MODEL = "accelerator_type:"  # what stands before a GPU model's name among a node's resources
_SHARE = 0.001  # of a GPU model's name, which Ray counts like a resource; Ray's own share of it


def bundle(resources: Resources) -> dict[str, float]:
    """What one trial occupies, in Ray's names: CPU, GPU, accelerator_type:A100."""
    shares = {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial}
    model = {_named(resources): _SHARE} if resources.accelerator_type else {}
    return {**{kind: share for kind, share in shares.items() if share}, **model}


def options_of(resources: Resources) -> dict[str, Any]:
    """The same for a single task of Ray."""
    asked = bundle(resources)
    return {"num_cpus": asked.pop("CPU", 0), "num_gpus": asked.pop("GPU", 0), "resources": asked}


def _named(resources: Resources) -> str:
    return f"{_MODEL}{resources.accelerator_type}"


def alive_nodes() -> list[dict[str, Any]]:
    """The living nodes of the Ray that this process is joined to, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def resources_of_nodes() -> list[dict[str, float]]:
    """What each living node has, by Ray's names."""
    return [node["Resources"] for node in alive_nodes()]


def slots_of(resources: Resources, nodes: list[dict[str, float]]) -> int:
    """How many trials fit at a time on nodes with these resources; ResourceError if not one does."""
    slots = sum(_on_node(resources, node) for node in nodes)
    if not slots:
        most = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")}
        asked = f"{resources.cpus_per_trial:g} CPUs and {resources.gpus_per_trial:g} GPUs"
        there = f"at most {most['CPU']:g} CPUs, {most['GPU']:g} GPUs"
        advice = "lower cpus_per_trial or gpus_per_trial, under [resources] or as an option"
        if resources.accelerator_type:
            models = {name.removeprefix(_MODEL) for node in nodes for name in node if name.startswith(_MODEL)}
            asked += f" of the model {resources.accelerator_type}"
            there += f"; GPU models: {', '.join(sorted(models)) or 'none'}"
            advice += ", or leave resources.accelerator_type out"
        raise ResourceError(f"a trial asks for {asked}, but no node has so many ({there}): {advice}")
    return slots


def _on_node(resources: Resources, node: Mapping[str, float]) -> int:
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial
    if resources.accelerator_type and _named(resources) not in node:
        return 0
    fits = []
    if cpus:
        fits.append(math.floor(node.get("CPU", 0) / cpus + 1e-9))
    if gpus:
        devices = int(node.get("GPU", 0))
        # A fraction of a GPU never spans two devices.
        fits.append(devices * math.floor(1 / gpus + 1e-9) if gpus < 1 else devices // int(gpus))
    return min(fits)


class Slots:
    """How many trials a sweep may have at a time now: what fits on the nodes there are, and at most `most`.

    say: told where that changes, since a node joined or left.
    """

    def __init__(
        self,
        resources: Resources,
        most: int | None,
        say: Callable[[str], None],
        nodes: Callable[[], list[dict[str, float]]] = resources_of_nodes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources, self._most, self._say, self._nodes, self._clock = resources, most, say, nodes, clock
        self._looked = clock()
        self._fits = slots_of(resources, nodes())

    def __call__(self) -> int:
        if self._clock() - self._looked >= _PERIOD:
            before = self._bounded
            self._fits = sum(_on_node(self._resources, node) for node in self._nodes()) or self._fits
            self._looked = self._clock()
            if self._bounded != before:
                self._say(f"note: {self._bounded} trials fit at a time now, {before} did before")
        return self._bounded

    @property
    def _bounded(self) -> int:
        return min(self._fits, self._most or self._fits)
