"""A ledger that keeps nothing, for simulated drivers; its rows are stamped with the simulated time."""

import itertools

from sweeps.search.history import History, Row, Stamp


class InMemoryLedger:
    """The part of a ledger that a Driver needs; `now` is the simulated time, in s."""

    def __init__(self) -> None:
        self.now = 0.0
        self._seqs = itertools.count(1)

    def clock(self) -> float:
        return self.now

    def history(self) -> History:
        return History()

    def append(self, _row: Row) -> Stamp:
        return Stamp(next(self._seqs), self.now)

    def outages(self) -> list[str]:
        return []  # it is always reachable
