"""The outcome of a sweep in two or three plain sentences, whatever its state."""

from collections import Counter
from collections.abc import Mapping

from sweeps.report import words
from sweeps.returning import to_finish
from sweeps.search.effects import Effect, effects
from sweeps.search.history import History
from sweeps.search.intervals import Interval, of_accuracy
from sweeps.search.outcome import shortened, unconfirmed
from sweeps.search.selection import BASELINE, TEST_READ, Published, Selection, final_key
from sweeps.search.standing import State, best_of, shown_state
from sweeps.spec import SweepSpec


def headline(
    spec: SweepSpec, history: History, selection: Selection | None, state: State, where: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the sentences that open a page: the outcome, or how far the sweep has come.

    Args:
        spec: The spec of the sweep.
        history: The history of the sweep.
        selection: The final selection; None for a design, or before a trial has run on a fresh seed or won.
        state: The state of the sweep.
        where: The option with which commands find the results, by name.

    Returns:
        The winner or a design's effects, or why there is no winner; if the sweep is not over, its progress.
    """
    if state != "over":
        return (_so_far(spec, history, state), *_what_next(spec, history, where, state))
    if spec.design:
        return _design(spec, history)
    if selection is None or selection.final is None:
        reason = (history.outcome or {}).get("reason") or "no trial came to a value"
        return (f"No trial won: {reason}.", f"{_tried(spec, history)}.")
    why = unconfirmed(spec, history, selection), shortened(spec, history)
    reasons = [f"{text[0].upper()}{text[1:]}." for text in why if text]
    return (_winner(spec, selection), *reasons, *(_test(history) if final_key(history) == selection.final else ()))


def _so_far(spec: SweepSpec, history: History, state: State) -> str:
    begun = f"{len(history.search):,} of {words.count(spec.trials, 'trial')}"
    # A page can't notice a driver that is killed later, so it says when this was true.
    stands = "Running when this was written" if state == "running" else "Not over: it stopped"
    where = f"{stands}, with {begun} begun"
    best = best_of(spec, history)
    if best is None:
        return f"{where}; none has a value yet."
    found = f"{words.achieved(spec.metric, best.value)} after {spec.told(best.fidelity)}"
    fate = ", which failed," if best.trial.state == "failed" else ""
    return f"{where}; the best so far is trial {best.trial.key.label}{fate} with {found}, on one seed."


def _what_next(spec: SweepSpec, history: History, where: Mapping[str, str], state: State) -> tuple[str, ...]:
    if state == "stopped":
        return (f"Nothing that was shown is lost: {to_finish(spec, history, where)} continues it.",)
    # Only an outcome shows an earlier choice; without one, the first winner may be under test now.
    if history.outcome is not None and not spec.design and (reads := sum(1 for _ in history.noted(TEST_READ))):
        read = f"The test set was read {words.times(reads)} for what was chosen before"
        return (f"{read}; the winner is chosen again at the end, on fresh seeds.",)
    if spec.design:
        return ("The cells are compared when all of them are complete.",)
    return ("The winner is chosen at the end, on fresh seeds, and only then tested.",)


def _tried(spec: SweepSpec, history: History) -> str:
    states = Counter(shown_state(trial.state, "over") for trial in history.search)
    counts = [f"{count:,} {state}" for state, count in sorted(states.items())]
    return f"{len(history.search):,} of {words.count(spec.trials, 'trial')} were begun" + (
        f": {words.listed(counts)}" if counts else ""
    )


def _winner(spec: SweepSpec, selection: Selection) -> str:
    who = f"The baseline, trial {BASELINE}," if selection.winner == BASELINE else f"Trial {selection.winner}"
    if not selection.is_confirmed:
        return f"{who} {_not_confirmed(spec, selection)}."
    published = selection.published[0]
    assert published.interval is not None  # otherwise the winner would not be confirmed
    found = f"{_published(spec, published, published.interval)}{_against_baseline(spec, selection)}"
    is_cheapest = selection.candidates[0].is_cheapest
    cheapest = " as the cheapest of those that are as good as the best" if is_cheapest else ""
    return f"{who} won{cheapest}: {found}.{_model(selection)}"


def _not_confirmed(spec: SweepSpec, selection: Selection) -> str:
    """Return the text on a winner that no seed outside its choice has confirmed."""
    assert selection.value is not None  # it has a value, since there is a final model
    mean, winner = words.achieved(spec.metric, selection.value.mean), selection.candidates[0]
    if selection.basis == "selection":
        seeds = words.count(selection.value.n, "fresh seed")
        return f"was chosen and is not confirmed: {mean} on the {seeds} that chose it, which make it look better"
    where = f"{mean} after {spec.told(winner.searched_at)}"
    return f"is the best of the search and is not confirmed: {where} on one seed, which makes it look better"


def _model(selection: Selection) -> str:
    return f" {selection.instead[0].upper()}{selection.instead[1:]}." if selection.instead else ""


def _published(spec: SweepSpec, published: Published, found: Interval) -> str:
    """Return the mean, and how many seeds are missing from it, since failed seeds would make it worse."""
    inside = words.bounds(spec.metric, found)
    mean, seeds = words.achieved(spec.metric, found.mean), words.count(found.n, "fresh seed")
    lacking = spec.selection.published_seeds - found.n
    missing = f", without {lacking} more that did not come to an end" if lacking else ""
    return f"{mean} on {seeds}{missing}" + (f" ({inside})" if inside else "")


def _against_baseline(spec: SweepSpec, selection: Selection) -> str:
    found = selection.difference
    if selection.winner == BASELINE:
        return "" if selection.candidates[0].is_cheapest else "; none of the other candidates came out better"
    if found is None:
        return ""
    if found.mean == 0:
        return ", as good as the baseline"
    side = words.better(spec, found.mean)
    doubt = "" if found.excludes_zero else ", which may be chance"
    return f", {words.difference(spec.metric, found.mean)} {side} than the baseline{doubt}"


def _test(history: History) -> tuple[str, ...]:
    outcome = history.outcome or {}
    if outcome.get("test_accuracy") is None:
        return ()
    accuracy = words.value("accuracy", outcome["test_accuracy"])
    reads = words.times(outcome["test_reads"]) + ("" if outcome["test_reads"] == 1 else " in this sweep")
    found = of_accuracy(outcome["test_accuracy"], outcome["test_images"])
    return (f"On the test set, read {reads}, its model has {accuracy} ({words.bounds('accuracy', found)}).",)


def _design(spec: SweepSpec, history: History) -> tuple[str, ...]:
    assert spec.design is not None
    complete = sum(trial.state == "complete" for trial in history.search)
    cells, seeds = words.count(len(spec.design.cells), "cell"), words.count(spec.design.seeds, "common seed")
    whole = f"All {spec.trials:,} trials" if complete == spec.trials else f"{complete:,} of {spec.trials:,} trials"
    told = f"{whole} of {cells} on {seeds} are complete."
    found = [e for e in effects(spec, history) if e.difference is not None]
    return (told, _clearest(spec, found)) if found else (told,)


def _clearest(spec: SweepSpec, found: list[Effect]) -> str:
    assert spec.design is not None
    reference = spec.design.cells[0].name
    clear = [e for e in found if e.difference and e.difference.excludes_zero]
    if not clear:
        return f"None of {words.count(len(found), 'difference')} from {reference} is clearly more than chance."
    most = max(clear, key=lambda e: abs(e.difference.mean) if e.difference else 0.0)
    assert most.difference is not None
    size = words.difference(spec.metric, most.difference.mean)
    side, inside = words.better(spec, most.difference.mean), words.bounds(spec.metric, most.difference)
    told = f"Clearly different from {reference} {'is' if len(clear) == 1 else 'are'} {len(clear)} of {len(found)}"
    return f"{told}; most so {most.cell}, {size} {side} ({inside})."
