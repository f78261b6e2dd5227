"""Accounts of a sweep's seconds: what its workers do, what its driver does while they wait, and what is left."""

from collections import defaultdict
from collections.abc import Mapping
from time import perf_counter

# The purpose of slots first, then what it costs, in the order in which a profile is read.
PARTS = {
    "training": "steps of trials, forward and backward",
    "validation": "what is measured at a report, with the digest of the weights",
    "preparing": "a model built again, or read from its checkpoint",
    "checkpoint": "state written, so that a kill loses none of it",
    "ledger": "rows committed while a worker waits",
    "deciding": "what to try and which trials to stop, while a worker waits",
    "Ray": "messages between worker and driver, and waiting for another's to be taken",
    "start-up": "Ray, imports and data, until a slot has its first trial",
    "ending": "the test set, tables, figures, the report and Ray's end",
    "idle": "a slot without a trial, and what was not told",
}


class Spending:
    """A count of one process's seconds, each spent on one part."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._since = perf_counter()

    def book(self, part: str, *, first: str = "", seconds: float = 0.0) -> None:
        """Count the time since the last call as spent on a part.

        Args:
            part: The part on which the time was spent.
            first: Another part on which up to `seconds` of the time were spent before, if any.
            seconds: The most that `first` gets, s.
        """
        now = perf_counter()
        passed, self._since = now - self._since, now
        if first:
            self._seconds[first] += min(seconds, passed)
            passed -= min(seconds, passed)
        self._seconds[part] += passed

    def told(self) -> dict[str, float]:
        """Return the seconds by part that were counted since the last call of this method."""
        told, self._seconds = dict(self._seconds), defaultdict(float)
        return told


class Profile:
    """A profile of what a session's slots did with their time.

    Args:
        driver: The count of what the session's driver does.
        begun: When the session was called for, s of perf_counter.
    """

    def __init__(self, driver: Spending, begun: float) -> None:
        self.driver = driver
        self._told: defaultdict[str, float] = defaultdict(float)  # by all workers, and by the driver for them, s
        self._since: list[float] = []  # when each present slot appeared
        self._gone = 0.0  # how long the slots that have disappeared were there, s
        self._starting: list[float] = []  # since when slots without a first trial have waited for it
        self._started = 0.0  # how long slots waited for their first trial, s
        self._first: float | None = None  # when a slot first had a trial of this part of the sweep
        self._closed = begun

    def opened(self, slots: int) -> None:
        """Note that trials may run in these slots; the time since the session's call or the last part was a start."""
        self._fit(slots, self._closed)
        self._starting, self._first = [self._closed] * slots, None

    def there(self, slots: int) -> None:
        """Note how many slots there are now, such as after a node has joined or left."""
        self._fit(slots, perf_counter())

    def _fit(self, slots: int, now: float) -> None:
        more = slots - len(self._since)
        self._since += [now] * more
        self._starting += [now] * more
        for _ in range(-more):
            self._gone += now - self._since.pop()
        del self._starting[slots:]

    def started(self) -> None:
        """Note that a worker has its first trial."""
        now = perf_counter()
        self._first = self._first or now
        if self._starting:
            self._started += now - self._starting.pop(0)

    def add(self, told: Mapping[str, float]) -> None:
        """Add the seconds by part of a worker since its last message, or of the driver while that worker waited."""
        for part, seconds in told.items():
            self._told[part] += seconds

    def closed(self) -> None:
        """Note that no trial runs any more, or none of this part of the sweep."""
        self._closed = perf_counter()
        # A slot that never had a trial was starting until another slot had one, and idle from then on.
        until = self._first or self._closed
        self._started += sum(max(0.0, until - since) for since in self._starting)
        self._starting = []

    def parts(self) -> dict[str, float]:
        """Return the seconds of all slots until now by PARTS, or {} if there was no slot yet.

        They add up to the time for which the slots were there.
        """
        if not self._since:
            return {}
        now = perf_counter()
        found = {part: self._told[part] for part in ("training", "validation", "preparing", "checkpoint")}
        waited = self._told["waiting"]
        for part in ("ledger", "deciding"):
            found[part] = min(self._told[part], waited)  # less than was counted if the waiting worker had no next trial
            waited -= found[part]
        found["Ray"] = waited
        found["start-up"] = self._started
        found["ending"] = len(self._since) * (now - self._closed)
        found["idle"] = self._gone + sum(now - since for since in self._since) - sum(found.values())
        return {part: found[part] for part in PARTS}
