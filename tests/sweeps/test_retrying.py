"""Tests of failed trials that run again once their code is fixed: recorded, verifiable, and safe through any kill."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from simulation import Simulation, rows_of, small_spec

from sweeps.errors import SpecError, SweepError
from sweeps.execution.conclusion import conclude
from sweeps.execution.driver import Driver
from sweeps.execution.ordering import InOrder
from sweeps.search.extension import Changes, as_extended, retry
from sweeps.search.history import (
    AGAIN,
    Asked,
    History,
    Measured,
    Moved,
    Noted,
    Stamp,
    TrialKey,
)
from sweeps.search.notes import EXTENDED, RETRY, SELECTED
from sweeps.search.standing import is_over
from sweeps.search.verification import verify
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger

PLAIN = {
    "pruning": {"name": "none", "max_fidelity": 6},
    "selection": {"candidates": 2, "seeds": 2, "published_seeds": 1},
}


class Code:
    """A target that raises after three reports if `is_broken` says so, and records where each run began."""

    def __init__(self, is_broken: Any) -> None:
        self.is_broken = is_broken
        self.began: list[tuple[int, int]] = []  # (seed, number of the report before the run's first)

    def __call__(self, params: Mapping[str, Any], seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
        first = checkpoint["report"] if checkpoint else 0
        self.began.append((seed, first))
        for report in range(first + 1, 7):
            if report > 3 and self.is_broken(params, seed):
                raise RuntimeError("a fault in the code")
            yield {"loss": abs(params["x"] - 0.3) + 1 / report, "checkpoint": {"report": report}}


def session(folder: SweepFolder, spec: SweepSpec, code: Code, stop: Any = lambda driver: False) -> Driver:
    """Drive the sweep to its end, or until `stop(driver)` is true, and return the driver."""
    ledger = Ledger.open(folder.ledger) if folder.ledger.exists() else Ledger.create(folder.ledger, spec)
    with closing(ledger):
        history = ledger.history()
        driver = Driver(as_extended(spec, history), folder, ledger, history=history)
        driver.start({})
        simulation = Simulation(InOrder(driver) if spec.deterministic else driver)
        simulation.function = code
        simulation.run(stop=lambda: stop(driver))
        if not stop(driver):
            conclude(driver, None, None)
    return driver


def change(folder: SweepFolder, spec: SweepSpec) -> list[Noted]:
    """Record that failed trials run again, as `sweeps resume --retry-failed` does, and return the rows."""
    with closing(Ledger.open(folder.ledger)) as ledger:
        history, rows = ledger.history(), []
        for row in Changes(retry_failed=True).rows(spec, history):
            history.apply(ledger.append(row), row)
            rows.append(row)
    return rows


@pytest.mark.parametrize("changes", [{}, {"deterministic": True}], ids=["plain", "deterministic"])
def test_failed_trials_go_on_from_their_checkpoints_and_the_outcome_is_computed_again(
    folder: SweepFolder, changes: dict[str, Any]
) -> None:
    folder.create()
    spec = small_spec(**PLAIN, **changes)
    broken = session(folder, spec, Code(lambda params, _: params["x"] < 0.5))
    failed = broken.history.in_state("failed")
    assert failed
    assert is_over(spec, broken.history)
    (row,) = change(folder, spec)
    code = Code(lambda *_: False)
    mended = session(folder, spec, code)

    assert row.body["trials"] == [list(trial.key) for trial in failed]
    assert sorted(code.began[: len(failed)]) == sorted((trial.seed, 3) for trial in failed)
    assert not mended.history.in_state("failed")
    assert len(mended.history.search) == spec.trials
    assert {trial.key: trial.params for trial in broken.history.search} == {
        trial.key: trial.params for trial in mended.history.search
    }
    outcomes = [note.body for note in mended.history.noted("outcome")]
    assert len(outcomes) == 2
    assert mended.history.trials[TrialKey(outcomes[1]["winner"])].params["x"] < 0.5
    assert is_over(spec, mended.history)
    assert verify(spec, rows_of(folder)).difference is None


def test_no_report_is_lost_or_made_twice(folder: SweepFolder) -> None:
    folder.create()
    spec = small_spec(**PLAIN)
    session(folder, spec, Code(lambda params, _: params["x"] < 0.5))
    before = rows_of(folder)
    change(folder, spec)
    session(folder, spec, Code(lambda *_: False))
    rows = rows_of(folder)

    assert rows[: len(before)] == before
    reports = [(row.key, row.measurement.report) for _, row in rows if isinstance(row, Measured)]
    assert len(reports) == len(set(reports))


def test_runs_on_fresh_seeds_that_failed_go_on_too(folder: SweepFolder) -> None:
    folder.create()
    spec = small_spec(**PLAIN)
    searched = session(folder, spec, Code(lambda *_: False), stop=lambda driver: len(driver.history.selection) == 1)
    seeds = {trial.seed for trial in searched.history.search}
    session(folder, spec, Code(lambda _, seed: seed not in seeds))
    (row,) = change(folder, spec)
    mended = session(folder, spec, Code(lambda *_: False))

    assert row.body["trials"]
    assert all(replicate for _, replicate in row.body["trials"])
    assert not mended.history.in_state("failed")
    assert mended.history.outcome is not None
    assert mended.history.outcome["winner"] is not None
    assert verify(spec, rows_of(folder)).difference is None


@pytest.mark.parametrize("reports", [0, 1, 4])
def test_a_kill_after_the_row_or_at_any_report_loses_nothing(folder: SweepFolder, reports: int) -> None:
    folder.create()
    spec = small_spec(**PLAIN)
    session(folder, spec, Code(lambda params, _: params["x"] < 0.5))
    change(folder, spec)
    end = len(rows_of(folder))
    mended = Code(lambda *_: False)
    session(folder, spec, mended, stop=lambda driver: _made(driver, end) >= reports)
    last = session(folder, spec, mended)

    assert not last.history.in_state("failed")
    assert verify(spec, rows_of(folder)).difference is None


def _made(driver: Driver, end: int) -> int:
    return sum(seq > end for trial in driver.history.trials.values() for seq in trial.seqs)


def test_a_trial_that_fails_again_has_failed_and_may_run_again(folder: SweepFolder) -> None:
    folder.create()
    spec = small_spec(**PLAIN, retries={"failed": 1, "wait": 1e-9})
    broken = Code(lambda params, _: params["x"] < 0.5)
    first = session(folder, spec, broken).history.in_state("failed")
    attempts = len(broken.began)
    change(folder, spec)
    second = session(folder, spec, broken)

    assert {trial.key for trial in second.history.in_state("failed")} == {trial.key for trial in first}
    assert len(broken.began) - attempts == 2 * len(first)  # as many attempts as a new trial has
    assert len(change(folder, spec)) == 1
    assert not session(folder, spec, Code(lambda *_: False)).history.in_state("failed")


class Nameless(Code):
    """A target that reports its metric under a wrong name."""

    def __call__(self, params: Mapping[str, Any], seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
        for report in super().__call__(params, seed, checkpoint):
            yield {"Loss" if name == "loss" else name: value for name, value in report.items()}


@pytest.mark.parametrize("pruning", [PLAIN["pruning"], {"name": "asha", "max_fidelity": 6}], ids=["plain", "asha"])
def test_trials_without_the_metric_start_again_once_the_code_names_it(
    folder: SweepFolder, pruning: dict[str, Any]
) -> None:
    folder.create()
    spec = small_spec(**{**PLAIN, "pruning": pruning})
    with pytest.raises(SweepError, match=r"the metric 'loss' was not reported, only: Loss: yield it, then `sweeps"):
        session(folder, spec, Nameless(lambda *_: False))
    before = rows_of(folder)
    (row,) = change(folder, spec)
    code = Code(lambda *_: False)
    mended = session(folder, spec, code)

    assert row.body["from_start"]
    assert all(first == 0 for _, first in code.began[: len(row.body["from_start"])])
    assert rows_of(folder)[: len(before)] == before
    assert not mended.history.in_state("failed")
    assert all("Loss" not in measurement.values for _, measurement in mended.history.measured)
    assert mended.history.outcome is not None
    assert verify(spec, rows_of(folder)).difference is None


class SometimesNameless(Code):
    """A target that reports its metric under a wrong name in trials with a large x."""

    def __call__(self, params: Mapping[str, Any], seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
        for report in super().__call__(params, seed, checkpoint):
            yield {"Loss" if name == "loss" and params["x"] > 0.5 else name: value for name, value in report.items()}


def test_every_report_after_a_retry_counts_at_its_rung(folder: SweepFolder) -> None:
    folder.create()
    spec = small_spec(**{**PLAIN, "trials": 30, "pruning": {"name": "asha", "max_fidelity": 6}})
    session(folder, spec, SometimesNameless(lambda *_: False))
    (row,) = change(folder, spec)
    mended = session(folder, spec, Code(lambda *_: False))

    assert row.body["from_start"]
    assert not mended.history.in_state("failed")
    assert verify(spec, rows_of(folder)).difference is None


def test_verification_names_a_retry_that_takes_back_reports_that_count(folder: SweepFolder) -> None:
    folder.create()
    spec = small_spec(**PLAIN)
    session(folder, spec, Code(lambda params, _: params["x"] < 0.5))
    change(folder, spec)
    *rows, (stamp, row) = rows_of(folder)
    assert isinstance(row, Noted)
    assert row.body["from_start"] == []
    taken = Noted(RETRY, {**row.body, "from_start": row.body["trials"]})

    assert "it takes back reports that count" in str(verify(spec, [*rows, (stamp, taken)]).difference)


def test_where_nothing_failed_nothing_is_recorded(folder: SweepFolder) -> None:
    folder.create()
    spec = small_spec(**PLAIN)
    session(folder, spec, Code(lambda *_: False))
    rows = rows_of(folder)

    assert change(folder, spec) == []
    assert rows_of(folder) == rows


def failed_once(*notes: Noted, moment: float = 1.0) -> History:
    """Return the history of a sweep whose only trial failed at `moment` in its first session."""
    key, history = TrialKey(0), History()
    history.apply(Stamp(1, 0.0), Noted("session", {}))
    for row in (Asked(key, {"x": 0.5, "kind": "a"}, 1, 1), Moved(key, "failed", "why"), *notes):
        history.apply(Stamp(history.last.seq + 1, moment), row)
    return history


def test_what_has_no_budget_left_is_not_retried_and_the_remedy_is_said() -> None:
    with pytest.raises(SpecError, match=r"can't retry trial 0: nothing is left of its time; add --time \+10m"):
        retry(small_spec(time="10s"), failed_once(moment=10.0))
    with pytest.raises(SpecError, match=r"can't retry trial 0: the search was ended by hand; add --trials \+6"):
        retry(small_spec(), failed_once(Noted(SELECTED, {})))
    assert retry(small_spec(), failed_once(Noted(SELECTED, {}), Noted(EXTENDED, {"trials": 1}))) is not None


def test_verification_names_a_trial_that_had_not_failed() -> None:
    again = {"trials": [[0, 0]], "from_start": [[0, 0]]}
    history = failed_once(Noted(RETRY, again))
    trial = history.trials[TrialKey(0)]
    assert (trial.state, trial.reason, history.is_concluded) == ("cut", AGAIN, False)

    rows = [(Stamp(1, 0.0), Noted("session", {})), (Stamp(2, 0.0), Noted(RETRY, again))]
    assert verify(small_spec(), rows).difference == "the note 'retry' (row 2): trial 0 had not failed"
