"""The word that a sweep is stopping, from its driver to the workers on all nodes: one key in Ray's internal store."""

import secrets
import threading
from dataclasses import dataclass, field

_NAMESPACE = "sweeps"
_PERIOD = 0.5  # s between two looks
patience = 10.0  # s that workers have for saving; a function can't stop between two reports. A job sets more.


@dataclass(frozen=True)
class StopWord:
    """A word that a driver says once, and that a worker receives by `heard`."""

    key: str = field(default_factory=lambda: f"stop-{secrets.token_hex(8)}")

    def say(self) -> None:
        """Send the word to all workers."""
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(self.key, b"stop", namespace=_NAMESPACE)

    def forget(self) -> None:
        """Free the key, once no worker listens any more."""
        from ray.experimental.internal_kv import _internal_kv_del

        _internal_kv_del(self.key, namespace=_NAMESPACE)

    def heard(self) -> threading.Event:
        """Return an event that is set once the word was said; a thread polls, so reading the event costs nothing."""
        from ray.experimental.internal_kv import _internal_kv_exists

        said = threading.Event()

        def look() -> None:
            while not said.wait(_PERIOD):
                try:
                    if _internal_kv_exists(self.key, namespace=_NAMESPACE):
                        said.set()
                except Exception:  # the head is away for a moment: training and polling continue
                    continue

        threading.Thread(target=look, name="stop-word", daemon=True).start()
        return said
