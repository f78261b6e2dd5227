"""Where the seconds of a sweep go: what its workers do, what its driver does while they wait, and what is left."""

from collections import defaultdict
from collections.abc import Mapping
from time import perf_counter

# What slots are there for first, then what it costs, in the order in which a profile is read.
PARTS = {
    "training": "steps of trials, forward and backward",
    "validation": "what is measured at a report, with the digest of the weights",
    "preparing": "a model built anew, or read from its checkpoint",
    "checkpoint": "state written, so that a kill loses none of it",
    "ledger": "rows committed while a worker waits",
    "deciding": "what to try and whom to stop, while a worker waits",
    "Ray": "messages between worker and driver, and waiting for another's to be taken",
    "start-up": "Ray, imports and data, until a slot has its first trial",
    "ending": "the test set, tables, figures, the report and Ray's end",
    "idle": "a slot without a trial, and what was not told",
}


class Spending:
    """Counts one process's seconds, each as spent on one thing."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._since = perf_counter()

    def book(self, part: str, *, first: str = "", seconds: float = 0.0) -> None:
        """Count what has passed since the last call as spent on a part, after up to so many seconds of a first one."""
        now = perf_counter()
        passed, self._since = now - self._since, now
        if first:
            self._seconds[first] += min(seconds, passed)
            passed -= min(seconds, passed)
        self._seconds[part] += passed

    def told(self) -> dict[str, float]:
        """What was counted since this was asked last, s."""
        told, self._seconds = dict(self._seconds), defaultdict(float)
        return told


class Profile:
    """What a session's slots did with their time, from when this is made; `driver` counts what its driver does."""

    def __init__(self, driver: Spending) -> None:
        self.driver = driver
        self._slots = 0
        self._workers: defaultdict[str, float] = defaultdict(float)  # all of them, s
        self._starts: list[float] = []  # when each slot had its first trial
        self._begun = self._searched = perf_counter()
        self._driven: defaultdict[str, float] = defaultdict(float)  # while trials ran, s

    def opened(self, slots: int) -> None:
        """Trials may run from now on, so many at a time."""
        self._slots = max(self._slots, slots)
        self.driver.told()

    def started(self, slots: int) -> None:
        """A worker has its first trial; slots: how many there are by now."""
        self._slots = max(self._slots, slots)
        if len(self._starts) < self._slots:
            self._starts.append(perf_counter())

    def add(self, told: Mapping[str, float]) -> None:
        """Take what a worker did since its last word, s."""
        for part, seconds in told.items():
            self._workers[part] += seconds

    def closed(self) -> None:
        """No trial runs any more."""
        self._searched = perf_counter()
        for part, seconds in self.driver.told().items():
            self._driven[part] += seconds

    def parts(self) -> dict[str, float]:
        """Seconds of all slots until now by PARTS, which add up to slots times wall-clock."""
        now = perf_counter()
        found = {part: self._workers[part] for part in ("training", "validation", "preparing", "checkpoint")}
        waited = self._workers["waiting"]
        for part in ("ledger", "deciding"):
            found[part] = min(self._driven[part], waited)
            waited -= found[part]
        found["Ray"] = waited
        unused = self._slots - len(self._starts)
        found["start-up"] = sum(self._starts) - self._begun * self._slots + unused * self._searched
        found["ending"] = self._slots * (now - self._searched)
        found["idle"] = self._slots * (now - self._begun) - sum(found.values())
        return {part: found[part] for part in PARTS}
