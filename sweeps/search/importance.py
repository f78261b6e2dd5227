"""Which parameters mattered: Optuna's PED-ANOVA on the order in which trials ended, as a pure function of history.

PED-ANOVA asks how differently a parameter is spread among the best trials and among all, and needs an order of trials
alone. Most trials of a pruned search have no value at full fidelity, so that the order is the pruner's own: who came
further is better, and of those that came equally far who has the better value there; diverged trials are last, and
equals share a rank. Trials that a budget cut, or that failed, were judged by nobody and are left out; of very many,
evenly spaced ranks are taken, which tell no less and cost seconds, not minutes. A parameter under a condition is judged
where it is active, weighted by how often that is among the best and among all. The intervals come from drawing the
trials again, with replacement. A share alone proves nothing, since all that is told apart is shared out: whether a
parameter tells more of the order of all trials than chance does is tested for itself, see `chance`.
Sources: Watanabe et al., PED-ANOVA, IJCAI 2023, and its conditional form, as Optuna has them; Efron, Bootstrap Methods,
Annals of Statistics 7(1), 1979 (percentiles).
"""

import math
import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Choice, Constant, Parameter, RangeTest
from study.seeds import derive_seed
from sweeps.search.chance import Column, telling
from sweeps.search.history import History, Trial
from sweeps.search.intervals import CONFIDENCE
from sweeps.search.optuna_view import OptunaView, shown_name
from sweeps.search.ranges import with_measured_space
from sweeps.spec import SweepSpec

MOST = 1000  # judged trials that are looked at
FEWEST = 10  # judged trials in which a parameter is active, without which nothing is said of it
# The best quarter is told from all, but never fewer than five. Optuna's evaluator takes a tenth; on the 400 recorded
# configurations a quarter found the three most important again from 100 of them in 14 of 18 cases, a tenth in 9.
_BEST, _FEWEST_BEST = 0.25, 5
_DRAWS = 60
BY_CHANCE = "no more than chance"


@dataclass(frozen=True)
class Importance:
    """A parameter's share (0..1) of all that was told apart, with its interval; None where nothing can be said.

    trials: in which it was active. condition: when that is, "" for always. note: why there is no number, or BY_CHANCE
    where the order of the trials doesn't show that it matters.
    """

    parameter: str
    share: float | None
    low: float | None
    high: float | None
    trials: int
    condition: str
    note: str


def importance(spec: SweepSpec, history: History) -> list[Importance]:
    """Every parameter that varies, the most important first; [] for a design."""
    spec = with_measured_space(spec, history)
    varying = {n: p for n, p in spec.space.parameters.items() if not isinstance(p, Constant | RangeTest)}
    if spec.design or not varying:
        return []
    judged = _by_rank(spec, history)
    active = {name: sum(name in trial.params for trial in judged) for name in varying}
    able = [name for name, count in active.items() if count >= FEWEST]
    shares, drawn, chance = dict[str, float](), list[dict[str, float]](), set[str]()
    if able:
        names = {name: shown_name(name, varying[name]) for name in able}
        view, frozen = _frozen(spec, history, judged)
        apart = _apart(view, frozen, names)
        shares = _shares(apart)
        draw = np.random.default_rng(derive_seed(spec.seed, "importance"))
        places = draw.integers(len(frozen), size=(_DRAWS if shares else 0, len(frozen)))
        drawn = [_shares(_apart(view, [frozen[place] for place in row], names)) for row in places]
        chance = _by_chance(spec, judged, frozen, {name: varying[name] for name in able}) if shares else set()
    found = [_told(name, varying[name], active[name], shares.get(name), drawn, name in chance) for name in varying]
    return sorted(found, key=lambda i: -1.0 if i.share is None else i.share, reverse=True)


def _by_rank(spec: SweepSpec, history: History) -> list[Trial]:
    """The judged trials, best first; of very many the same share of every stretch of ranks."""
    judged = (t for t in history.search if t.state in ("complete", "paused", "pruned"))
    ranked = sorted(judged, key=lambda trial: (_rank(spec, trial), trial.key.number))
    count = len(ranked)
    return ranked if count <= MOST else [ranked[place * count // MOST] for place in range(MOST)]


def _rank(spec: SweepSpec, trial: Trial) -> tuple[float, ...]:
    """Smaller is better."""
    value, sign = trial.value(spec.metric), -1 if spec.direction == "maximize" else 1
    last = trial.valued(spec.metric)
    if value is None or last is None:
        return 1, 0.0, 0.0
    return 0, -last.fidelity, sign * value


def _frozen(spec: SweepSpec, history: History, judged: Sequence[Trial]) -> tuple[OptunaView, list[FrozenTrial]]:
    """The trials as Optuna knows them, complete, with their rank for a value: of equals that of the last."""
    view, sign = OptunaView(spec, history), -1 if spec.direction == "maximize" else 1
    own = dict(zip((t.key for t in history.search), view.get_all_trials(0)[-len(history.search) :], strict=True))
    found = []
    places = {_rank(spec, trial): float(place) for place, trial in enumerate(judged, start=1)}
    for trial in judged:
        frozen = copy(own[trial.key])
        frozen.state = TrialState.COMPLETE
        frozen.value = sign * places[_rank(spec, trial)]
        found.append(frozen)
    return view, found


def _by_chance(
    spec: SweepSpec, judged: Sequence[Trial], frozen: Sequence[FrozenTrial], parameters: dict[str, Parameter]
) -> set[str]:
    """The parameters that tell no more of the order of the trials than chance does."""
    asked = [trial for _, trial in sorted(zip((t.key.number for t in judged), frozen, strict=True))]
    columns = {
        name: Column([t.params.get(shown_name(name, parameter)) for t in asked], isinstance(parameter, Choice))
        for name, parameter in parameters.items()
    }
    found = telling(columns, [trial.value or 0.0 for trial in asked], derive_seed(spec.seed, "chance"))
    return set(parameters).difference(found)


def _apart(view: OptunaView, trials: Sequence[FrozenTrial], names: dict[str, str]) -> dict[str, float]:
    """How far each parameter tells the best trials from all, 0 for not at all."""
    numbered = [copy(trial) for trial in trials]
    for number, trial in enumerate(numbered):
        trial._trial_id = number  # the evaluator tells trials by it, and a trial may be drawn twice
    study = Study(view.get_study_name_from_id(0), view.with_trials(numbered))
    present = {shown for trial in trials for shown in trial.params}
    asked = [shown for shown in names.values() if shown in present]
    best = min(0.5, max(_BEST, _FEWEST_BEST / len(trials)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a condition was seldom met: such parameters are left out above
        found = PedAnovaImportanceEvaluator(target_quantile=best).evaluate(study, params=asked)
    return {name: found.get(shown, 0.0) for name, shown in names.items()}


def _shares(apart: dict[str, float]) -> dict[str, float]:
    """Each parameter's share; {} where the best can't be told from the others."""
    total = math.fsum(apart.values())
    return {name: found / total for name, found in apart.items()} if total > 0 else {}


def _told(
    name: str,
    parameter: Parameter,
    active: int,
    share: float | None,
    drawn: Sequence[dict[str, float]],
    is_chance: bool,
) -> Importance:
    conditions = [f"{parent} = {' or '.join(map(str, values))}" for parent, values in parameter.when.items()]
    condition = " and ".join(conditions)
    if share is None:
        few = f"fewer than {FEWEST} trials were judged" + (" in which it is active" if condition else "")
        note = few if active < FEWEST else "the best trials can't be told from the others"
        return Importance(name, None, None, None, active, condition, note)
    shares = sorted(draw.get(name, 0.0) for draw in drawn if draw)
    outside = (1 - CONFIDENCE) / 2 * (len(shares) - 1)
    low, high = shares[math.floor(outside)], shares[math.ceil(len(shares) - 1 - outside)]
    return Importance(name, share, min(low, share), max(high, share), active, condition, BY_CHANCE if is_chance else "")
