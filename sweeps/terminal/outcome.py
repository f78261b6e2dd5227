"""The outcome of a sweep in words, with the commands that come next."""

from collections.abc import Sequence

from sweeps.digits import alike, number
from sweeps.execution.failures import NOTE as ALIKE_NOTE
from sweeps.result import Result
from sweeps.returning import to_finish, to_reproduce, to_resume
from sweeps.search.extension import ended_by, more_of, searching_on
from sweeps.search.intervals import Interval, of_accuracy
from sweeps.search.outcome import shortened, unconfirmed
from sweeps.search.ranges import FAILURE_NOTE
from sweeps.search.selection import BASELINE, Candidate, Selection, selection_of
from sweeps.spec import SweepSpec
from sweeps.terminal.progress import params_in_brief

_ROUNDING = 1e-12  # relative: the mean of equal numbers may differ from them by less


def outcome_lines(result: Result) -> list[str]:
    """Return the outcome in words, as lines."""
    outcome = result.history.outcome
    if outcome is None:
        lines = [_not_over(result)]
        failures = (note for kind in (FAILURE_NOTE, ALIKE_NOTE) for note in result.history.noted(kind))
        return lines + [f"failed before: {note.body['reason']}" for note in failures]
    if result.spec.design:
        figures = ", ".join(name for name in result.folder.names if name.endswith(".png"))
        stored = [note.body["experiment"] for note in result.history.noted("scored")]
        return [
            f"{outcome['complete']} of {result.spec.trials} trials are complete",
            *([f"models: {', '.join(stored)} in {result.folder.home}"] if stored else []),
            f"tables: {result.folder.shown}/*.parquet, figures: {figures}",
            f"check:  {to_reproduce(result.spec, result.folder.where, 0)}",
        ]
    if outcome["winner"] is None:
        more = [] if result.state == "running" else _time_was_over(result)
        return [f"no winner: {outcome['reason']}", *(more or ([] if result.state == "over" else [_not_over(result)]))]
    selection = selection_of(result.spec, result.history)
    is_told = selection is not None and result.trial("best").key == selection.final
    if selection is None or not is_told or result.state != "over":
        return [
            f"trial {outcome['winner']} was the winner, {outcome['metric']} {number(outcome['mean'])}",
            f"it was continued since: {_not_over(result)}",
        ]
    lines = [*_winner_lines(result, selection)]
    if "test_accuracy" in outcome:
        reads = "read once" if outcome["test_reads"] == 1 else f"read {outcome['test_reads']} times in this sweep"
        accuracy = estimate(of_accuracy(outcome["test_accuracy"], outcome["test_images"]))
        lines.append(f"test set, {reads}: accuracy {accuracy}, loss {number(outcome['test_loss'])}")
        lines.append(f"model:  {result.folder.home}/{outcome['experiment']}")
    if short := shortened(result.spec, result.history):
        lines.append(short)
    lines += _time_was_over(result)
    lines.append(f"tables: {result.folder.shown}/*.parquet")
    lines.append(f"check:  {to_reproduce(result.spec, result.folder.where)}")
    return lines


def _not_over(result: Result) -> str:
    if result.state == "running":
        return f"the sweep {result.name!r} is running"
    again = to_finish(result.spec, result.history, result.folder.where)
    return f"the sweep {result.name!r} is not over: continue with `{again}`"


def _winner_lines(result: Result, selection: Selection) -> list[str]:
    if not selection.is_confirmed:
        return _unconfirmed_lines(result, selection)
    winner, *others = selection.published
    seeds = f"{len(winner.values)} further seed{_s(len(winner.values))}"
    against = "it is the baseline" if winner.number == BASELINE else ""
    for other in others:
        against = f"the baseline has {estimate(other.interval)}: {difference(selection.difference)}"
    lines = [
        f"winner: trial {winner.number}, {result.spec.metric} {estimate(winner.interval)} on {seeds}"
        + (f" ({against})" if against else ""),
        f"        {params_in_brief(result.spec.space.texts(result.trial(winner.number).params))}",
    ]
    how = _choice(result.spec, selection) + _luck(result.spec, selection)
    lines += [f"        {'; '.join(how)}"] if how else []
    front = [f"trial {c.number}" for c in selection.candidates if c.on_front]
    if cost := result.spec.selection.cost if front else None:
        lines.append(f"        on the Pareto front of {result.spec.metric} and {cost}: {', '.join(front)}")
    if winner.missing:
        lines.append(f"        of the further seeds: {winner.missing}")
    if selection.instead:
        lines.append(f"        {selection.instead}")
    return lines


def _unconfirmed_lines(result: Result, selection: Selection) -> list[str]:
    """Return lines on a winner that no seed outside its choice has confirmed, with the worth of its value."""
    spec, winner = result.spec, selection.candidates[0]
    where = f"on one seed after {spec.told(winner.searched_at)} of the search"
    if selection.basis == "selection":
        where = f"on the {selection.seeds} fresh seed{_s(selection.seeds)} that chose it"
    return [
        f"winner, not confirmed: trial {winner.number}, {spec.metric} {estimate(selection.value)} {where}, "
        "which makes it look better than it is",
        f"        {params_in_brief(spec.space.texts(result.trial(winner.number).params))}",
        f"        {unconfirmed(spec, result.history, selection)}",
        *([f"        {'; '.join(how)}"] if (how := _choice(spec, selection)) else []),
    ]


def _choice(spec: SweepSpec, selection: Selection) -> list[str]:
    if not selection.seeds:
        return []
    seeds = f"{selection.seeds} other fresh seed{_s(selection.seeds)}"
    if not selection.is_confirmed:
        seeds = "this seed" if selection.seeds == 1 else "these seeds"
    by = f" as {selection.candidates[0].reason}" if spec.selection.rule == "within_one_se" else ""
    raced = sum(candidate.decision == "raced out" for candidate in selection.candidates)
    out = f", {raced} raced out before" if raced else ""
    return [f"chosen among {len(selection.candidates)} on {seeds}{out}{by}"]


def _luck(spec: SweepSpec, selection: Selection) -> list[str]:
    """Return how the winner's last search value compares with its published mean, if both are at the same fidelity."""
    winner = selection.candidates[0]
    searched = searched_in_brief(spec, winner)
    if selection.optimism is None:
        return [f"in the search it had {searched}"] if winner.searched is not None else []
    if abs(selection.optimism) <= _ROUNDING * abs(winner.searched or 0.0):
        return [f"in the search it had {searched}, as it is"]
    side = "better" if selection.optimism > 0 else "worse"
    return [f"in the search it had {searched}, {number(abs(selection.optimism))} {side} than it is"]


def searched_in_brief(spec: SweepSpec, candidate: Candidate) -> str:
    """Return the last value of a candidate in the search, and its fidelity."""
    return f"{number(candidate.searched)} after {spec.told(candidate.searched_at)}"


def estimate(found: Interval | None) -> str:
    """Return a mean and its interval as text, or "-" without a mean."""
    return "-" if found is None else _with_bounds(found, alike(*_numbers(found)))


def difference(found: Interval | None) -> str:
    """Return a difference and its interval as text, with a star if the interval excludes zero."""
    if found is None:
        return "-"
    numbers = _numbers(found)
    signed = [f"{'+' if value >= 0 else ''}{text}" for value, text in zip(numbers, alike(*numbers), strict=True)]
    return f"{_with_bounds(found, signed)}{' *' if found.excludes_zero else ''}"


def _numbers(found: Interval) -> list[float]:
    return [value for value in (found.mean, found.low, found.high) if value is not None]


def _with_bounds(found: Interval, texts: Sequence[str]) -> str:
    mean, *bounds = texts
    return f"{mean} [{', '.join(bounds)}]" if len(bounds) == 2 else mean


def _time_was_over(result: Result) -> list[str]:
    """Return the line about a search that a budget or the user ended early; [] for any other."""
    cut = [trial for trial in result.history.search if trial.state == "cut"]
    begun = len(result.history.search)
    if begun == result.spec.trials and not cut:
        return []
    if result.history.is_closed:
        more = searching_on(result.spec, result.history)
        ended = f"the search was ended by hand after {begun} of {result.spec.trials} trials, {len(cut)} of them cut"
        return [f"{ended}: `{to_resume(result.spec, result.folder.where, *more.split())}` opens it again"]
    names = ended_by(result.spec, result.history)
    if not names:
        return []
    ended = f"{' and '.join(names)} ended after {begun} of {result.spec.trials} trials, {len(cut)} of them cut"
    return [f"{ended}: `{to_resume(result.spec, result.folder.where, *more_of(names).split())}` continues it"]


def _s(count: int) -> str:
    return "" if count == 1 else "s"
