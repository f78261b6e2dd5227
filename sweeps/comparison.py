"""A comparison of sweeps, read from their ledgers: pandas frames, and regret over time as a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_type_hints

from sweeps.result import Result
from sweeps.search.comparing import Entry, Regret, Standing, check_comparable, regrets, standing
from sweeps.search.contrasts import Common, Pair, common_trials, pairs, space_contrasts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Comparison:
    """Two or more sweeps, as they are when this object is made.

    Attributes:
        sweeps: Frame with a row for each sweep: its best with the mean on fresh seeds, its cost, and what is missing.
        regret: Frame of how far each search was behind the best value of all, over seconds and over epochs.
        spaces: Frame with a row for each parameter that is not the same in all sweeps.
        common: Frame of the configurations that two sweeps have tried, at the highest fidelity of both.
        pairs: Frame with the mean of the paired differences and its 95 % t interval, for each two sweeps.
        metric: The metric of all the sweeps.
        direction: The direction in which the metric is better.
        fidelity_unit: What fidelity counts: "epochs" or "reports".

    Raises:
        SpecError: The values of the sweeps have no common scale.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self._entries = [Entry(result.name, result.spec, result.history) for result in results]
        check_comparable(self._entries)
        spec = results[0].spec
        self.metric, self.direction, self.fidelity_unit = spec.metric, spec.direction, spec.fidelity_unit

    @cached_property
    def sweeps(self) -> "pd.DataFrame":
        return _frame([asdict(standing(entry)) for entry in self._entries], _types(Standing))

    @cached_property
    def regret(self) -> "pd.DataFrame":
        return _frame([asdict(regret) for regret in self._regrets], _types(Regret))

    @cached_property
    def spaces(self) -> "pd.DataFrame":
        names = [entry.name for entry in self._entries]
        column = "parameter"
        while column in names:
            column += "_"
        rows = [{column: found.parameter, **found.by_sweep} for found in space_contrasts(self._entries)]
        return _frame(rows, dict.fromkeys([column, *names], _TEXT))

    @cached_property
    def common(self) -> "pd.DataFrame":
        sides = {**_both("sweep", _TEXT), **_both("trial", _WHOLE), "fidelity": _REAL, **_both("value", _REAL)}
        return _frame(
            [_common_row(found) for found in self._common], {**sides, "difference": _REAL, "params": "object"}
        )

    @cached_property
    def pairs(self) -> "pd.DataFrame":
        return _frame([_pair_row(found) for found in pairs(self._entries, self._common)], _PAIR)

    def figure(self) -> "Figure":
        """Draw the regret of each sweep over the time of its sessions, and over the fidelity that it had trained."""
        from sweeps.store.figures import regret_of_sweeps

        return regret_of_sweeps(self._entries, self._regrets)

    @cached_property
    def _regrets(self) -> list[Regret]:
        return regrets(self._entries)

    @cached_property
    def _common(self) -> list[Common]:
        return common_trials(self._entries)


_TEXT, _WHOLE, _REAL = "string", "Int64", "float64"  # types of pandas that have a missing value


def _both(what: str, kind: str) -> dict[str, str]:
    """Return a pair of columns, for the first and the second of two sweeps."""
    return {f"{what}_first": kind, f"{what}_second": kind}


_PAIR = {**_both("sweep", _TEXT), "n": _WHOLE, "difference": _REAL, "low": _REAL, "high": _REAL}


def _frame(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(types)).astype(dict(types))


def _types(row: type[Standing] | type[Regret]) -> dict[str, str]:
    """Return the columns of a frame of these rows, with their types."""
    kinds = {int: _WHOLE, int | None: _WHOLE, float: _REAL, float | None: _REAL}
    return {name: kinds.get(kind, _TEXT) for name, kind in get_type_hints(row).items()}


def _common_row(found: Common) -> dict[str, Any]:
    sides = {"sweep": found.sweeps, "trial": found.trials, "value": found.values}
    named = {f"{what}_{side}": both[i] for what, both in sides.items() for i, side in enumerate(("first", "second"))}
    return {**named, "fidelity": found.fidelity, "difference": found.difference, "params": dict(found.params)}


def _pair_row(found: Pair) -> dict[str, Any]:
    of = found.difference
    numbers = (0, None, None, None) if of is None else (of.n, of.mean, of.low, of.high)
    return dict(zip(_PAIR, (*found.sweeps, *numbers), strict=True))
