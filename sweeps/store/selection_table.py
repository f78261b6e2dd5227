"""The table selection.parquet: a row for each candidate of the final selection and for each of its fresh-seed runs."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sweeps.search.history import History, Trial
from sweeps.search.intervals import CONFIDENCE, Interval, interval
from sweeps.search.selection import BASELINE, Candidate, Selection
from sweeps.spec import COSTS, SweepSpec
from sweeps.store.columns import Column, unique_names

_COST_UNITS = {"epoch_seconds": "s", "latency": "s an image"}
_SHORT = {"mean": "", "low": "_low", "high": "_high"}


@dataclass(frozen=True)
class Judged:
    """A row of the table: a candidate's own or, if `run` is set, that of one of its runs on fresh seeds."""

    candidate: Candidate
    selection: Selection
    run: Trial | None = None


def selection_rows(history: History, selection: Selection | None) -> list[Judged]:
    """Return the rows of the table: candidates in the selection's order, each before its runs."""
    rows = []
    for candidate in selection.candidates if selection else ():
        assert selection is not None
        runs = [run for run in history.selection if run.key.number == candidate.number]
        rows.append(Judged(candidate, selection))
        rows += [Judged(candidate, selection, run) for run in sorted(runs, key=lambda run: run.key)]
    return rows


def selection_columns(spec: SweepSpec) -> list[Column]:
    """Return the columns of the table.

    Most columns about a candidate are null in the rows of its runs. Columns about a run are null in a candidate's row.
    """
    before = [
        Column(
            "row", pa.string(), "", "candidate, or seed: one of its runs", lambda r: "seed" if r.run else "candidate"
        ),
        Column("trial", pa.int64(), "", "number of the trial that was tried again", lambda r: r.candidate.number),
        Column("purpose", pa.string(), "", "of a run: choice or publication", _of_run(lambda run: run.key.stage)),
        Column("replicate", pa.int64(), "", "which fresh seed of its purpose", _of_run(lambda run: run.key.fresh)),
        Column("trial_seed", pa.int64(), "", "the fresh seed, common to all", _of_run(lambda run: run.seed)),
        Column("value", pa.float64(), "", f"{spec.metric} on this seed", _of_run(lambda run: run.value(spec.metric))),
        *_interval("mean", "over the seeds that chose", _mean)[:3],
        Column("n", pa.int64(), "seeds", "of the mean", _of_candidate(lambda r: r.candidate.n)),
        *_interval("difference", "from the winner, paired by the seeds that chose", lambda r: r.candidate.difference),
        Column(
            "rank", pa.int64(), "", "place in the choice, 1 is the winner's", _of_candidate(lambda r: r.candidate.rank)
        ),
        Column(
            "decision",
            pa.string(),
            "",
            "winner, beaten, raced out, out or not compared",
            lambda r: r.candidate.decision,
        ),
        Column("reason", pa.string(), "", "of the decision, or of the run's state", _reason),
        *_interval("published", "mean of winner and baseline over further seeds", _published),
        *_interval("advantage", "of the winner over the baseline, paired by the further seeds", _advantage),
        Column(
            "searched", pa.float64(), "", "what the search saw last, on its one seed", lambda r: r.candidate.searched
        ),
        Column("searched_at", pa.float64(), spec.fidelity_unit, "its fidelity then", lambda r: r.candidate.searched_at),
        Column(
            "optimism", pa.float64(), "", "how much better that was than what is published", _of_candidate(_optimism)
        ),
        Column("is_confirmed", pa.bool_(), "", "the winner's value is from seeds that chose nothing", _is_confirmed),
    ]
    after = [
        Column(
            "on_front",
            pa.bool_(),
            "",
            "no other is better and cheaper",
            _of_candidate(lambda r: r.candidate.on_front),
        ),
        Column("state", pa.string(), "", "of the run on this seed", _of_run(lambda run: run.state)),
        Column("is_baseline", pa.bool_(), "", "every parameter's default", lambda r: r.candidate.number == BASELINE),
        Column("is_final", pa.bool_(), "", "the model that is stored, tested and replayed", _is_final),
        Column("digest", pa.string(), "", "SHA-256 of the weights", _of_run(lambda run: run.last and run.last.digest)),
    ]
    return [*before, *_cost_columns(spec, [column.name for column in (*before, *after)]), *after]


def _cost_columns(spec: SweepSpec, fixed: Collection[str]) -> list[Column]:
    """Return the columns of a candidate's costs; the cost of a function is a metric, which may have any name."""
    costs = [spec.selection.cost] if spec.target and spec.selection.cost else list(() if spec.target else COSTS)
    names = unique_names(fixed, costs, "cost_")
    return [
        Column(names[name], pa.float64(), _COST_UNITS.get(name, ""), f"{name}, mean of its runs", _cost(name), name)
        for name in costs
    ]


def _of_run(ask: Callable[[Trial], Any]) -> Callable[[Judged], Any]:
    return lambda row: None if row.run is None else ask(row.run)


def _of_candidate(ask: Callable[[Judged], Any]) -> Callable[[Judged], Any]:
    return lambda row: ask(row) if row.run is None else None


def _interval(name: str, meaning: str, of: Callable[[Judged], Interval | None]) -> list[Column]:
    """Return columns of a mean, the bounds of its interval and its number of seeds, for a candidate's row."""

    def part(field: str) -> Callable[[Judged], float | int | None]:
        return _of_candidate(lambda row: None if (known := of(row)) is None else getattr(known, field))

    bound = f"bound of its {CONFIDENCE:.0%} t interval"
    meanings = {"mean": meaning, "low": f"lower {bound}", "high": f"upper {bound}"}
    known = [Column(f"{name}{_SHORT[field]}", pa.float64(), "", meanings[field], part(field)) for field in meanings]
    return [*known, Column(f"{name}_n", pa.int64(), "seeds", f"of {name}", part("n"))]


def _mean(row: Judged) -> Interval | None:
    return None if row.candidate.mean is None else interval(list(row.candidate.counted.values()))


def _published(row: Judged) -> Interval | None:
    return next((p.interval for p in row.selection.published if p.number == row.candidate.number), None)


def _advantage(row: Judged) -> Interval | None:
    return row.selection.difference if row.candidate.decision == "winner" else None


def _optimism(row: Judged) -> float | None:
    return row.selection.optimism if row.candidate.decision == "winner" else None


def _is_confirmed(row: Judged) -> bool | None:
    return row.selection.is_confirmed if row.run is None and row.candidate.decision == "winner" else None


def _cost(name: str) -> Callable[[Judged], float | None]:
    return _of_candidate(lambda row: row.candidate.costs.get(name))


def _is_final(row: Judged) -> bool:
    return row.run is not None and row.run.key == row.selection.final


def _reason(row: Judged) -> str:
    return row.candidate.reason if row.run is None else row.run.reason
