"""Placement of trials on Ray's nodes: what a trial needs, where it may run, and how many fit as nodes come and go."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sweeps.errors import ResourceError
from sweeps.sections import Resources

_PERIOD = 2.0  # s between two counts of the nodes
_MODEL = "accelerator_type:"  # the prefix of a GPU model's name among a node's resources
_ID = "ray.io/node-id"  # the label of each node that Ray sets to the node's id
_SHARE = 0.001  # of a GPU model's name, which Ray counts like a resource; Ray itself asks for the same share


def bundle(resources: Resources) -> dict[str, float]:
    """Return the resources that one trial occupies, by Ray's names: CPU, GPU, accelerator_type:A100."""
    shares = {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial}
    model = {_named(resources): _SHARE} if resources.accelerator_type else {}
    return {**{kind: share for kind, share in shares.items() if share}, **model}


def options_of(resources: Resources, away: Sequence[str] = ()) -> dict[str, Any]:
    """Return the options of a Ray task that occupies what a trial does, and runs on none of the nodes `away`."""
    asked = bundle(resources)
    place = {"label_selector": _none_of(away)} if away else {}
    return {"num_cpus": asked.pop("CPU", 0), "num_gpus": asked.pop("GPU", 0), "resources": asked, **place}


def keeping_off(away: Sequence[str]) -> dict[str, Any]:
    """Return the options of a placement group of one bundle that keep it off the nodes `away`."""
    return {"bundle_label_selector": [_none_of(away)]} if away else {}


def _none_of(nodes: Sequence[str]) -> dict[str, str]:
    return {_ID: f"!in({','.join(nodes)})"}


def _named(resources: Resources) -> str:
    return f"{_MODEL}{resources.accelerator_type}"


def alive_nodes() -> list[dict[str, Any]]:
    """Return the living nodes of the Ray that this process has joined, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def is_drained(actor: Any) -> bool:
    """Return whether an actor's node is being drained or ended by a drain, such as one that a cloud takes away.

    Ray reports this with an actor's death only if it saw the whole course of it, and not after a broken connection.
    """
    import ray
    from ray.core.generated.common_pb2 import NodeDeathInfo  # type: ignore[attr-defined]

    place = ray._private.state.actors(actor._actor_id.hex()).get("Address", {}).get("NodeID", "")
    reasons = (NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED, NodeDeathInfo.AUTOSCALER_DRAIN_IDLE)
    gone = {node["NodeID"] for node in ray.nodes() if node["DeathReason"] in reasons}  # type: ignore[no-untyped-call]
    return place in gone | set(ray._private.state.state.get_draining_nodes())


def resources_of_nodes() -> dict[str, Mapping[str, float]]:
    """Return the resources of each living node, by node id and then by Ray's names."""
    return {node["NodeID"]: node["Resources"] for node in alive_nodes()}


def slots_of(resources: Resources, nodes: Iterable[Mapping[str, float]]) -> int:
    """Return how many trials fit at a time on nodes.

    Args:
        resources: What one trial needs.
        nodes: What each node has, by Ray's names.

    Raises:
        ResourceError: Not a single trial fits.
    """
    nodes = list(nodes)
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
    """The number of trials that a sweep may run at a time now, and the nodes on which none may run.

    The number is as many as fit on the present nodes, and at most `most`.

    Args:
        resources: What one trial needs.
        most: The largest number of trials at a time, or None for no bound.
        say: Called with a line when the number changes, such as when a node has joined or left.
        nodes: Returns the resources of the living nodes.
        clock: Returns the time in s.
        spares_gpus: Whether nodes with a GPU are left to others as long as a trial fits on a node without one.
    """

    def __init__(
        self,
        resources: Resources,
        most: int | None,
        say: Callable[[str], None],
        nodes: Callable[[], Mapping[str, Mapping[str, float]]] = resources_of_nodes,
        clock: Callable[[], float] = time.monotonic,
        *,
        spares_gpus: bool = False,
    ) -> None:
        self._resources, self._most, self._say, self._nodes, self._clock = resources, most, say, nodes, clock
        self._spares_gpus = spares_gpus
        self._bad: set[str] = set()
        self.away: tuple[str, ...] = ()  # the nodes on which no trial may run
        slots_of(resources, nodes().values())
        self._fits = self._look()

    def __call__(self) -> int:
        if self._clock() - self._looked >= _PERIOD:
            self._update(self._look() or self._fits)
        return self._bounded

    def exclude(self, node: str) -> bool:
        """Run no trial on a node any more; change nothing and return False if none would fit on another."""
        self._bad.add(node)
        if fits := self._look():
            self._update(fits)
            return True
        self._bad.discard(node)
        self._look()
        return False

    def _look(self) -> int:
        """Return how many trials fit on the nodes that may be used now, and update `away`."""
        self._looked = self._clock()
        nodes = self._nodes()
        able = {name: node for name, node in nodes.items() if name not in self._bad}
        plain = {name: node for name, node in able.items() if not node.get("GPU")}
        if self._spares_gpus and self._count(plain):
            able = plain
        self.away = tuple(sorted(self._bad | (nodes.keys() - able.keys())))
        return self._count(able)

    def _count(self, nodes: Mapping[str, Mapping[str, float]]) -> int:
        return sum(_on_node(self._resources, node) for node in nodes.values())

    def _update(self, fits: int) -> None:
        before, self._fits = self._bounded, fits
        if self._bounded != before:
            self._say(f"note: {self._bounded} trials fit at a time now, {before} did before")

    @property
    def _bounded(self) -> int:
        return min(self._fits, self._most or self._fits)
