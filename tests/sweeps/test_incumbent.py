"""Tests of the best value so far: as reports came, over the time that sessions used and over the epochs trained."""

import math
from collections.abc import Iterable

from simulation import Simulation, open_driver, rows_of, small_spec

from study.measurement import Measurement
from sweeps.search.history import Asked, History, Measured, Noted, Row, Stamp, TrialKey
from sweeps.search.incumbent import Incumbent, best_so_far, epochs_trained
from sweeps.store.folders import SweepFolder

SPEC = small_spec()  # minimizes


def history(rows: Iterable[tuple[float, Row]]) -> History:
    """Return the history of these (time, row) pairs."""
    return History((Stamp(seq, time), row) for seq, (time, row) in enumerate(rows, start=1))


def asked(number: int, replicate: int = 0) -> Asked:
    return Asked(TrialKey(number, replicate), {"x": 0.5, "kind": "a"}, 1, 0)


def measured(number: int, fidelity: int, loss: float, replicate: int = 0) -> Measured:
    return Measured(TrialKey(number, replicate), Measurement(fidelity, fidelity, float(fidelity), 0.1, {"loss": loss}))


SESSION = Noted("session", {"slots": 1})


def test_only_what_is_better_than_all_before_counts() -> None:
    rows = [SESSION, asked(0), asked(1), measured(0, 1, 0.5), measured(1, 1, 0.7), measured(0, 2, 0.5)]
    rows += [measured(1, 3, 0.4), measured(0, 3, 0.45)]
    found = best_so_far(SPEC, history((10.0 + i, row) for i, row in enumerate(rows)))

    assert found == [Incumbent(3.0, 1.0, 0.5, 0), Incumbent(6.0, 5.0, 0.4, 1)]


def test_a_search_that_maximizes_looks_for_more() -> None:
    rows = [SESSION, asked(0), measured(0, 1, 0.5), measured(0, 2, 0.4), measured(0, 3, 0.6)]
    found = best_so_far(small_spec(direction="maximize"), history((float(i), row) for i, row in enumerate(rows)))

    assert [incumbent.value for incumbent in found] == [0.5, 0.6]


def test_what_is_not_finite_or_on_a_fresh_seed_is_no_incumbent_but_its_epochs_count() -> None:
    rows = [SESSION, asked(0), measured(0, 1, math.nan), asked(0, 1), measured(0, 2, 0.1, replicate=1)]
    rows += [measured(0, 2, 0.9)]
    found = history((float(i), row) for i, row in enumerate(rows))

    assert best_so_far(SPEC, found) == [Incumbent(5.0, 4.0, 0.9, 0)]
    assert epochs_trained(found) == 4.0


def test_the_time_between_sessions_does_not_count() -> None:
    rows = [
        (0.0, SESSION),
        (1.0, asked(0)),
        (5.0, measured(0, 1, 0.5)),
        (1000.0, SESSION),
        (1002.0, measured(0, 2, 0.4)),
    ]

    assert [incumbent.seconds for incumbent in best_so_far(SPEC, history(rows))] == [5.0, 7.0]


def test_nothing_recorded_later_changes_what_came_before(folder: SweepFolder) -> None:
    Simulation(open_driver(folder, SPEC)).run()
    rows = rows_of(folder)
    whole = best_so_far(SPEC, History(rows))

    assert len(whole) > 2
    for count in range(0, len(rows), 7):
        part = best_so_far(SPEC, History(rows[:count]))
        assert part == whole[: len(part)]
