"""The final selection in a report: candidates on fresh seeds, winner and baseline, and the winner's confusions."""

from collections.abc import Sequence

from study.figures.designs import Estimate
from study.figures.search import Seeds, candidates_figure
from study.figures.vector import WIDTH, svg
from sweeps.report import words
from sweeps.report.parts import Chart, Confusion, Picture, Section, Table, without_blanks
from sweeps.search.intervals import Interval, interval
from sweeps.search.selection import BASELINE, Candidate, Published, Selection
from sweeps.search.standing import State
from sweeps.spec import SweepSpec


def choice_section(spec: SweepSpec, selection: Selection | None, state: State) -> Section | None:
    """Return the section of the candidates and the winner's value, or None if no fresh seed has anything to show."""
    if selection is None or not (
        any(c.values for c in selection.candidates) or any(p.values or p.missing for p in selection.published)
    ):
        return None
    parts: list[Chart | Table] = []
    rows = [_row(c, selection) for c in selection.candidates if c.counted]
    if rows:
        told = _in_words(spec, selection)
        figure = candidates_figure(rows, metric=spec.metric)
        picture = Picture(svg(figure, "choice", told, (WIDTH, 0.8 + 0.4 * len(rows))))
        parts.append(Chart((picture,), told))
    parts.append(_candidates_table(spec, selection))
    if selection.published:
        parts.append(_published_table(spec, selection.published))
    text = () if state == "over" else ("Not decided yet: this is how it would come out if it ended now.",)
    return Section("choice", "The final selection", text, _points(spec, selection), tuple(parts))


def _row(candidate: Candidate, selection: Selection) -> Seeds:
    values = list(candidate.counted.values())
    found = interval(values)
    assert found is not None
    label = f"trial {candidate.number}" + (" (baseline)" if candidate.number == BASELINE else "")
    is_winner = candidate.number == selection.winner
    return Seeds(Estimate(label, found.mean, found.low, found.high), values, is_winner)


def _in_words(spec: SweepSpec, selection: Selection) -> str:
    told = [
        f"trial {c.number} {words.estimate(spec.metric, interval(list(c.counted.values())))}"
        for c in selection.candidates
        if c.counted
    ]
    return (
        f"{words.named(spec.metric).capitalize()} of each candidate on the fresh seeds that choose, as dots; its mean "
        f"and 95 % interval: {words.listed(told)}."
    )


def _points(spec: SweepSpec, selection: Selection) -> tuple[str, ...]:
    out = [c for c in selection.candidates if c.decision == "raced out"]
    points = []
    if out:
        names = words.listed([f"trial {c.number}" for c in out])
        points.append(f"Raced out before all seeds were through, since clearly behind: {names}.")
    if front := [f"trial {c.number}" for c in selection.candidates if c.on_front]:
        cost = words.named(spec.selection.cost or "")
        points.append(f"No candidate is better and cheaper in {cost} than {words.listed(front)}: the Pareto front.")
    if selection.difference is not None and selection.winner != BASELINE:
        found = words.signed(spec.metric, selection.difference)
        seeds = words.count(selection.difference.n, "seed")
        points.append(f"Winner minus baseline, in pairs on {seeds} that chose nothing: {found}.")
    if selection.optimism is not None:
        points.append(_optimism(spec, selection.candidates[0], selection.optimism))
    return tuple(points)


def _optimism(spec: SweepSpec, winner: Candidate, found: float) -> str:
    """Return how much better or worse the search saw the winner; `found` is above 0 for better in either direction."""
    seen = f"The search saw the winner last after {spec.told(winner.searched_at)}"
    if found == 0:
        return f"{seen}, as it is on fresh seeds."
    size = words.difference(spec.metric, found)
    if found < 0:
        return f"{seen}, {size} worse than it is on fresh seeds."
    return f"{seen}, {size} better than it is on fresh seeds: what is picked as best of many looks better than it is."


def _candidates_table(spec: SweepSpec, selection: Selection) -> Table:
    cost = spec.selection.cost
    priced = (words.named(cost), "on the Pareto front") if cost else ()
    head = ("candidate", "rank", "mean", "in the search", "difference from the winner", *priced, "decision", "why")
    rows = tuple(
        (
            f"trial {c.number}" + (" (baseline)" if c.number == BASELINE else ""),
            "–" if c.rank is None else str(c.rank),
            words.value(spec.metric, c.mean),
            f"{words.value(spec.metric, c.searched)} after {spec.told(c.searched_at)}",
            words.signed(spec.metric, c.difference),
            *((words.value(cost, c.costs.get(cost)), "yes" if c.on_front else "") if cost else ()),
            c.decision,
            c.reason.partition("\n")[0],
        )
        for c in selection.candidates
    )
    return without_blanks(Table(head, rows, "Candidates on the fresh seeds that choose"))


def _published_table(spec: SweepSpec, published: Sequence[Published]) -> Table:
    rows = tuple(
        (
            f"trial {p.number}" + (" (baseline)" if p.number == BASELINE else ""),
            _mean(spec, p.interval),
            str(p.interval.n if p.interval else 0),
            p.missing,
        )
        for p in published
    )
    head = ("trial", "mean (95 % interval)", "seeds", "missing")
    return without_blanks(Table(head, rows, "On further seeds, which chose nothing"))


def _mean(spec: SweepSpec, found: Interval | None) -> str:
    return words.estimate(spec.metric, found)


def confusion_section(counts: Sequence[Sequence[int]] | None) -> Section | None:
    """Return the section of the winner's confusions on the test set.

    Args:
        counts: Test images, shape (classes, classes), with true classes in rows; None if they are not known.

    Returns:
        The section, or None without counts.
    """
    if not counts:
        return None
    whole = sum(map(sum, counts))
    wrong = [
        (counts[true][said], true, said) for true in range(len(counts)) for said in range(len(counts)) if true != said
    ]
    errors = sum(count for count, _, _ in wrong)
    told = f"{errors:,} of {whole:,} test images are wrong."
    if errors:
        most, true, said = max(wrong, key=lambda item: (item[0], -item[1], -item[2]))
        told += f" The most frequent error is class {true} taken for class {said} ({words.count(most, 'time')})."
    shown = Confusion(tuple(tuple(int(count) for count in row) for row in counts), told)
    return Section("confusion", "What the winner confuses", parts=(shown,))
