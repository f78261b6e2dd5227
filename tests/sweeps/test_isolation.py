"""Tests of isolation: what a trial sets in its process lasts for that trial, and not for the next in its worker."""

import contextlib
import decimal
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from changed_settings import SETTINGS
from test_worker import a_leg, a_worker

from sweeps.execution.settings import settings
from sweeps.execution.worker import MESSAGE

# Each trial begins with its own log handler and seed, and with algorithms that repeat.
OF_EACH_TRIAL = ("root handlers", "Python's generator", "NumPy's generator", "torch's generator")
OF_EACH_TRIAL += ("deterministic algorithms", "cudnn.deterministic", "cudnn.benchmark")


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_trial_sets_is_there_until_its_end_and_not_in_the_next(name: str, tmp_path: Path) -> None:
    see, change = SETTINGS[name]
    found, changed, kept = [], [], []

    def function(params: Any, seed: int) -> Iterator[dict[str, float]]:
        found.append(see())
        change()
        changed.append(see())
        yield {"loss": 1.0}
        kept.append(see())

    worker, before = a_worker(tmp_path, function), see()
    for number in (1, 2, 3):
        worker.step()
        assert worker.step()[MESSAGE].kind == "ended"
        worker.reset_config({"leg": a_leg(tmp_path, number)})
    worker.cleanup()

    if name not in OF_EACH_TRIAL:
        assert found[0] == before
    assert found[1:] == found[:1] * 2
    assert all(value != found[0] for value in changed)
    assert kept == changed
    assert see() == before


def test_a_trial_that_pauses_leaves_its_settings_too(tmp_path: Path) -> None:
    found = []

    def function(params: Any, seed: int) -> Iterator[dict[str, float]]:
        found.append(torch.get_default_dtype())
        torch.set_default_dtype(torch.float64)
        while True:
            yield {"loss": 1.0}

    worker = a_worker(tmp_path, function)
    for number in (1, 2):
        worker.step()
        worker.reset_config({"leg": a_leg(tmp_path, number)})  # as after a pause, which a worker does not see
    worker.step()
    worker.cleanup()

    assert found == [torch.float32] * 3
    assert torch.get_default_dtype() == torch.float32


def test_with_blocks_that_are_open_at_a_report_are_the_trials_own(tmp_path: Path) -> None:
    inside, after = [], []

    def function(params: Any, seed: int) -> Iterator[dict[str, float]]:
        with (
            warnings.catch_warnings(),
            np.errstate(all="raise"),
            decimal.localcontext(prec=3),
            torch.no_grad(),
            contextlib.redirect_stdout(None),
        ):
            warnings.simplefilter("error")
            yield {"loss": 1.0}
            inside.append(
                (np.geterr()["over"], decimal.getcontext().prec, torch.is_grad_enabled(), warnings.filters[0][0])
            )
        after.append((np.geterr()["over"], decimal.getcontext().prec, torch.is_grad_enabled()))
        yield {"loss": 1.0}

    before = np.geterr()["over"], decimal.getcontext().prec, torch.is_grad_enabled()
    worker = a_worker(tmp_path, function)
    for _ in range(2):
        worker.step()
    worker.reset_config({"leg": a_leg(tmp_path, 1)})
    worker.step()
    worker.reset_config({"leg": a_leg(tmp_path, 2)})  # while the blocks are open
    for _ in range(2):
        worker.step()
    worker.cleanup()

    assert inside == [("raise", 3, False, "error")] * 2
    assert after == [before] * 2


def test_what_an_import_sets_stays_with_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_a_trial.py").write_text(
        "import os, warnings\nos.environ['OF_AN_IMPORT'] = '1'\nwarnings.filterwarnings('ignore', 'of a trial')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []

    def function(params: Any, seed: int) -> Iterator[dict[str, float]]:
        os.environ["BEFORE_THE_IMPORT"] = "1"
        import of_a_trial  # noqa: F401

        found.append(
            (os.environ.get("OF_AN_IMPORT"), any(one[1] and one[1].pattern == "of a trial" for one in warnings.filters))
        )
        yield {"loss": 1.0}

    worker = a_worker(tmp_path, function)
    worker.step()
    worker.reset_config({"leg": a_leg(tmp_path, 1)})
    assert "BEFORE_THE_IMPORT" not in os.environ
    worker.step()
    worker.cleanup()
    os.environ.pop("OF_AN_IMPORT")

    assert found == [("1", True)] * 2


def test_a_library_that_a_trial_imports_first_is_set_back_to_how_it_came(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from sweeps.execution.isolation import Isolation

isolation = Isolation()
assert "torch" not in sys.modules
for _ in range(2):
    with isolation.trial() as run:
        import torch
        assert torch.get_default_dtype() == torch.float32
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(torch.get_num_threads() + 1)
    isolation.begin()
print("done")
"""
    assert fresh(code) == "done"


def fresh(code: str) -> str:
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


def test_descriptors_that_a_trial_closed_are_opened_again_at_once() -> None:
    code = """
import os
from sweeps.execution.isolation import Isolation

isolation = Isolation()
with isolation.trial():
    os.close(1)
    os.close(2)
assert os.open(os.devnull, os.O_RDONLY) > 2
with isolation.trial():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
isolation.begin()
print("done")
"""
    assert fresh(code) == "done"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("torch's threads between operations", "torch.set_num_interop_threads(torch.get_num_interop_threads() + 1)"),
        ("torch's modes", "mode = torch.inference_mode(); mode.__enter__()"),
        ("torch's modes", "torch.device('meta').__enter__()"),
        ("scheduling", "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"),
    ],
)
def test_a_process_that_can_not_be_set_back_is_given_up_after_the_trial(name: str, change: str) -> None:
    code = f"""
import os, torch
from sweeps.execution.isolation import Isolation

isolation = Isolation()
assert isolation.stuck == []
with isolation.trial():
    {change}
print(*isolation.stuck)
"""
    assert fresh(code) == name


def test_each_trial_may_set_the_threads_between_operations_to_what_they_are() -> None:
    code = """
import torch
from sweeps.execution.determinism import seed_generators
from sweeps.execution.isolation import Isolation

isolation = Isolation()
seed_generators(1)
for _ in range(2):
    with isolation.trial():
        torch.set_num_interop_threads(torch.get_num_interop_threads())
        torch.rand(3)
    isolation.begin()
print(*isolation.stuck, "done")
"""
    assert fresh(code) == "done"


def test_threads_that_run_on_are_told_in_the_log(tmp_path: Path) -> None:
    gate = threading.Event()

    def function(params: Any, seed: int) -> Iterator[dict[str, float]]:
        threading.Thread(target=gate.wait, name="prefetch", daemon=True).start()
        yield {"loss": 1.0}

    worker = a_worker(tmp_path, function)
    worker.step()
    worker.step()
    gate.set()

    assert "these threads of the trial run on: prefetch" in (tmp_path / "0.log").read_text()


@pytest.mark.parametrize("library", ["torch", "numpy"])
@pytest.mark.parametrize("is_seeded_before", [True, False])
def test_a_trial_may_be_the_first_to_import_a_library_that_is_seeded(library: str, is_seeded_before: bool) -> None:
    # Both the seeding and the isolation watch for such an import, each by asking all finders of modules.
    seed = "determinism.seed_generators(3)"
    code = f"""
import sys
from sweeps.execution import determinism
from sweeps.execution.isolation import Isolation

assert {library!r} not in sys.modules
{seed if is_seeded_before else "pass"}
with Isolation().trial() as run:
    {"pass" if is_seeded_before else seed}
    run(lambda: __import__({library!r}))
    import {library}
print({"torch.initial_seed()" if library == "torch" else "numpy.random.get_state()[1][0]"}, end="")
"""
    assert fresh(code) == "3"


def test_a_setting_that_cannot_be_set_back_is_in_the_log_and_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function(params: Any, seed: int) -> Iterator[dict[str, float]]:
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        yield {"loss": 1.0}

    def refuses(value: object) -> None:
        raise PermissionError

    table = [replace(one, set=refuses) if one.name == "recursion limit" else one for one in settings()]
    worker = a_worker(tmp_path, function)
    monkeypatch.setattr("sweeps.execution.isolation.settings", lambda: table)
    before = sys.getrecursionlimit()
    worker.step()
    message = worker.step()[MESSAGE]
    sys.setrecursionlimit(before)

    assert (message.kind, message.ends_worker) == ("ended", True)
    assert (
        "could not be set back, so the worker ends soon: recursion limit (PermissionError)"
        in (tmp_path / "0.log").read_text()
    )
