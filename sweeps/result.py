"""The result of a sweep, read from its ledger: pandas frames, the winner, and verified replay."""

from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.errors import OutcomeError, SpecError
from sweeps.execution.functions import Function, resolve
from sweeps.names import as_path, is_name
from sweeps.returning import to_finish
from sweeps.search.effects import Effect, effects
from sweeps.search.extension import as_extended
from sweeps.search.history import History, Trial
from sweeps.search.labels import parse_label
from sweeps.search.ranges import RangeKey, measured_ranges, range_keys
from sweeps.search.selection import final_key
from sweeps.search.standing import State, is_over
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder, results_option
from sweeps.store.lease import is_held
from sweeps.store.ledger import Ledger
from sweeps.store.places import place_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from study.comparison import Replay
    from sweeps.search.importance import Importance
    from sweeps.search.path import Step


class Result:
    """A sweep as recorded in its ledger when this object is made; later rows need another `sweeps.load`.

    Attributes:
        name: Name of the sweep.
        folder: The folder of the sweep.
        spec: The spec, with everything that was added to it since the start.
        history: The recorded rows.
        trials: Frame with the columns of the Parquet table of trials.
        measurements: Frame with the columns of the Parquet table of measurements.
        selection: Frame with the columns of the Parquet table of the selection; SpecError for a design.
    """

    def __init__(self, folder: SweepFolder, function: Function | None = None, ledger: str | None = None) -> None:
        self.folder = folder
        self.name = folder.name
        self._function = function
        self._ledger = ledger
        with closing(Ledger.open(place_of(folder, ledger), read_only=True)) as opened:
            self.history = opened.history()
            self.spec: SweepSpec = folder.named(as_extended(opened.spec(), self.history))

    @cached_property
    def state(self) -> State:
        """Return "running" if a driver works on the sweep, "over" if all work is done, and "stopped" otherwise."""
        return state_of(self.folder, self.spec, self.history)

    @cached_property
    def _frames(self) -> dict[str, "pd.DataFrame"]:
        from sweeps.store.export import tables, to_frame

        return {name: to_frame(table) for name, table in tables(self.spec, self.history).items()}

    @property
    def trials(self) -> "pd.DataFrame":
        return self._frames["trials"]

    @property
    def measurements(self) -> "pd.DataFrame":
        return self._frames["measurements"]

    @property
    def selection(self) -> "pd.DataFrame":
        return self._frame("selection", "it compares the cells of a design: see `cells`")

    def _frame(self, name: str, why_not: str) -> "pd.DataFrame":
        if name not in self._frames:
            raise SpecError(f"the sweep {self.name!r} has no table {name!r}, since {why_not}")
        return self._frames[name]

    @property
    def cells(self) -> "pd.DataFrame":
        """Return a frame with a row for each cell and protocol of a design; raise SpecError if the sweep searches."""
        return self._frame("cells", "it searches: see `trials` and `selection`")

    @property
    def effects(self) -> list[Effect]:
        """Return what `cells` holds, as values, or [] if the sweep searches."""
        return effects(self.spec, self.history)

    @property
    def importance(self) -> "list[Importance]":
        """Return how much each parameter mattered, with the most important first, or [] for a design."""
        from sweeps.search.importance import importance

        return importance(self.spec, self.history)

    @property
    def advice(self) -> list[str]:
        """Return warnings about the search, one line for each."""
        from sweeps.search.advice import advice

        return advice(self.spec, self.history, results_option(self.folder.home))

    @property
    def path(self) -> "list[Step]":
        """Return what each change from baseline to winner gained, or [] before `sweeps path` has finished.

        It is also [] if the path leads from another baseline or to another winner than the present ones.
        """
        from sweeps.search.path import leads_to_winner, steps

        walked = self.walked
        if walked is None or walked.spec.design is None or walked.history.outcome is None:
            return []
        is_same = leads_to_winner(walked.spec.design, self.spec, self.history)
        return steps(walked.spec, walked.history) if is_same else []

    @property
    def walked(self) -> "Result | None":
        """Return the present result of the sweep that walks the path to this one's winner, or None if there is none."""
        return walked_from(self.folder, self._function, self._ledger)

    def report(self) -> Path:
        """Write the sweep's report, one self-contained HTML page, into its folder, and return its path."""
        from sweeps.report.writing import write_report

        return write_report(self.folder, self.spec, self.history, ledger=self._ledger)

    def figure(self, name: str | None = None) -> "Figure":
        """Return a figure of the sweep.

        Args:
            name: Such as learning_curves, differences or ranks; the main figure by default.

        Raises:
            SpecError: The sweep has no figure of this name.
        """
        from sweeps.store.figures import figures

        drawn = figures(self.spec, self.history)
        if name is not None and name not in drawn:
            raise SpecError(f"the sweep {self.name!r} has no figure {name!r}: choose from {', '.join(drawn)}")
        return drawn[name or next(iter(drawn))]

    @property
    def best(self) -> "pd.Series[Any] | None":
        """Return the winner's row of `trials`, or None for a design and for a sweep without a winner or not yet over.

        The row also has the winner's published mean and interval, and its test scores. Its `basis` is "evaluation", or
        the stage that the value comes from if nothing confirms it.
        """
        outcome = self.history.outcome
        if outcome is None or outcome["winner"] is None:
            return None
        row: pd.Series[Any] = self.trials.set_index("trial", drop=False).loc[outcome["winner"]].copy()
        for name in ("basis", "mean", "low", "high", "test_accuracy", "test_loss"):
            row[name] = outcome.get(name)
        return row

    @property
    def experiment(self) -> Path | None:
        """Return the folder of the stored model, or None if there is none."""
        stored = (self.history.outcome or {}).get("experiment")
        return None if stored is None else self.folder.experiment(stored)

    def trial(self, trial: int | str = "best") -> Trial:
        """Return a trial.

        Args:
            trial: Its number, its label such as "3-seed1", or "best" for the trial of the final model.

        Raises:
            SpecError: There is no such trial.
        """
        again = f"`{to_finish(self.spec, self.history, self.folder.where)}`"
        if trial == "best":
            key = final_key(self.history)
            if key is None:
                is_over = self.history.outcome is not None
                what = "name a trial by its number with --trial" if is_over else f"finish it with {again}"
                raise SpecError(f"the sweep {self.name!r} has no winner: {what}")
            return self.history.trials[key]
        key = parse_label(str(trial))
        if key is not None and key in self.history.trials:
            return self.history.trials[key]
        if not self.history.search:
            raise SpecError(f"the sweep {self.name!r} has no trial yet: continue with {again}")
        last = len(self.history.search) - 1
        raise SpecError(
            f"the sweep {self.name!r} has no trial {trial!r}: give best, 0 … {last}"
            + "".join(f", a label like {run.key.label}" for run in self.history.selection[:1])
            + "".join(f", {key.label}" for key in self._range_tests)
        )

    @property
    def _range_tests(self) -> list[RangeKey]:
        """Return the recorded range tests in the order of the space, since they may have run in any order."""
        return [key for key in range_keys(self.spec) if key in measured_ranges(self.history)]

    def reproduce(self, trial: int | str = "best", data_dir: Path | str | None = None) -> "Replay":
        """Train a trial again in a fresh process and compare every measurement and digest with the ledger's.

        Args:
            trial: As for `trial`, or a label like range-adam to repeat a range test and compare every loss.
            data_dir: Folder of full data sets; that of the last session by default.

        Returns:
            The comparison, with the first difference and the differences between the environments.
        """
        from sweeps.execution.replay import replay, replay_range
        from sweeps.running import recorded_data_dir

        where = as_path(data_dir) if data_dir else recorded_data_dir(self.history)
        if test := next((key for key in self._range_tests if key.label == trial), None):
            return replay_range(self.spec, self.history, test, where)
        function = self._function or (resolve(self.spec.target) if self.spec.target else None)
        return replay(self.spec, self.history, self.trial(trial), function, where)

    def __repr__(self) -> str:
        return f"Result({self.name!r}, {len(self.history.search)} trials, in {str(self.folder.shown)!r})"


def concluded(result: Result) -> Result:
    """Return the result of a sweep that has just ended; raise OutcomeError if it has no winner or is incomplete."""
    outcome = result.history.outcome
    if outcome is None:
        return result
    if result.spec.design:
        if outcome["complete"] < result.spec.trials:
            text = f"the sweep {result.name!r} is not whole: {outcome['reason']}; see `{result.folder.command('show')}`"
            raise OutcomeError(text, result)
    elif outcome.get("winner") is None:
        raise OutcomeError(f"the sweep {result.name!r} ended without a winner: {outcome['reason']}", result)
    return result


def state_of(folder: SweepFolder, spec: SweepSpec, history: History) -> State:
    """Return the state as `Result.state` does; a driver on another machine is not detected."""
    if is_over(spec, history):
        return "over"
    return "running" if is_held(folder.lease) else "stopped"


def walked_from(folder: SweepFolder, function: Function | None = None, ledger: str | None = None) -> Result | None:
    """Return the sweep that walks the path to the winner of another, or None if there is none.

    Args:
        folder: The folder of the other sweep.
        function: The function of the sweeps, if it was defined in a script.
        ledger: URL of a ledger in PostgreSQL.
    """
    from sweeps.search.path import path_name

    name = path_name(folder.name)
    there = folder.beside(name) if is_name(name) else None
    if there is None or not there.holds_sweep:
        return None
    return Result(there, function, None if there.ledger.exists() else ledger)
