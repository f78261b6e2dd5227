"""The word that a sweep is stopping, from its driver to the workers on any node: one key in Ray's own store."""

import secrets
import threading
from dataclasses import dataclass, field

_NAMESPACE = "sweeps"
_PERIOD = 0.5  # s between two looks
patience = 10.0  # s that workers have for saving; a function between two reports can't hear. A job sets more.


@dataclass(frozen=True)
class StopWord:
    """Said once by a driver; `heard` tells it in a worker."""

    key: str = field(default_factory=lambda: f"stop-{secrets.token_hex(8)}")

    def say(self) -> None:
        """Tell all workers."""
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(self.key, b"stop", namespace=_NAMESPACE)

    def forget(self) -> None:
        """Free the key, once nobody listens any more."""
        from ray.experimental.internal_kv import _internal_kv_del

        _internal_kv_del(self.key, namespace=_NAMESPACE)

    def heard(self) -> threading.Event:
        """Set once it was said. Costs who asks nothing, since a thread looks."""
        from ray.experimental.internal_kv import _internal_kv_exists

        said = threading.Event()

        def look() -> None:
            while not said.wait(_PERIOD):
                try:
                    if _internal_kv_exists(self.key, namespace=_NAMESPACE):
                        said.set()
                except Exception:  # the head is away for a moment: training goes on, and so does the asking
                    continue

        threading.Thread(target=look, name="stop-word", daemon=True).start()
        return said
