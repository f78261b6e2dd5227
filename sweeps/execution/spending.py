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
    """What a session's slots did with their time; `driver` counts what its driver does.

    begun: when the session was called for, by perf_counter.
    """

    def __init__(self, driver: Spending, begun: float) -> None:
        self.driver = driver
        self._told: defaultdict[str, float] = defaultdict(float)  # by all workers, and by the driver for them, s
        self._since: list[float] = []  # from when on each slot was there
        self._starts: list[float] = []  # when each had its first trial
        self._begun = self._searched = begun

    def opened(self, slots: int) -> None:
        """Trials may run from now on, so many at a time; the first slots are there from the sweep's start on."""
        self._since += [self._begun] * (slots - len(self._since))

    def started(self, slots: int) -> None:
        """A worker has its first trial; slots: how many there are by now, as where a node joined."""
        now = perf_counter()
        self._since += [now] * (slots - len(self._since))
        if len(self._starts) < len(self._since):
            self._starts.append(now)

    def add(self, told: Mapping[str, float]) -> None:
        """Take what a worker did since its last word, or the driver while that waited, s."""
        for part, seconds in told.items():
            self._told[part] += seconds

    def closed(self) -> None:
        """No trial runs any more."""
        self._searched = perf_counter()

    def parts(self) -> dict[str, float]:
        """Seconds of all slots until now by PARTS, which add up to the time for which each was there; {} before any."""
        if not self._since:
            return {}
        now = perf_counter()
        found = {part: self._told[part] for part in ("training", "validation", "preparing", "checkpoint")}
        waited = self._told["waiting"]
        for part in ("ledger", "deciding"):
            found[part] = min(self._told[part], waited)  # less, where a worker that was waited for had no next trial
            waited -= found[part]
        found["Ray"] = waited
        unused = len(self._since) - len(self._starts)
        found["start-up"] = sum(self._starts) + unused * self._searched - sum(self._since)
        found["ending"] = len(self._since) * (now - self._searched)
        found["idle"] = sum(now - since for since in self._since) - sum(found.values())
        return {part: found[part] for part in PARTS}
