"""Tests of a PostgreSQL server that fails in mid-sweep: each acknowledged row is there once, and one driver writes."""

import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from postgresql_drivers import ENOUGH, driver_of, everything_in, opened_when_free, python, read_until, seqs
from postgresql_server import STRANGE_PASSWORD, Server
from simulation import SLOW_SWEEP, Simulation, small_spec

import sweeps
from sweeps.errors import LeaseError, LedgerError
from sweeps.execution.driver import Driver
from sweeps.search.history import Noted, Row, Stamp
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.places import VARIABLE, place_of
from sweeps.store.postgresql import Database


def backend(ledger: Ledger) -> psycopg.Connection:
    found = ledger._connection.connection.dbapi_connection
    assert isinstance(found, psycopg.Connection)
    return found


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_commit_in_doubt_is_there_once(
    place: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    ledger.append(Noted("before", {}))
    said: list[str] = []
    ledger.say = said.append
    broken = backend(ledger)
    commit = broken.commit

    def lost() -> None:
        if is_committed:
            commit()
        broken.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(broken, "commit", lost)
    assert ledger.append(Noted("in doubt", {})).seq == 2
    assert ledger.append(Noted("after", {})).seq == 3

    with closing(Ledger.open(place, read_only=True)) as reader:
        assert [row.kind for _, row in reader.rows() if isinstance(row, Noted)] == ["before", "in doubt", "after"]
        assert reader.first_changed() is None
    assert "is away (server closed the connection unexpectedly): trying for 60 s" in said[0]
    assert "and nothing is lost" in said[1]
    assert ledger.outages() == said[1:]
    assert ledger.outages() == []


def test_a_session_that_is_ended_by_an_administrator_comes_back(
    server: Server, database: str, place: Database, ledger: Ledger
) -> None:
    with server.connection(database) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'process%'")
    ledger.append(Noted("after", {}))

    assert seqs(place) == [1]
    with pytest.raises(LeaseError):
        Ledger.open(place)


def test_a_driver_that_took_over_meanwhile_is_not_disturbed(place: Database, ledger: Ledger) -> None:
    ledger.append(Noted("mine", {}))
    backend(ledger).close()
    with closing(opened_when_free(place)) as other:
        other.append(Noted("theirs", {}))
        with pytest.raises(LeaseError, match="is being driven by process"):
            ledger.append(Noted("mine", {}))
    with pytest.raises(LedgerError, match="is closed"):
        ledger.append(Noted("mine", {}))

    assert seqs(place) == [1, 2]


def test_what_a_driver_wrote_that_took_over_meanwhile_and_ended_is_seen(place: Database, ledger: Ledger) -> None:
    ledger.append(Noted("mine", {}))
    backend(ledger).close()
    with closing(opened_when_free(place)) as other:
        other.append(Noted("theirs", {}))
    with pytest.raises(LeaseError, match="another driver wrote to"):
        ledger.append(Noted("mine", {}))

    assert seqs(place) == [1, 2]


def test_a_server_that_comes_back_without_acknowledged_rows_is_told_apart(
    server: Server, database: str, ledger: Ledger
) -> None:
    for number in range(3):
        ledger.append(Noted("n", {"number": number}))
    with server.connection(database) as admin:
        admin.execute("DELETE FROM sweep_bowl.notes WHERE seq > 1")
    backend(ledger).close()

    with pytest.raises(LedgerError, match="came back without 2 rows that it had acknowledged"):
        ledger.append(Noted("n", {}))


def test_a_server_that_stays_away_ends_the_sweep_and_loses_nothing(
    server: Server, place: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(Noted("before", {}))
    monkeypatch.setattr("sweeps.store.ledger.PATIENCE", 0.5)
    server.stop()
    try:
        with pytest.raises(LedgerError, match=r"stayed away for 0.5 s .*start the server, then `sweeps resume`"):
            ledger.append(Noted("lost", {}))
        with pytest.raises(LedgerError, match="can't be reached"):
            Ledger.open(place)
    finally:
        server.start()

    assert seqs(place) == [1]


def outcomes(driver: Driver) -> list[object]:
    """Return all of a sweep's trials, without anything that depends on a clock."""
    return [(t.key, t.params, t.state, [m.values for m in t.measurements]) for t in driver.history.trials.values()]


def test_a_server_may_restart_between_any_two_commits(
    server: Server, database: str, folder: SweepFolder, tmp_path: Path
) -> None:
    undisturbed = SweepFolder(tmp_path / "undisturbed", "bowl")
    undisturbed.create()
    expected = Driver(small_spec(), undisturbed, Ledger.create(undisturbed.ledger, small_spec()))
    driver = driver_of(folder, server.url(database))
    said: list[str] = []
    driver._ledger.say = said.append

    def restart(stamp: Stamp, _: Row) -> None:
        if stamp.seq in (1, 2, 3, 20, 41, 60):
            server.restart()

    driver.observe = restart
    for one in (expected, driver):
        one.start({})
        Simulation(one).run()

    assert len(said) == 12
    assert [note.body["text"] for note in driver.history.noted("warning")] == said[1::2]
    assert seqs(place_of(folder, None)) == list(range(1, driver.history.last.seq + 1))
    assert driver.history.last.seq == expected.history.last.seq + 6
    assert outcomes(driver) == outcomes(expected)
    assert sweeps.verify("bowl", results=folder.results).holds


def test_two_sweeps_at_once_share_a_database_and_a_restart(server: Server, database: str, tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=ENOUGH)
    drivers = [driver_of(SweepFolder(tmp_path, name), server.url(database)) for name in ("one", "two")]

    def meet(stamp: Stamp, _: Row) -> None:
        if stamp.seq in (1, 30):
            together.wait()
            together.wait()  # while the server restarts

    def drive(driver: Driver) -> None:
        driver.observe = meet
        driver.start({})
        Simulation(driver).run()

    threads = [threading.Thread(target=drive, args=[driver]) for driver in drivers]
    for thread in threads:
        thread.start()
    for _ in range(2):
        together.wait()
        server.restart()
        together.wait()
    for thread in threads:
        thread.join(ENOUGH)

    for driver, name in zip(drivers, ("one", "two"), strict=True):
        assert seqs(place_of(driver.folder, None)) == list(range(1, driver.history.last.seq + 1))
        assert len(list(driver.history.noted("warning"))) == 2
        found = sweeps.verify(name, results=tmp_path)
        assert found.holds, found.difference
        assert len(driver.history.search) == 12


@pytest.mark.slow
def test_the_command_survives_a_restart_and_a_kill_and_tells_nobody_the_password(
    server: Server, database: str, tmp_path: Path
) -> None:
    password = quote(STRANGE_PASSWORD, safe="")
    with server.connection(database) as admin:
        admin.execute(f"GRANT CREATE ON DATABASE {database} TO guarded")
    url = server.url(database, f"guarded:{password}")
    (tmp_path / "slow.toml").write_text(SLOW_SWEEP)
    command = str(Path(sys.executable).with_name("sweeps"))
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as seen_by_ray:
        here = {"TMPDIR": seen_by_ray}
        running = python(command, "run", "slow.toml", "--json", f"--ledger={url}", cwd=tmp_path, env=here)
        lines = read_until(running, measured=8)
        shown = Path(f"/proc/{running.pid}/cmdline").read_text()
        server.restart()
        lines += read_until(running, measured=8)
        running.kill()
        running.communicate(timeout=ENOUGH)
        said = [line["text"] for line in lines if line["kind"] == "note"]
        assert [text for text in said if "is away" in text], said
        assert [line for line in lines if line["kind"] == "warning"]

        opened_when_free(Database.parse(url, "slow")).close()
        refused = python(command, "resume", "slow", cwd=tmp_path, env=here)
        _, err = refused.communicate(timeout=ENOUGH)
        assert refused.returncode == 4
        assert "SWEEPS_LEDGER or --ledger" in err
        resumed = python(command, "resume", "slow", cwd=tmp_path, env={**here, VARIABLE: url})
        out, err = resumed.communicate(timeout=ENOUGH)
        assert resumed.returncode == 0, err
        assert "winner: trial" in out
        for text in (shown, out, err, *said, everything_in(tmp_path), everything_in(Path(seen_by_ray))):
            assert password not in text
            assert STRANGE_PASSWORD not in text
        assert "slow" in everything_in(Path(seen_by_ray))

    result = sweeps.load("slow", results=tmp_path / "results", ledger=url)
    assert {line["seq"] for line in lines if line["kind"] == "measured"} <= set(result.measurements["seq"])
    assert not result.measurements.duplicated(["trial", "replicate", "report"]).any()
    assert sweeps.verify("slow", results=tmp_path / "results", ledger=url).holds
