"""A check that every node of a cluster sees the sweep's folder: a trial continues from another node's files."""

import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.errors import LedgerError, ResourceError
from sweeps.execution.placing import alive_nodes
from sweeps.store.folders import SweepFolder
from sweeps.store.objects import ObjectStore

_PATIENCE = 10.0  # s that a network file system may take to show a file that another node wrote
_PAUSE = 0.2


@dataclass(frozen=True)
class Mark:
    """A file in the sweep's folder with a text that no other folder has.

    Attributes:
        path: The file.
        text: Its text.
        store: The object store of the sweep, if it is in one.
    """

    path: Path
    text: str
    store: ObjectStore | None = None

    def missing(self) -> str | None:
        """Return why this node can't take part, or None if it sees the file."""
        try:
            if self.store:
                self.store.fetch(self.path)
        except (LedgerError, OSError) as error:
            return f"the node {socket.gethostname()} can't fetch its copy ({error})"
        last = time.monotonic() + _PATIENCE
        while not self._is_seen():
            # If the folder itself is missing, the file is not on its way.
            if not self.path.parent.exists() or time.monotonic() > last:
                return f"the node {socket.gethostname()} does not see {self.path.parents[1]} as the driver does"
            time.sleep(_PAUSE)
        return None

    def _is_seen(self) -> bool:
        try:
            return self.path.read_text("utf-8") == self.text
        except OSError:
            return False


def make_mark(folder: SweepFolder) -> Mark:
    """Write the mark of a session, which replaces that of an earlier session."""
    mark = Mark(folder.logs / ".session", secrets.token_hex(16), folder.store)
    mark.path.write_text(mark.text, "utf-8")
    if mark.store:
        mark.store.send(mark.path)
    return mark


def check_shared(mark: Mark) -> None:
    """Ask every other node for the mark.

    Raises:
        ResourceError: At least one node does not see the mark; the error has the answers of all such nodes.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    ask: Any = ray.remote(_missing)
    others = [node for node in alive_nodes() if node["NodeID"] != here]
    there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in others]
    asked = [ask.options(num_cpus=0, scheduling_strategy=place).remote(mark) for place in there]
    answers = (_answer(answer, node["NodeManagerHostname"]) for answer, node in zip(asked, others, strict=True))
    if lacking := sorted({why for why in answers if why}):
        advice = (
            f"give every node what it needs to reach {mark.store.url}, and room for its copies"
            if mark.store
            else "give --results on a file system that all nodes share, at the same path"
        )
        raise ResourceError(f"{'; '.join(lacking)}: {advice}")


def _answer(asked: Any, node: str) -> str | None:
    """Return a node's answer, or None if it died meanwhile; its workers ask again if it comes back."""
    import ray

    try:
        answer: str | None = ray.get(asked)
    except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        return f"the node {node} can't run what this sweep needs ({last})"
    except ray.exceptions.RayError:
        return None
    return answer


def _missing(mark: Mark) -> str | None:
    return mark.missing()
