"""Tests of Optuna's dashboard over a ledger: it shows recorded rows, follows new ones, and changes nothing."""

import io
import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from simulation import Simulation, open_driver, rows_of, small_spec, swept

from study.measurement import Measurement
from sweeps.execution.driver import Driver
from sweeps.search.history import Asked, Measured, Moved, Noted, TrialKey
from sweeps.store import followed
from sweeps.store.earlier import read_warm_start
from sweeps.store.folders import SweepFolder
from sweeps.store.followed import Followed
from sweeps.store.lease import lease
from sweeps.store.ledger import Ledger
from sweeps.terminal import dashboard

BY_KIND = {"by": {"kind": {"a": {"float": [0.1, 1.0], "log": True}, "b": {"float": [0.01, 0.2], "log": True}}}}


@pytest.fixture(autouse=True)
def _every_look_is_into_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "PATIENCE", 0.0)


@pytest.fixture
def driver(folder: SweepFolder) -> Iterator[Driver]:
    """Yield the driver of a running sweep in which two trials have made one report each."""
    running = open_driver(folder, small_spec(space={"kind": {"choice": ["a", "b"]}, "rate": BY_KIND}))
    running.record(Noted("session", {"slots": 2, "dashboard": "http://127.0.0.1:8265"}))
    for number, kind in enumerate(("a", "b")):
        key = TrialKey(number)
        running.record(Asked(key, {"kind": kind, "rate": 0.15}, number, 0))
        running.record(Measured(key, Measurement(1, 1, 1.0, 0.1, {"loss": 0.5 - number / 10})))
    yield running
    running._ledger.close()


@pytest.fixture
def shown(folder: SweepFolder, driver: Driver) -> Iterator[Followed]:
    with closing(Ledger.open(folder.ledger, read_only=True)) as ledger:
        yield Followed(ledger)


def ask(shown: Followed, path: str, method: str = "GET", body: bytes = b"") -> tuple[str, Any]:
    """Return the status and the content of an answer from a dashboard without a cache; JSON objects are parsed."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_LENGTH": str(len(body))}
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": "application/json", "HTTP_ACCEPT_ENCODING": ""}
    setup_testing_defaults(environ)
    statuses = []
    answer = dashboard.application(shown)(environ, lambda status, headers, exc_info=None: statuses.append(status))
    text = b"".join(answer)
    return statuses[0], json.loads(text) if text.startswith(b"{") else text


def trials(shown: Followed) -> list[dict[str, Any]]:
    return ask(shown, "/api/studies/0")[1]["trials"]


def test_a_sweep_is_one_study_with_its_trials_and_their_reports(shown: Followed) -> None:
    (study,) = ask(shown, "/api/studies")[1]["study_summaries"]
    detail = ask(shown, "/api/studies/0")[1]

    assert (study["study_name"], study["directions"]) == ("bowl", ["minimize"])
    assert detail["objective_names"] == ["loss"]
    assert [(trial["number"], trial["state"]) for trial in detail["trials"]] == [(0, "Running"), (1, "Running")]
    assert detail["trials"][1]["intermediate_values"] == [{"step": 1000, "value": 0.4}]


def test_rows_that_are_appended_are_seen(shown: Followed, driver: Driver) -> None:
    assert len(trials(shown)) == 2
    driver.record(Asked(TrialKey(2), {"kind": "a", "rate": 0.2}, 2, 0))
    driver.record(Measured(TrialKey(1), Measurement(2, 2, 2.0, 0.2, {"loss": 0.3})))
    driver.record(Moved(TrialKey(1), "complete", "full fidelity"))

    assert [trial["state"] for trial in trials(shown)] == ["Running", "Complete", "Running"]
    assert trials(shown)[1]["values"] == [0.3]
    assert ask(shown, "/api/studies/0")[1]["best_trials"][0]["number"] == 1


def test_the_ledger_is_not_looked_into_more_often_than_once_in_a_while(
    shown: Followed, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "PATIENCE", 1000.0)
    driver.record(Asked(TrialKey(2), {"kind": "a", "rate": 0.2}, 2, 0))

    assert len(trials(shown)) == 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/studies/0/note", {"version": 1, "body": "a note"}),
        ("PUT", "/api/studies/0/1/note", {"version": 1, "body": "a note"}),
        ("POST", "/api/studies/0/rename", {"study_name": "other"}),
        ("POST", "/api/studies", {"study_name": "other", "directions": ["minimize"]}),
        ("POST", "/api/trials/0/tell", {"state": "Fail"}),
        ("POST", "/api/trials/0/user-attrs", {"user_attrs": {"a": 1}}),
        ("POST", "/api/artifacts/0/0", {"file": "data:text/plain;base64,YQ==", "filename": "a.txt"}),
        ("DELETE", "/api/studies/0", {}),
    ],
)
def test_what_would_change_the_sweep_is_refused_and_the_dashboard_goes_on(
    shown: Followed, folder: SweepFolder, method: str, path: str, body: dict[str, Any]
) -> None:
    before = rows_of(folder)
    status, answer = ask(shown, path, method, json.dumps(body).encode())

    assert (status, answer["reason"]) == ("403 Forbidden", "a sweep is only shown here: change it with `sweeps`")
    assert rows_of(folder) == before
    assert ask(shown, "/api/studies")[0] == "200 OK"


def test_a_rate_has_its_own_value_within_the_span_of_all_ranges(shown: Followed) -> None:
    for trial in trials(shown):
        rate = next(param for param in trial["params"] if param["name"] == "rate")
        assert rate["param_external_value"] == "0.15"
        assert [rate["distribution"][key] for key in ("low", "high", "log")] == [0.01, 1.0, True]


def test_a_trial_that_waits_is_running_until_the_sweep_is_over(shown: Followed, driver: Driver) -> None:
    driver.record(Moved(TrialKey(0), "paused", "at a rung"))
    assert trials(shown)[0]["state"] == "Running"
    driver.record(Noted("outcome", {"winner": None}))
    assert (trials(shown)[0]["state"], trials(shown)[0]["values"]) == ("Pruned", [0.5])
    driver.record(Noted("session", {"slots": 2}))
    assert trials(shown)[0]["state"] == "Running"


def test_trials_of_earlier_sweeps_are_not_among_its_own(folder: SweepFolder) -> None:
    swept(folder.results, "coarse", trials=3)
    spec = small_spec(trials=4, warm_start=["coarse"])
    later = open_driver(folder, spec)
    later.start({}, read_warm_start(spec, "coarse", folder.results))
    Simulation(later).run()
    with closing(Ledger.open(folder.ledger, read_only=True)) as ledger:
        assert [trial["number"] for trial in trials(Followed(ledger))] == [0, 1, 2, 3]


def test_rays_dashboard_is_known_as_long_as_a_process_drives_the_sweep(folder: SweepFolder, driver: Driver) -> None:
    assert dashboard.ray_dashboard(folder, driver.history) is None
    with lease(folder.lease, "bowl"):
        assert dashboard.ray_dashboard(folder, driver.history) == "http://127.0.0.1:8265"


Call = Callable[..., tuple[int, str, str]]


def test_the_command_says_its_address_on_this_machine_and_ctrl_c_ends_it(
    folder: SweepFolder, driver: Driver, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = []

    def interrupted(server: dashboard._Server) -> None:
        hosts.append(server.server_address[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(dashboard._Server, "serve_forever", interrupted)
    with lease(folder.lease, "bowl"):
        code, out, err = call("dashboard", "bowl", "--results", str(folder.results), "--port", "0")

    assert (code, err.strip(), hosts) == (130, "error: stopped", ["127.0.0.1"])
    assert out.startswith("dashboard of bowl: http://127.0.0.1:")
    assert "Ray's dashboard: http://127.0.0.1:8265" in out


def test_a_port_that_is_taken_is_one_line(folder: SweepFolder, driver: Driver, call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = call("dashboard", "bowl", "--results", str(folder.results), "--port", str(port))

    assert code == 2
    assert (
        err
        == f"error: the dashboard can't be served on port {port} (Address already in use): choose another with --port\n"
    )


def test_without_its_package_it_says_what_to_install(
    folder: SweepFolder, driver: Driver, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    code, _, err = call("dashboard", "bowl", "--results", str(folder.results))

    assert code == 2
    assert err.count("\n") == 1
    assert "`pip install 'nn-training-study[dashboard]'`, or `uv sync --extra dashboard` in a clone" in err


def test_there_is_no_dashboard_of_no_sweep(call: Call, tmp_path: Path) -> None:
    assert call("dashboard", "gone", "--results", str(tmp_path))[0] == 3
