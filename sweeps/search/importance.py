"""The importance of parameters: Optuna's PED-ANOVA on the order in which trials ended, as a pure function of history.

PED-ANOVA measures how differently a parameter is distributed among the best trials and among all. It needs only an
order of trials. Most trials of a pruned search have no value at full fidelity, so the order is the pruner's own:

- A trial that reached a higher fidelity is better; at equal fidelity, the one with the better value is.
- Diverged trials are last, and equal trials share a rank.
- Trials that a budget cut, or that failed, were not judged and are left out.
- Of very many trials, evenly spaced ranks are taken, which say no less and cost seconds instead of minutes.

A conditional parameter is judged where it is active, weighted by how often that is among the best and among all. The
intervals come from resampling the trials with replacement. A share alone proves nothing, because the shares always add
up to 1. Whether a parameter explains more of the order of all trials than chance is tested separately, see `chance`.

The two may disagree. A learning sampler may soon give nearly all trials the best value of the parameter that matters
most, so that the best quarter differs from all in other parameters only. If the most telling parameter of the test has
a smaller share than one that explains no more than chance, no share is given.

Sources: Watanabe et al., PED-ANOVA, IJCAI 2023, and its conditional form, as in Optuna; Efron, Bootstrap Methods,
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

MOST = 1000  # the most judged trials that are used
FEWEST = 10  # the fewest judged trials in which a parameter must be active to get a share
# The best quarter is compared with all, but never fewer than five. Optuna's evaluator takes a tenth. On the 400
# recorded configurations, a quarter recovered the three most important parameters from 100 of them in 14 of 18 cases,
# a tenth in 9.
_BEST, _FEWEST_BEST = 0.25, 5
_DRAWS = 60
BY_CHANCE = "no more than chance"
NO_SHARE = "matters; no share is known, since the best trials hardly differ from all in what matters most"


@dataclass(frozen=True)
class Importance:
    """The importance of a parameter.

    Attributes:
        parameter: The name of the parameter.
        share: Its share (0..1) of the total difference between the best trials and all; None if it is unknown.
        low: The lower end of the interval of `share`.
        high: The upper end of the interval of `share`.
        trials: The number of judged trials in which the parameter was active.
        condition: When it is active, "" for always.
        note: Why there is no share, NO_SHARE if the parameter matters nevertheless, or BY_CHANCE if the order of the
            trials doesn't show that it does.
    """

    parameter: str
    share: float | None
    low: float | None
    high: float | None
    trials: int
    condition: str
    note: str


def importance(spec: SweepSpec, history: History) -> list[Importance]:
    """Return the importance of every parameter that varies, the most important first; [] for a design."""
    spec = with_measured_space(spec, history)
    varying = {n: p for n, p in spec.space.parameters.items() if not isinstance(p, Constant | RangeTest)}
    if spec.design or not varying:
        return []
    judged = _by_rank(spec, history)
    active = {name: sum(name in trial.params for trial in judged) for name in varying}
    able = [name for name, count in active.items() if count >= FEWEST]
    shares, drawn, decisive = dict[str, float](), list[dict[str, float]](), list[str]()
    if able:
        names = {name: shown_name(name, varying[name]) for name in able}
        view, frozen = _frozen(spec, history, judged)
        apart = _apart(view, frozen, names)
        shares = _shares(apart)
        draw = np.random.default_rng(derive_seed(spec.seed, "importance"))
        places = draw.integers(len(frozen), size=(_DRAWS if shares else 0, len(frozen)))
        drawn = [_shares(_apart(view, [frozen[place] for place in row], names)) for row in places]
        decisive = _telling(spec, judged, frozen, {name: varying[name] for name in able}) if shares else []
    notes = _notes(shares, decisive)
    if NO_SHARE in notes.values():
        shares = {}
    found = [_told(name, varying[name], active[name], shares.get(name), drawn, notes.get(name, "")) for name in varying]
    order = [*decisive, *(name for name in varying if name not in decisive)]
    return sorted(found, key=lambda i: (-1.0 if i.share is None else i.share, -order.index(i.parameter)), reverse=True)


def by_chance(spec: SweepSpec, history: History) -> set[str]:
    """Return the parameters that explain no more of the order of the trials than chance does, if enough are judged."""
    spec = with_measured_space(spec, history)
    judged = _by_rank(spec, history)
    able: dict[str, Parameter] = {
        name: parameter
        for name, parameter in spec.space.parameters.items()
        if not isinstance(parameter, Constant | RangeTest) and sum(name in trial.params for trial in judged) >= FEWEST
    }
    return able.keys() - _telling(spec, judged, _frozen(spec, history, judged)[1], able) if able else set()


def _notes(shares: dict[str, float], decisive: Sequence[str]) -> dict[str, str]:
    """Return the notes of the parameters that have a share, from those that explain more than chance."""
    chance = {name: BY_CHANCE for name in shares if name not in decisive}
    if decisive and any(shares[name] > shares[decisive[0]] for name in chance):
        return {**chance, **dict.fromkeys(decisive, NO_SHARE)}
    return chance


def _by_rank(spec: SweepSpec, history: History) -> list[Trial]:
    """Return the judged trials, best first; if there are more than MOST, only evenly spaced ranks."""
    judged = (t for t in history.search if t.state in ("complete", "paused", "pruned"))
    ranked = sorted(judged, key=lambda trial: (_rank(spec, trial), trial.key.number))
    count = len(ranked)
    return ranked if count <= MOST else [ranked[place * count // MOST] for place in range(MOST)]


def _rank(spec: SweepSpec, trial: Trial) -> tuple[float, ...]:
    """Return a sort key; smaller is better."""
    value, sign = trial.value(spec.metric), -1 if spec.direction == "maximize" else 1
    last = trial.valued(spec.metric)
    if value is None or last is None:
        return 1, 0.0, 0.0
    return 0, -last.fidelity, sign * value


def _frozen(spec: SweepSpec, history: History, judged: Sequence[Trial]) -> tuple[OptunaView, list[FrozenTrial]]:
    """Return Optuna's view and the trials in it, complete with their rank as value; equal trials get the last rank."""
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


def _telling(
    spec: SweepSpec, judged: Sequence[Trial], frozen: Sequence[FrozenTrial], parameters: dict[str, Parameter]
) -> list[str]:
    """Return the parameters that explain more of the order of the trials than chance does, the most telling first."""
    asked = [trial for _, trial in sorted(zip((t.key.number for t in judged), frozen, strict=True))]
    columns = {
        name: Column([t.params.get(shown_name(name, parameter)) for t in asked], isinstance(parameter, Choice))
        for name, parameter in parameters.items()
    }
    return telling(columns, [trial.value or 0.0 for trial in asked], derive_seed(spec.seed, "chance"))


def _apart(view: OptunaView, trials: Sequence[FrozenTrial], names: dict[str, str]) -> dict[str, float]:
    """Return how far each parameter distinguishes the best trials from all, 0 for not at all."""
    numbered = [copy(trial) for trial in trials]
    for number, trial in enumerate(numbered):
        trial._trial_id = number  # the evaluator identifies trials by it, and a trial may be drawn twice
    study = Study(view.get_study_name_from_id(0), view.with_trials(numbered))
    present = {shown for trial in trials for shown in trial.params}
    asked = [shown for shown in names.values() if shown in present]
    best = min(0.5, max(_BEST, _FEWEST_BEST / len(trials)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about conditions that were seldom met: such parameters are left out above
        found = PedAnovaImportanceEvaluator(target_quantile=best).evaluate(study, params=asked)
    return {name: found.get(shown, 0.0) for name, shown in names.items()}


def _shares(apart: dict[str, float]) -> dict[str, float]:
    """Return each parameter's share, or {} if the best trials can't be distinguished from the others."""
    total = math.fsum(apart.values())
    return {name: found / total for name, found in apart.items()} if total > 0 else {}


def _told(
    name: str,
    parameter: Parameter,
    active: int,
    share: float | None,
    drawn: Sequence[dict[str, float]],
    note: str,
) -> Importance:
    conditions = [f"{parent} = {' or '.join(map(str, values))}" for parent, values in parameter.when.items()]
    condition = " and ".join(conditions)
    if share is None:
        few = f"fewer than {FEWEST} trials were judged" + (" in which it is active" if condition else "")
        note = few if active < FEWEST else note or "the best trials can't be told from the others"
        return Importance(name, None, None, None, active, condition, note)
    shares = sorted(draw.get(name, 0.0) for draw in drawn if draw)
    outside = (1 - CONFIDENCE) / 2 * (len(shares) - 1)
    low, high = shares[math.floor(outside)], shares[math.ceil(len(shares) - 1 - outside)]
    return Importance(name, share, min(low, share), max(high, share), active, condition, note)
