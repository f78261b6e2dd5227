"""Costs of the final selection: in trainings before the first trial, and in time once reports allow an estimate."""

from collections.abc import Callable

from sweeps.search.fitting import as_fitted
from sweeps.search.history import History, Measured, Noted, Row, Stamp
from sweeps.search.notes import FITTED
from sweeps.search.pace import pace, selection_costs, warm_training
from sweeps.spec import SweepSpec

_REPORTS = 2  # reports of a trial that suffice to estimate its pace


class SelectionCosts:
    """Printed estimates of what a sweep's selection costs and how much of it fits the time, each once per session."""

    def __init__(self, spec: SweepSpec, history: History, slots: int, say: Callable[[str], None]) -> None:
        self._spec, self._history, self._slots, self._say = spec, history, slots, say
        self._is_timed = bool(spec.design or not spec.selection.trainings)
        if not spec.design:
            say(in_trainings(spec))

    def observe(self, stamp: Stamp, row: Row) -> None:
        """Follow a committed row, and print the costs as soon as they are known."""
        if isinstance(row, Measured) and not self._is_timed:
            trial = self._history.trials[row.key]
            if len(trial.measurements) >= _REPORTS or row.measurement.fidelity == self._spec.max_fidelity:
                self._is_timed = True
                self._say_time()
        if isinstance(row, Noted) and row.kind == FITTED:
            self._say_fitted()

    def _say_time(self) -> None:
        usual, warm = pace(self._spec, self._history), warm_training(self._spec, self._history)
        if usual is None or warm is None:
            return
        rule, training = self._spec.selection, min(usual.training, warm)  # its workers are warm by then
        lengths = [training] * min(max(rule.candidates, 1) + 1, self._spec.trials)
        seconds = selection_costs(rule, lengths, self._slots).both
        self._say(
            f"final selection: about {_duration(seconds)} for its {_trainings(rule.trainings)} at most, "
            f"{self._slots} at a time and {_duration(training)} each"
        )

    def _say_fitted(self) -> None:
        asked, rule = self._spec.selection, as_fitted(self._spec, self._history).selection
        if rule == asked:
            return
        what = _in_words(as_fitted(self._spec, self._history))
        self._say(f"final selection: there is time for {rule.trainings} of {_trainings(asked.trainings)}: {what}")


def in_trainings(spec: SweepSpec) -> str:
    """Return in words how many trainings to full fidelity a selection takes at most."""
    rule = spec.selection
    if not rule.trainings:
        return f"final selection: no training; {_in_words(spec)}"
    return f"final selection, after the search: {_trainings(rule.trainings)} at most; {_in_words(spec)}"


def _in_words(spec: SweepSpec) -> str:
    rule = spec.selection
    choice = "the best of the search wins"
    if rule.chooses:
        choice = f"{rule.candidates + 1} candidates with the baseline on {_seeds(rule.seeds)}"
    if not rule.published_seeds:
        return f"{choice}, and the winner is not confirmed"
    return f"{choice}, then winner and baseline on {_seeds(rule.published_seeds)}"


def _trainings(count: int) -> str:
    return f"{count} training{'' if count == 1 else 's'}"


def _seeds(count: int) -> str:
    return f"{count} fresh seed{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.2g} h"
