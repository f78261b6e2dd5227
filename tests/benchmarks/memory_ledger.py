"""A ledger that keeps nothing, for drivers that are simulated: its rows are stamped with the simulated time."""

import itertools

from sweeps.search.history import History, Row, Stamp


class InMemoryLedger:
    """What a Driver needs of a ledger; `now` is the simulated time, s."""

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
        return []  # it is never away
