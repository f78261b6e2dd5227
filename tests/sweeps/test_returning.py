"""Tests of a script that is run again: it continues its sweep, and says how to continue it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from simulation import TABLE, open_driver, rows_of, small_spec, swept

import sweeps
from study.measurement import Measurement
from sweeps.errors import SpecError
from sweeps.returning import how_to_continue, is_importable, to_finish, to_reproduce, to_resume, to_walk
from sweeps.search.extension import Changes, as_extended, grown
from sweeps.search.history import Asked, History, Measured, Moved, Noted, Stamp, TrialKey
from sweeps.search.notes import EXTENDED, SELECTED
from sweeps.spec import SweepSpec, load_spec
from sweeps.store.folders import SweepFolder

KEY = TrialKey(0)
REPORT = Measured(KEY, Measurement(1, 1, 1.0, 1.0, {"loss": 0.5}))
BUDGETS: dict[str, Any] = {"trials": 12, "time": "60s", "device_hours": 0.1, "trial_time": "10s"}


def had(*notes: tuple[str, dict[str, Any]]) -> History:
    rows = [Noted(kind, body) for kind, body in notes]
    return History((Stamp(seq, 0.0), row) for seq, row in enumerate(rows, start=1))


@pytest.mark.parametrize(
    ("rows", "is_hopeless"),
    [
        ([Moved(KEY, "failed", "ValueError")], True),
        ([REPORT, Moved(KEY, "failed", "ValueError")], True),
        ([REPORT], False),
        ([Moved(KEY, "cut", "time")], False),
        ([], False),
    ],
)
def test_a_sweep_without_a_value_is_resumed_with_its_failed_trials(rows: list[Any], is_hopeless: bool) -> None:
    begun = [Noted("session", {}), Asked(KEY, {"x": 0.5}, 0, 0), *rows]
    history = History((Stamp(seq, 0.0), row) for seq, row in enumerate(begun, start=1))

    assert ("--retry-failed" in to_finish(small_spec(), history, {})) is is_hopeless


def test_an_equal_spec_is_the_same_however_it_is_written() -> None:
    first = small_spec(time="10m", trials=12)
    written = load_spec(
        {**TABLE, "time": 600, "sampler": {"name": "tpe"}, "pruning": {"name": "asha", "max_fidelity": 9.0}}
    )

    assert grown(first, History(), written) == {}
    assert grown(load_spec(first.to_table()), History(), first) == {}


@pytest.mark.parametrize("key", list(BUDGETS))
def test_each_budget_may_grow_and_none_may_shrink_or_vanish(key: str) -> None:
    first = small_spec(**BUDGETS)
    value = getattr(first, key)

    assert grown(first, History(), small_spec(**{**BUDGETS, key: value * 2})) == pytest.approx({key: value})
    with pytest.raises(SpecError, match=rf"\({key}: .* → .*\): only trials, time, device_hours, trial_time may grow"):
        grown(first, History(), small_spec(**{**BUDGETS, key: value / 2 if key != "trials" else 6}))
    if key != "trials":
        without = {name: own for name, own in BUDGETS.items() if name != key}
        for old, new in ((BUDGETS, without), (without, BUDGETS)):
            with pytest.raises(SpecError, match=f"{key}: .*none"):
                grown(small_spec(**old), History(), small_spec(**new))


CHANGED: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1}, "seed: 0 → 1"),
    ({"metric": "error"}, 'metric: "loss" → "error"'),
    ({"direction": "maximize"}, 'direction: "minimize" → "maximize"'),
    ({"target": "functions:bowl"}, 'target: "functions:bowl_with_checkpoint" → "functions:bowl"'),
    ({"sampler": "random"}, 'sampler.name: "tpe" → "random"'),
    ({"concurrency": 2}, "concurrency: none → 2"),
    ({"deterministic": True}, "deterministic: false → true"),
    ({"pruning": {"max_fidelity": 10}}, "pruning.max_fidelity: 9.0 → 10.0"),
    ({"selection": {"seeds": 2}}, "selection.seeds: "),
    ({"resources": {"cpus_per_trial": 2}}, "resources.cpus_per_trial: 1.0 → 2.0"),
    ({"space": {"x": {"float": [0.0, 2.0]}}}, r"space.x: {.*1.0.*} → {.*2.0.*}.*space.kind: .* → none"),
    ({"start": [{"x": 0.2}]}, r"start: \[\] → "),
    ({"trials": 20, "seed": 1}, r"\(seed: 0 → 1\)"),
]


@pytest.mark.parametrize(("change", "says"), CHANGED, ids=[str(change) for change, _ in CHANGED])
def test_any_other_difference_is_refused_by_key_with_both_values(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=f"'bowl' is recorded with another spec .*{says}") as caught:
        grown(small_spec(), History(), small_spec(**change))

    assert "\n" not in str(caught.value)


def test_whatever_spec_the_sweep_has_had_asks_for_nothing_more() -> None:
    first = small_spec(time="60s")
    history = had((EXTENDED, {"trials": 8}), (SELECTED, {"seeds": 2}), (EXTENDED, {"trials": 10, "time": 30.0}))
    now = as_extended(first, history)

    for spec in (first, now, small_spec(time="60s", trials=20), small_spec(time="90s", selection={"seeds": 2})):
        assert grown(first, history, spec) == {}
    assert grown(first, history, small_spec(time="2m", trials=40)) == {"trials": 10, "time": 30.0}
    with pytest.raises(SpecError, match="trials: 30 → 25"):
        grown(first, history, small_spec(time="60s", trials=25))


def test_budgets_that_are_added_come_out_as_the_script_says() -> None:
    """Check that a third run finds no difference, although sums of floats are not exact."""
    first = small_spec(device_hours=0.1)
    wanted = small_spec(device_hours=0.7)
    history = had((EXTENDED, grown(first, History(), wanted)))

    assert grown(first, history, wanted) == {}


@pytest.fixture
def over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """Return the folder of a sweep that is over, in a process that fails if Ray starts."""
    monkeypatch.setattr("sweeps.running.session", lambda *_, **__: pytest.fail("Ray was started"))
    return swept(tmp_path, "bowl")


def test_a_sweep_that_is_over_gives_its_result_at_once_and_records_nothing(over: SweepFolder) -> None:
    rows = rows_of(over)
    result = sweeps.run(TABLE, results=over.results, resume=True, progress="none")

    assert result.best.equals(sweeps.load("bowl", results=over.results).best)
    assert rows_of(over) == rows
    assert [folder.name for folder in (over.results / "sweeps").iterdir()] == ["bowl"]


def test_without_resume_the_same_script_makes_another_sweep(over: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.running._drive", lambda *_, **__: None)

    assert sweeps.run(TABLE, results=over.results, progress="none").name == "bowl-2"


def test_a_larger_sweep_is_extended_and_another_is_refused_before_anything_is_recorded(
    over: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven: list[SweepSpec] = []
    monkeypatch.setattr("sweeps.running._drive", lambda driver, *_, **__: driven.append(driver.spec))
    rows = rows_of(over)
    with pytest.raises(SpecError, match="seed: 0 → 7"):
        sweeps.run(TABLE, results=over.results, resume=True, seed=7, trials=20, progress="none")
    assert rows_of(over) == rows
    for _ in range(2):
        sweeps.run(TABLE, results=over.results, resume=True, trials=20, progress="none")

    assert [spec.trials for spec in driven] == [20, 20]
    assert [row.body for _, row in rows_of(over)[len(rows) :]] == [{"trials": 8}]


def test_where_no_sweep_is_there_resume_starts_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.running._drive", lambda *_, **__: None)

    assert sweeps.run(TABLE, results=tmp_path, resume=True, progress="none").name == "bowl"
    assert sweeps.load("bowl", results=tmp_path).spec == small_spec()


def test_the_command_continues_a_sweep_too(over: SweepFolder, call: Any) -> None:
    over.results.joinpath("bowl.toml").write_text(load_spec(TABLE).to_toml(), "utf-8")
    arguments = ("run", str(over.results / "bowl.toml"), "--resume", "--results", str(over.results))
    code, out, err = call(*arguments)

    assert (code, err) == (0, "")
    assert "sweep bowl is over: 12 trials" in out
    assert "seed: 0 → 3" in call(*arguments, "--seed", "3")[2]


def test_a_bound_of_trials_at_a_time_is_an_option_of_the_command(over: SweepFolder, call: Any) -> None:
    assert call("resume", "bowl", "--concurrency", "0", "--results", str(over.results))[0] == 2
    assert call("resume", "bowl", "--concurrency", "1", "--results", str(over.results))[0] == 0


def test_a_command_continues_what_it_can_import_and_a_call_the_rest() -> None:
    def said(target: str | None) -> str:
        spec = small_spec() if target is not None else load_spec("quickstart")
        return how_to_continue(spec.model_copy(update={"target": target}), "/my results/r")

    assert said("functions:bowl") == "continue with `sweeps resume bowl --results '/my results/r'`"
    assert said(None) == "continue with `sweeps resume quickstart --results '/my results/r'`"
    call = "sweeps.resume('bowl', target={}, results='/my results/r')"
    assert said("__main__:train") == (
        f"run the script again with resume=True, or continue with `{call.format('train')}`"
    )
    renamed = small_spec(name="bowl-2").model_copy(update={"target": "__main__:train"})
    assert how_to_continue(renamed, "/r").startswith("run the script again with resume=True and name='bowl-2', or")
    assert f"`{call.format('inner')}`" in said("pkg.mod:outer.<locals>.inner")
    assert f"`{call.format('...')}`" in said("pkg.mod:train.<partial>")


def test_what_is_given_more_is_an_option_of_the_command_or_an_argument_of_the_call() -> None:
    def said(target: str, *options: str) -> str:
        return to_resume(small_spec().model_copy(update={"target": target}), {}, *options)

    assert said("functions:bowl", "--time", "+10m", "--trials", "+6") == "sweeps resume bowl --time +10m --trials +6"
    script = "__main__:train"
    assert said(script, "--time", "+10m", "--trials", "+6") == (
        "sweeps.resume('bowl', target=train, time='10m', trials=6)"
    )
    assert said(script, "--retry-failed") == "sweeps.resume('bowl', target=train, retry_failed=True)"


def test_in_a_notebook_there_is_no_script_to_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    spec = small_spec().model_copy(update={"target": "__main__:train"})

    assert how_to_continue(spec, "/r").startswith(
        "call sweeps.run again with resume=True, or continue with `sweeps.resume("
    )


def test_a_module_next_to_the_script_is_found_only_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_it.py").write_text("def f(params, seed): yield {}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "script.py"), raising=False)
    __import__("beside_it")

    assert not is_importable("beside_it:f")
    monkeypatch.chdir(tmp_path)
    assert is_importable("beside_it:f")


def test_a_name_that_is_taken_by_a_scripts_sweep_says_what_continues_it(tmp_path: Path) -> None:
    spec = small_spec(target="__main__:train")
    open_driver(SweepFolder(tmp_path, "bowl"), spec)
    with pytest.raises(SpecError, match=r"there is a sweep named 'bowl' .*: run the script again with resume=True"):
        sweeps.run(spec, name="bowl", results=tmp_path, progress="none")


def test_changes_are_told_in_words() -> None:
    rows = [Noted(EXTENDED, {"trials": 5, "time": 60.0}), Noted("retry", {"trials": [[3, 0], [2, 1]]})]

    assert Changes(retry_failed=True).in_words(rows) == (
        "extended by trials 5, time 60; these trials failed and run again: 3, 2-seed1"
    )
    assert Changes(retry_failed=True).in_words([]) == "no trial has failed, so that there is none to run again"
    assert Changes().in_words([]) == ""


@pytest.mark.parametrize(
    ("target", "reproduced", "walked"),
    [
        (None, "sweeps reproduce bowl --trial 2 --results r", "sweeps path bowl --results r"),
        (
            "__main__:train",
            "sweeps.load('bowl', target=train, results='r').reproduce(2)",
            "sweeps.ablation_path('bowl', target=train, results='r')",
        ),
    ],
)
def test_a_script_gets_calls_where_no_command_can_import_its_function(
    target: str | None, reproduced: str, walked: str
) -> None:
    spec, where = small_spec(**({"target": target} if target else {})), {"results": "r"}

    assert to_reproduce(spec, where, 2) == reproduced
    assert to_walk(spec, where) == walked
