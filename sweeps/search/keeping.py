"""The models that may still be the result, whose checkpoints stay until the outcome: pure functions of history."""

from sweeps.search.history import History, Trial, TrialKey
from sweeps.search.selection import by_last_value
from sweeps.spec import SweepSpec


def complete_in_search(spec: SweepSpec, history: History) -> list[TrialKey]:
    """Return the trials of the search that reached full fidelity with a value, best first."""
    trials = (history.trials[TrialKey(number)] for number in by_last_value(spec, history))
    return [trial.key for trial in trials if trial.state == "complete"]


def unneeded(spec: SweepSpec, history: History, trial: Trial) -> list[TrialKey]:
    """Return the trials whose checkpoints are no longer needed, now that a trial's state has changed."""
    if trial.state in ("running", "paused", "cut", "failed"):  # the code of a failed trial may be repaired
        return []
    if not _may_be_stored(spec, history, trial):
        return [trial.key]
    return complete_in_search(spec, history)[1:2] if trial.key.stage == "search" and not spec.design else []


def _may_be_stored(spec: SweepSpec, history: History, trial: Trial) -> bool:
    """Return whether the trial's model may still be scored on the test set and stored as an experiment."""
    if trial.state != "complete" or spec.target is not None:  # a function has no model to score
        return False
    if spec.design:
        return spec.design.test
    rule, has_budget = spec.selection, spec.time is not None or spec.device_hours is not None
    match trial.key.stage:
        case "publication":
            return True
        case "choice":  # the winner's first model, if nothing is published or the time ends before
            return trial.key.replicate == 1 and (has_budget or not rule.published_seeds)
        case "search":
            may_win = has_budget or not (rule.chooses or rule.published_seeds)
            return may_win and complete_in_search(spec, history)[:1] == [trial.key]
