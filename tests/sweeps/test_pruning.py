"""Tests of pruning: decisions are pure functions of recorded rows, right on skipped rungs, ties, NaN and infinities."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from simulation import small_spec

from study.measurement import Measurement
from sweeps.errors import SpecError
from sweeps.search.history import DIVERGED, Asked, Decided, History, Measured, Row, Stamp, TrialKey
from sweeps.search.optuna_view import OptunaView
from sweeps.search.pruning import _places, bracket, brackets, decide, levels, promotion, standings
from sweeps.search.selection import by_last_value
from sweeps.spec import SweepSpec, load_spec


class Records:
    """A history that is built row by row."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        self.history = History()
        self.rows: list[tuple[Stamp, Row]] = []

    def add(self, row: Row) -> None:
        self.rows.append((Stamp(self.history.last.seq + 1, 0.0), row))
        self.history.apply(*self.rows[-1])

    def report(self, number: int, loss: float | None, fidelity: float, settle: bool = True) -> None:
        key = TrialKey(number)
        if key not in self.history.trials:
            self.add(Asked(key, {"x": 0.5}, 0, self.history.last.seq))
        trial = self.history.trials[key]
        report = len(trial.measurements) + 1
        values = {"other": 1.0} if loss is None else {"loss": loss}
        self.add(Measured(key, Measurement(report, report, fidelity, 0.0, values)))
        while settle and (decision := decide(self.spec, self.history, trial)) is not None:
            self.add(decision)

    def state(self, number: int) -> str:
        return self.history.trials[TrialKey(number)].state

    def promote(self) -> int | None:
        decision = promotion(self.spec, self.history)
        if decision is None:
            return None
        self.add(decision)
        return decision.key.number


def records(variant: str = "promote", **pruning: object) -> Records:
    return Records(small_spec(pruning={"variant": variant, "reduction_factor": 3, "max_fidelity": 9, **pruning}))


@pytest.mark.parametrize("replicate", [0, 1])
@pytest.mark.parametrize("name", ["train_loss", "validation_loss"])
def test_a_model_whose_loss_is_not_finite_has_diverged_whatever_its_accuracy(name: str, replicate: int) -> None:
    spec = load_spec({"name": "m", "trials": 3, "space": {"learning_rate": {"float": [0.01, 0.1]}}})
    history, key = History(), TrialKey(0, replicate)
    values = {"validation_accuracy": 0.1, "train_loss": 2.0, "validation_loss": 2.0, name: math.nan}
    for row in (Asked(key, {}, 0, 0), Measured(key, Measurement(1, 1, 1.0, 0.0, values))):
        history.apply(Stamp(history.last.seq + 1, 0.0), row)
    decision = decide(spec, history, history.trials[key])
    assert decision is not None
    history.apply(Stamp(3, 0.0), decision)

    assert decision.reason == f"diverged: {name} is nan"
    assert history.trials[key].state == "pruned"
    assert history.trials[key].value("validation_accuracy") is None


def test_rungs_lie_below_the_full_fidelity() -> None:
    spec = small_spec(pruning={"min_fidelity": 0.5, "reduction_factor": 3, "max_fidelity": 9})

    assert [level for _, level in levels(spec, 0, 100)] == [0.5, 1.5, 4.5]


def test_without_pruning_there_are_no_rungs() -> None:
    assert list(levels(small_spec(pruning={"name": "none", "max_fidelity": 9}), 0, 100)) == []


def test_a_trial_pauses_at_a_rung_until_it_belongs_to_the_best_third() -> None:
    sweep = records()
    sweep.report(0, 0.5, 1)
    sweep.report(1, 0.4, 1)
    assert sweep.promote() is None
    sweep.report(2, 0.6, 1)

    assert sweep.promote() == 1
    assert sweep.state(1) == "running"
    assert sweep.promote() is None


def test_the_highest_rung_is_promoted_from_first() -> None:
    sweep = records()
    for number, loss in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]):
        sweep.report(number, loss, 1)
    for _ in range(3):
        number = sweep.promote()
        assert number is not None
        sweep.report(number, number / 10, 3)
    sweep.report(9, 0.05, 1)

    assert sweep.promote() == 0
    assert max(sweep.history.trials[TrialKey(0)].decided) == 1


def test_a_report_that_skips_rungs_is_decided_at_each_lowest_first() -> None:
    sweep = records(variant="stop")
    for number in range(3):
        sweep.report(number, 0.1 * number, 1)
        sweep.report(number, 0.1 * number, 3) if sweep.state(number) == "running" else None
    sweep.report(3, 0.05, 5)

    assert list(sweep.history.trials[TrialKey(3)].decided) == [0, 1]


def test_a_late_report_may_not_pass_a_rung_that_it_skipped() -> None:
    sweep = records(variant="stop")
    for number in range(3):
        sweep.report(number, 0.1 + 0.01 * number, 1)
    sweep.report(3, 0.9, 8)

    assert sweep.state(3) == "pruned"
    assert list(sweep.history.trials[TrialKey(3)].decided) == [0]


def test_of_equal_values_the_earlier_trial_goes_on() -> None:
    sweep = records()
    for number in range(3):
        sweep.report(number, 0.5, 1)

    assert sweep.promote() == 0


@given(st.sampled_from([math.nan, math.inf, -math.inf]), st.sampled_from(["promote", "stop"]))
def test_a_value_that_is_not_finite_ends_a_trial_at_once_and_takes_no_place(value: float, variant: str) -> None:
    sweep = records(variant)
    sweep.report(0, value, 0.2)

    assert sweep.state(0) == "pruned"
    assert list(sweep.history.trials[TrialKey(0)].decided) == [DIVERGED]
    assert "diverged" in sweep.history.trials[TrialKey(0)].reason
    for number in (1, 2):
        sweep.report(number, 0.5, 1)
    assert sweep.promote() is None


@given(
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1) | st.just(math.nan)), min_size=5, max_size=60),
    st.sampled_from(["promote", "stop"]),
)
def test_one_decision_a_rung_and_none_twice(reports: list[tuple[int, float]], variant: str) -> None:
    sweep = records(variant)
    fidelity = dict.fromkeys(range(10), 0.0)
    for reported, loss in reports:
        number = reported
        if TrialKey(number) in sweep.history.trials and sweep.state(number) != "running":
            number = sweep.promote() or number
        if TrialKey(number) in sweep.history.trials and sweep.state(number) != "running":
            continue
        fidelity[number] += 1
        sweep.report(number, loss, fidelity[number])
        trial = sweep.history.trials[TrialKey(number)]
        assert decide(sweep.spec, sweep.history, trial) is None
        reached = [rung for rung, _ in levels(sweep.spec, number, fidelity[number])]
        if trial.state == "running":
            assert sorted(trial.decided) == reached


@given(st.permutations([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))
def test_whatever_the_order_of_arrival_the_best_third_is_promoted(losses: list[float]) -> None:
    sweep = records()
    for number, loss in enumerate(losses):
        sweep.report(number, loss, 1)
        while sweep.promote() is not None:
            pass

    gone_on = {loss for number, loss in enumerate(losses) if sweep.state(number) == "running"}
    assert {0.1, 0.2, 0.3} <= gone_on


@given(st.lists(st.floats(0, 1), min_size=3, max_size=30))
def test_a_decision_is_the_same_when_computed_again_from_the_recorded_rows(losses: list[float]) -> None:
    sweep = records()
    for number, loss in enumerate(losses):
        sweep.report(number, loss, 1, settle=False)
        trial = sweep.history.trials[TrialKey(number)]
        first = decide(sweep.spec, sweep.history, trial)

        assert decide(sweep.spec, sweep.history, trial) == first
        assert first is not None
        assert first.seen == sweep.history.last.seq
        sweep.add(first)


def hyperband(**changes: object) -> SweepSpec:
    return small_spec(pruning={"name": "hyperband", "reduction_factor": 3, "max_fidelity": 9, **changes}, trials=200)


def test_hyperbands_brackets_get_equal_budgets_and_the_last_prunes_nothing() -> None:
    # The table of Li et al. for a maximum of 9 and a factor of 3: 9, 5 and 3 trials that begin at 1, 3 and 9.
    assert brackets(hyperband()) == pytest.approx([9 / 17, 5 / 17, 3 / 17])
    drawn = [bracket(hyperband(), number) for number in range(200)]
    for index, share in enumerate(brackets(hyperband())):
        assert drawn.count(index) / 200 == pytest.approx(share, abs=0.1)
    first = {index: drawn.index(index) for index in range(3)}
    found = [[level for _, level in levels(hyperband(), first[index], 9)] for index in range(3)]
    assert found == [[1, 3], [3], []]


def test_a_trial_is_compared_with_its_own_bracket_alone() -> None:
    sweep = Records(hyperband())
    drawn = [bracket(sweep.spec, number) for number in range(40)]
    mine = [number for number, found in enumerate(drawn) if found == 0][:3]
    others = [number for number, found in enumerate(drawn) if found == 1][:3]
    for number in others:
        sweep.report(number, 0.0, 1)  # better than all that follow, at a fidelity that is not one of their rungs
    for place, number in enumerate(mine):
        sweep.report(number, 0.5 + place, 1)

    assert [sweep.state(number) for number in others] == ["running"] * 3
    assert sweep.promote() == mine[0]


def test_hyperband_needs_to_know_the_full_fidelity() -> None:
    with pytest.raises(SpecError, match=r"hyperband plans its brackets .*: give pruning.max_fidelity"):
        small_spec(pruning={"name": "hyperband"})


def test_the_median_lets_the_first_five_pass_and_then_the_better_half() -> None:
    sweep = records(variant="stop", name="median")
    for number, loss in enumerate([0.5, 0.4, 0.9, 0.8, 0.7]):
        sweep.report(number, loss, 1)
    assert [sweep.state(number) for number in range(5)] == ["running"] * 5
    sweep.report(5, 0.95, 1)
    assert sweep.state(5) == "pruned"
    sweep.report(6, 0.6, 1)
    assert sweep.state(6) == "running"
    sweep.report(2, 0.85, 2)
    assert list(sweep.history.trials[TrialKey(2)].decided) == [0, 1]  # every multiple is a rung


def test_a_rung_may_lie_below_one_epoch() -> None:
    sweep = records(min_fidelity=0.25)
    for number, loss in enumerate([0.3, 0.2, 0.1]):
        sweep.report(number, loss, 0.25)

    assert [sweep.state(number) for number in range(3)] == ["paused", "paused", "running"]


def test_the_highest_rung_that_has_someone_to_promote_comes_first() -> None:
    sweep = records()
    for number in range(9):
        sweep.report(number, number / 10, 1)
    assert [sweep.promote() for _ in range(4)] == [0, 1, 2, None]
    for number in range(3):
        sweep.report(number, number / 10, 3)
    for number, loss in ((9, 0.25), (10, 0.9), (11, 0.95)):
        sweep.report(number, loss, 1)

    assert [sweep.promote() for _ in range(3)] == [0, 9, None]


def promotion_by_a_look_at_all(spec: SweepSpec, history: History) -> tuple[TrialKey, int] | None:
    """Return the best of all paused trials that may pass their highest rung, and that rung; higher rungs come first."""
    found = []
    for trial in history.in_state("paused"):
        number, rung = trial.key.number, max(trial.decided)
        level = trial.decided[rung].level
        ranked = standings(spec, history, number, level)
        may = ranked[: _places(spec, len(ranked))]
        own = [place for place, standing in enumerate(may) if standing.number == number]
        found += [(-rung, bracket(spec, number), own[0], trial.key)] if own else []
    return (min(found)[3], -min(found)[0]) if found else None


@given(
    st.sampled_from(["asha", "hyperband", "median"]),
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from([0.1, 0.2, 0.2, 0.5, 0.9])), min_size=10, max_size=80),
)
def test_who_is_promoted_is_whom_a_look_at_all_paused_trials_finds(name: str, reports: list[tuple[int, float]]) -> None:
    sweep = records("promote", name=name)
    for number, loss in reports:
        known = sweep.history.trials.get(TrialKey(number))
        if known is None or known.state == "running":
            sweep.report(number, loss, 1.0 + (known.measurements[-1].fidelity if known else 0.0))
        expected = promotion_by_a_look_at_all(sweep.spec, sweep.history)
        decision = promotion(sweep.spec, sweep.history)
        assert (decision and (decision.key, decision.rung)) == expected
        if number % 2:
            sweep.promote()


@given(
    st.sampled_from(["asha", "hyperband", "median"]),
    st.sampled_from(["promote", "stop"]),
    st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=10, max_size=60),
    st.integers(0, 60),
)
def test_a_restart_between_any_two_reports_changes_no_decision(
    name: str, variant: str, reports: list[tuple[int, float]], place: int
) -> None:
    """Check that a driver that reads the rows so far decides as one that saw them arrive."""
    sweeps = [records(variant, name=name) for _ in range(2)]
    for step, (number, loss) in enumerate(reports):
        for sweep in sweeps:
            if TrialKey(number) in sweep.history.trials and sweep.state(number) != "running":
                continue
            known = sweep.history.trials.get(TrialKey(number))
            sweep.report(number, loss, 1.0 + (known.measurements[-1].fidelity if known else 0.0))
            sweep.promote()
        if step == place:
            sweeps[0].history = History(sweeps[0].rows)

    assert sweeps[0].rows == sweeps[1].rows


def told(records: Records) -> list[tuple[object, ...]]:
    """Return what was decided, without places in the ledger."""
    rows = [row for _, row in records.rows if isinstance(row, Decided)]
    return [(row.key, row.rung, row.level, row.verdict, row.reason) for row in rows]


@example(reports=[(0, 0.0), (1, 0.0), (0, math.nan)], variant="promote")
@given(
    reports=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1) | st.just(math.nan)), max_size=30),
    variant=st.sampled_from(["promote", "stop"]),
)
def test_a_report_without_the_metric_changes_no_decision_and_no_value(
    reports: list[tuple[int, float]], variant: str
) -> None:
    """Check reports as of a function that validates only after every second epoch."""
    with_gaps, without = records(variant, reduction_factor=2), records(variant, reduction_factor=2)
    for number, loss in reports:
        trial = without.history.trials.get(TrialKey(number))
        if trial and trial.state != "running":
            continue
        epoch = 2.0 * len(trial.measurements) + 2 if trial else 2.0
        with_gaps.report(number, None, epoch - 1)
        for each in (with_gaps, without):
            each.report(number, loss, epoch)
            each.promote()

    assert told(with_gaps) == told(without)
    for key, trial in without.history.trials.items():
        assert with_gaps.history.trials[key].value("loss") == trial.value("loss")
    specs = with_gaps.spec, without.spec
    histories = with_gaps.history, without.history
    assert by_last_value(specs[0], histories[0]) == by_last_value(specs[1], histories[1])
    views = [OptunaView(*both).get_all_trials(0) for both in zip(specs, histories, strict=True)]
    assert repr([t.intermediate_values for t in views[0]]) == repr([t.intermediate_values for t in views[1]])
