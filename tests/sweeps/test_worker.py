"""Tests of the actor in which trials train: its name says what it does, and each trial has its own log."""

import inspect
import logging
import math
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from simulation import small_spec

from sweeps.execution.messages import Leg, Message
from sweeps.execution.sharing import make_mark
from sweeps.execution.stopping import StopWord
from sweeps.execution.worker import MESSAGE, worker_class
from sweeps.search.history import TrialKey
from sweeps.store.folders import SweepFolder


def a_leg(folder: Path, number: int, **changes: Any) -> Leg:
    params = {"x": 0.25, "kind": "b", "y": 2, "z": 1}
    files = {"checkpoint": folder / str(number), "log": folder / f"{number}.log"}
    given: dict[str, Any] = {"params": params, "seed": 1, "known": 0, **files, **changes}
    return Leg("bowl", TrialKey(number), **given)


def a_worker(folder: Path, function: Any, number: int = 0) -> Any:
    """Return an actor without Tune's own set-up, which makes folders and reads the cluster."""
    results = SweepFolder(folder / "results", "bowl")
    results.create()
    made = worker_class(small_spec(), function, None, StopWord(), make_mark(results))
    actor = made.__new__(made)
    actor.setup({"leg": a_leg(folder, number)})
    return actor


def talkative(params, seed):
    print("a word of", params["x"])
    logging.getLogger("theirs").warning("a warning")
    yield {"loss": 0.125}
    raise RuntimeError("enough")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Any]:
    actor = a_worker(tmp_path, talkative, 3)
    yield actor
    actor.cleanup()


def test_an_actor_says_sweep_trial_and_main_parameters(worker: Any, tmp_path: Path) -> None:
    assert repr(worker) == "bowl #3 x=0.25 kind=b y=2 (first of this worker)"
    assert a_leg(tmp_path, 7).title == "bowl #7 x=0.25 kind=b y=2"


def test_on_a_node_that_does_not_see_the_folder_nothing_is_trained_or_written(worker: Any, tmp_path: Path) -> None:
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    worker.setup({"leg": a_leg(tmp_path, 5)})
    message = worker.step()[MESSAGE]

    assert message.kind == "unsaved"
    assert "does not see" in message.reason
    assert not (tmp_path / "5.log").exists()


def test_what_a_trial_says_is_in_its_own_log(worker: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worker.step()
    worker.step()
    worker.reset_config({"leg": a_leg(tmp_path, 4)})
    worker.step()
    first, second = ((tmp_path / f"{number}.log").read_text() for number in (3, 4))

    assert "a word of 0.25" in first
    assert "a warning" in first
    assert "trial 3 report 1 step 1 fidelity 1 loss=0.125" in first
    assert "trial 3 failed RuntimeError: enough" in first
    assert "Traceback" in first
    assert "trial 4 report 1" in second
    assert "trial 3" not in second
    assert "a word" not in capsys.readouterr().out


def removes(logs: Path) -> None:
    shutil.rmtree(logs)


def replaces_by_a_file(logs: Path) -> None:
    shutil.rmtree(logs)
    logs.write_text("")


def replaces_by_a_folder(logs: Path) -> None:
    shutil.rmtree(logs)
    (logs / "3.log").mkdir(parents=True)


def fills(logs: Path) -> None:
    (logs / "3.log").unlink(missing_ok=True)
    (logs / "3.log").symlink_to("/dev/full")


@pytest.mark.parametrize("when", ["before the trial", "in the trial"])
@pytest.mark.parametrize(
    ("spoils", "said"),
    [
        (removes, None),
        (replaces_by_a_file, "File exists|Not a directory"),
        (replaces_by_a_folder, "Is a directory"),
        (fills, "No space left on device"),
    ],
)
def test_no_log_stops_a_trial_and_that_it_is_missing_is_said_once(
    tmp_path: Path, spoils: Callable[[Path], None], said: str | None, when: str
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()

    def f(params, seed):
        print("a word")
        if when == "in the trial":
            spoils(logs)
        yield {"loss": 1.0}
        yield {"loss": 0.5}

    actor = a_worker(tmp_path, f, 3)
    actor.reset_config({"leg": a_leg(tmp_path, 3, log=logs / "3.log")})
    if when == "before the trial":
        spoils(logs)
    messages = [actor.step()[MESSAGE] for _ in range(3)]
    actor.cleanup()

    assert [message.kind for message in messages] == ["measured", "measured", "ended"]
    notes = [note for message in messages for note in message.notes]
    assert len(notes) == (said is not None)
    assert all(re.search(rf"3\.log can't be written \(({said})\): the trial runs on without it$", n) for n in notes)


def test_what_a_trial_raises_is_a_message_and_the_actor_stays(worker: Any, tmp_path: Path) -> None:
    worker.step()
    message = worker.step()[MESSAGE]

    assert message.kind == "failed"
    assert re.fullmatch(r"RuntimeError: enough \(.*test_worker\.py:\d+\)", message.reason)
    assert worker.reset_config({"leg": a_leg(tmp_path, 4)})
    assert worker.step()[MESSAGE].measurement.values == {"loss": 0.125}


def test_after_a_lost_device_the_process_is_left(worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr("sweeps.execution.worker.os._exit", left.append)
    worker._messages = (Message("failed", reason="RuntimeError", ends_worker=True) for _ in range(1))

    assert worker.step()[MESSAGE].ends_worker
    assert left == []  # not before the driver has the message
    worker.cleanup()
    assert left == [0]


def closes(params, seed):
    sys.stdout.close()
    yield {"loss": 1.0}


def detaches(params, seed):
    sys.stdout.detach()
    yield {"loss": 1.0}


def replaces(params, seed):
    sys.stdout = sys.stderr = None
    yield {"loss": 1.0}


def closes_descriptors(params, seed):
    os.close(1)
    os.close(2)
    yield {"loss": 1.0}


def shuts_logging_down(params, seed):
    logging.shutdown()
    logging.disable()
    logging.root.handlers.clear()
    yield {"loss": 1.0}


def makes_warnings_errors(params, seed):
    warnings.simplefilter("error")
    yield {"loss": 1.0}


def leaves_little_depth(params, seed):
    yield {"loss": 1.0}
    sys.setrecursionlimit(len(inspect.stack(0)) + 3)
    yield {"loss": math.sqrt(1.0)}


def says_what_is_no_utf_8(params, seed):
    print("caf\udce9", file=sys.stderr)
    print("caf\udce9")
    warnings.warn("caf\udce9 has no header", stacklevel=1)
    logging.getLogger("theirs").warning("caf\udce9")
    yield {"loss": 1.0}


def raises_at_its_end(params, seed):
    try:
        while True:
            yield {"loss": 1.0}
    finally:
        raise KeyboardInterrupt("caf\udce9")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "function",
    [
        closes,
        detaches,
        replaces,
        closes_descriptors,
        shuts_logging_down,
        makes_warnings_errors,
        leaves_little_depth,
        says_what_is_no_utf_8,
        raises_at_its_end,
    ],
    ids=lambda function: function.__name__,
)
def test_nothing_a_trial_does_to_what_it_says_stops_the_worker(function: Any, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "results", "bowl")
    folder.create()
    made = worker_class(small_spec(), function, None, StopWord(), make_mark(folder))
    actor = made.__new__(made)
    for number in (3, 4):
        actor.setup({"leg": a_leg(tmp_path, number)}) if number == 3 else actor.reset_config(
            {"leg": a_leg(tmp_path, 4)}
        )
        assert actor.step()[MESSAGE].kind == "measured"
        assert actor.step()[MESSAGE].kind in ("ended", "measured", "failed")
    actor.cleanup()

    log = (tmp_path / "3.log").read_text("utf-8")
    assert "trial 3 report 1" in log
    assert log.count("caf\\udce9") >= (3 if function is says_what_is_no_utf_8 else 0)  # a warning is sent to pytest
