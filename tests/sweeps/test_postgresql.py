"""Tests of a ledger in PostgreSQL, on a real server that the tests start: it keeps all that a file keeps."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from postgresql_drivers import driver_of, everything_in, opened_when_free, python, seqs
from postgresql_server import STRANGE_PASSWORD, Server
from simulation import Simulation, small_spec

import sweeps
from study.measurement import Measurement
from sweeps.errors import LeaseError, LedgerError, SpecError, SweepNotFoundError
from sweeps.execution.conclusion import conclude
from sweeps.running import new_folder, start
from sweeps.search.history import Decided, Measured, Noted, TrialKey
from sweeps.store import postgresql
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger
from sweeps.store.places import VARIABLE, new_place, place_of, remember
from sweeps.store.postgresql import Database
from sweeps.terminal.secrets import hide_password

# URLs and names


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:secret@host/db", "a URL of scheme 'mysql'"),
        ("postgresql+asyncpg://me:secret@host/db", r"a URL of scheme 'postgresql\+asyncpg'"),
        ("ledger.sqlite", "no URL"),
        ("postgresql://me:sec@ret@host/db", "%40"),
        ("postgresql://me:se?cr@et@host/db", "%40"),
        ("postgresql://host:secret/db", "can't be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secret(url: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        Database.parse(url, "bowl")

    assert "sec" not in str(caught.value).replace("its secrets", "")


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SpecError, match="uv sync --extra postgresql"):
        Database.parse("postgresql://me@host/db", "bowl")


def test_names_of_any_length_and_letters_have_schemas_of_their_own(server: Server, database: str) -> None:
    names = ["a" * 80, "a" * 79 + "b", "A" * 57, "Bowl", "bowl", "bowl.1-x_", "public"]
    places = [Database.parse(server.url(database), name) for name in names]
    for place in places:
        Ledger.create(place, small_spec(name=place.name)).close()

    assert len({place.schema for place in places}) == len(names)
    assert max(len(place.schema) for place in places) == 63
    for place in places:
        with closing(Ledger.open(place, read_only=True)) as reader:
            assert reader.spec().name == place.name
    with server.connection(database) as admin:
        found = {name for (name,) in admin.execute("SELECT nspname FROM pg_namespace").fetchall()}
    assert {place.schema for place in places} <= found


def test_a_socket_serves_as_well(server: Server, database: str) -> None:
    place = Database.parse(server.socket_url(database), "bowl")
    Ledger.create(place, small_spec()).close()

    assert seqs(place) == []


# What cannot be opened


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": 1}, "can't be reached.*start the server, or mend the URL"),
        ({"database": "no_such"}, 'can\'t be reached.*"no_such" does not exist'),
        ({"username": "reader"}, "is refused.*CREATE"),
        ({"username": "guarded"}, "can't be reached.*SWEEPS_LEDGER or --ledger"),
        ({"username": "guarded", "password": "wrong-one"}, "can't be reached.*SWEEPS_LEDGER or --ledger"),
        ({"query": {"no_such_option": "1"}}, "no_such_option"),
    ],
)
def test_a_database_that_cannot_be_used_says_why_and_leaves_nothing(
    call: Callable[..., tuple[int, str, str]], place: Database, tmp_path: Path, change: dict, message: str
) -> None:
    url = place.url.set(**change).render_as_string(hide_password=False)
    (tmp_path / "bowl.toml").write_text(small_spec().to_toml())
    code, _, err = call("run", "bowl.toml", "--ledger", url)

    assert (code, len(err.strip().splitlines())) == (4, 1)
    with pytest.raises(LedgerError, match=message):
        raise LedgerError(err)
    assert "wrong-one" not in err
    assert sweeps.store.folders.list_folders(tmp_path / "results") == []


def test_a_password_is_used_and_written_nowhere(
    server: Server, database: str, folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = quote(STRANGE_PASSWORD, safe="")
    with server.connection(database) as admin:
        admin.execute(f"GRANT CREATE ON DATABASE {database} TO guarded")
    url = server.url(database, f"guarded:{password}")
    driver = driver_of(folder, url)
    driver.start({})
    Simulation(driver).run()

    assert folder.ledger_url.read_text() == server.url(database, "guarded") + "\n"
    with pytest.raises(LedgerError, match="SWEEPS_LEDGER or --ledger") as caught:
        sweeps.load("bowl", results=folder.results)
    monkeypatch.setenv(VARIABLE, url)
    result = sweeps.load("bowl", results=folder.results)
    assert len(result.trials) == 12
    assert sweeps.verify("bowl", results=folder.results).holds
    said = f"{caught.value!r}{result!r}{new_place(folder, url)!r}{new_place(folder, url)}{everything_in(folder.path)}"
    assert password not in said
    assert STRANGE_PASSWORD not in said


def test_secrets_in_the_query_are_not_remembered(folder: SweepFolder) -> None:
    remember(folder, Database.parse("postgresql://me@host/db?password=one&sslpassword=two&sslmode=require", "bowl"))

    assert folder.ledger_url.read_text() == "postgresql://me@host/db?sslmode=require\n"


@pytest.mark.parametrize("form", [["--ledger", "{}"], ["--ledger={}"]])
def test_a_password_on_the_command_line_is_moved_out_of_sight(monkeypatch: pytest.MonkeyPatch, form: list[str]) -> None:
    url = "postgresql://me:sec%40ret@host/db?sslmode=require"
    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr("os.execve", lambda _, command, environment: started.append((command, environment)))
    for given in (url, url.replace(":sec%40ret", "")):
        words = [word.format(given) for word in form]
        monkeypatch.setattr(sys, "argv", ["sweeps", "run", *words, "--json"])
        monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", *sys.argv])
        hide_password()

    ((command, environment),) = started
    words = [word.format("postgresql://me@host/db?sslmode=require") for word in form]
    assert command == [sys.executable, "-X", "dev", "sweeps", "run", *words, "--json"]
    assert sa.make_url(environment[VARIABLE]).password == "sec@ret"


def test_a_password_that_would_travel_is_not_dropped_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["sweeps", "submit", "x.toml", "--results", "/r", "--ledger", "postgresql://me:secret@host/db"]
    monkeypatch.setattr(sys, "orig_argv", ["python", *words])
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("started anew"))

    hide_password()  # the command refuses it: see test_requests.py


def test_a_colleague_who_may_read_can_look_but_not_drive(
    server: Server, database: str, folder: SweepFolder, tmp_path: Path
) -> None:
    driver = driver_of(folder, server.url(database))
    driver.start({})
    Simulation(driver).run()
    url = server.url(database, "reader")

    with pytest.raises(LedgerError, match=r"is refused .*permission denied.*USAGE and SELECT"):
        sweeps.load("bowl", results=tmp_path, ledger=url)
    with server.connection(database) as admin:
        admin.execute("GRANT USAGE ON SCHEMA sweep_bowl TO reader")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA sweep_bowl TO reader")
    assert len(sweeps.load("bowl", results=tmp_path, ledger=url).trials) == 12
    assert sweeps.verify("bowl", results=tmp_path, ledger=url).holds
    driver._ledger.close()
    with closing(Ledger.open(Database.parse(url, "bowl"))) as theirs, pytest.raises(LedgerError, match="is refused"):
        theirs.append(Noted("mine", {}))


# Which ledger belongs to a sweep


def test_a_name_is_taken_for_whoever_shares_the_database(server: Server, database: str, tmp_path: Path) -> None:
    url = server.url(database)
    driver_of(SweepFolder(tmp_path / "one", "bowl"), url)

    assert new_folder(tmp_path / "two", small_spec(), name_was_given=False, ledger_url=url)[1].name == "bowl-2"
    with pytest.raises(SpecError, match=r"there is a sweep named 'bowl' in postgresql:.*choose another --name"):
        new_folder(tmp_path / "two", small_spec(), name_was_given=True, ledger_url=url)
    assert new_folder(tmp_path / "two", small_spec(), name_was_given=True)[1].name == "bowl"


def test_a_sweep_is_found_where_its_folder_remembers_it_or_by_its_url(
    server: Server, database: str, folder: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url(database)
    driver_of(folder, url).start({})
    elsewhere = SweepFolder(tmp_path / "elsewhere", "bowl")

    assert [found.name for found in sweeps.store.folders.list_folders(folder.results)] == ["bowl"]
    assert place_of(folder, None) == place_of(elsewhere, url) == Database.parse(url, "bowl")
    with pytest.raises(SweepNotFoundError, match="no sweep named 'bowl'"):
        place_of(elsewhere, None)
    with pytest.raises(SweepNotFoundError, match="no sweep named 'bowls' in postgresql:"):
        place_of(SweepFolder(tmp_path, "bowls"), url)
    monkeypatch.setenv(VARIABLE, "postgresql://me:secret@elsewhere/db")
    assert place_of(folder, None) == Database.parse(url, "bowl")
    monkeypatch.setenv(VARIABLE, url)
    assert len(sweeps.load("bowl", results=elsewhere.results).history.notes) == 1


def test_a_sweep_in_a_file_is_not_looked_for_elsewhere(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.create()
    Ledger.create(folder.ledger, small_spec()).close()
    monkeypatch.setenv(VARIABLE, "postgresql://me@elsewhere/db")

    assert sweeps.load("bowl", results=folder.results).history.last.seq == 0
    with pytest.raises(SpecError, match="leave --ledger out"):
        sweeps.load("bowl", results=folder.results, ledger="postgresql://me@elsewhere/db")


def test_a_sweep_refused_before_it_began_leaves_no_schema(
    folder: SweepFolder, place: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise SpecError("more than there is")

    monkeypatch.setattr("sweeps.running._drive", refused)
    with pytest.raises(SpecError):
        start(small_spec(), folder, None, None, "none", verbose=False, ledger_url=str(place.public))

    assert not folder.path.exists()
    assert not place.exists()


def test_the_commands_need_no_option_once_the_folder_knows(
    call: Callable[..., tuple[int, str, str]], server: Server, database: str, tmp_path: Path
) -> None:
    driver = driver_of(SweepFolder(tmp_path / "results", "bowl"), server.url(database))
    driver.start({})
    Simulation(driver).run()
    conclude(driver, None, None)

    assert "bowl" in call("list")[1]
    assert call("show", "bowl")[0] == 0
    assert call("verify", "bowl")[1].startswith("verified: ")
    code, _, err = call("clean", "bowl")
    assert (code, "is being driven by process" in err) == (5, True)
    driver._ledger.close()
    assert call("clean", "bowl")[0] == 0
    with server.connection(database) as admin:
        admin.execute("UPDATE sweep_bowl.measurements SET seconds = seconds + 1 WHERE number = 3 AND report = 1")
    code, out, _ = call("verify", "bowl")
    assert (code, out.startswith("different: trial 3: row ")) == (1, True)


# The rows


FLOATS = [
    0.0,
    -0.0,
    5e-324,
    1 / 3,
    0.1 + 0.2,
    1.7976931348623157e308,
    2.2250738585072014e-308,
    1e22,
    123456789.123456789,
]


def test_every_bit_of_a_float_is_kept(place: Database, ledger: Ledger) -> None:
    for report, value in enumerate(FLOATS):
        ledger.append(Measured(TrialKey(0), Measurement(report, report, value, -value, {"loss": value}, None)))
        ledger.append(Decided(TrialKey(0), report, value, "continue", "", 0))
    with closing(Ledger.open(place, read_only=True)) as reader:
        found = [row for _, row in reader.rows()]
        assert reader.first_changed() is None

    measured = [row.measurement for row in found if isinstance(row, Measured)]
    assert [m.fidelity.hex() for m in measured] == [value.hex() for value in FLOATS]
    assert [m.seconds.hex() for m in measured] == [(-value).hex() for value in FLOATS]
    assert [m.values["loss"].hex() for m in measured] == [value.hex() for value in FLOATS]
    assert [row.level.hex() for row in found if isinstance(row, Decided)] == [value.hex() for value in FLOATS]


def test_a_commit_waits_for_the_disk_whatever_the_server_has_as_default(server: Server) -> None:
    with server.connection() as admin:
        admin.execute("CREATE ROLE hasty SUPERUSER LOGIN")
        admin.execute("ALTER ROLE hasty SET synchronous_commit = off")
        admin.execute("ALTER ROLE hasty SET default_transaction_isolation = 'serializable'")
    connection = Database.parse(server.url(user="hasty"), "bowl").connect()

    assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
    connection.close()


# One driver at a time


def test_a_second_driver_is_refused_at_once_and_told_who_drives(place: Database, ledger: Ledger) -> None:
    with pytest.raises(LeaseError, match=rf"'bowl' is being driven by process {os.getpid()} on .* \(user owner\)"):
        Ledger.open(place)

    assert ledger.append(Noted("undisturbed", {})).seq == 1


def test_a_driver_takes_its_lease_over_from_a_session_that_it_lost(place: Database) -> None:
    lost = place.connect(token="mine")
    place.connect(token="mine").close()

    with pytest.raises(Exception, match="terminating connection"):
        lost.exec_driver_sql("SELECT 1")
    lost.close()


def test_what_one_ledger_asks_for_alone_another_waits_for_and_not_for_ever(
    server: Server, database: str, place: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Ledger.create(Database.parse(server.url(database), "other"), small_spec(name="other"))
    monkeypatch.setattr(postgresql, "_LOCK_TIMEOUT", "100ms")
    with ledger.alone("models"):
        with pytest.raises(LedgerError, match=r"could not be locked \(canceling statement due to lock timeout"):
            other.alone("models").__enter__()
        with other.alone("other models"):
            pass
    with other.alone("models"):
        pass
    other.close()


def test_being_alone_needs_no_session_that_was_open_before_and_is_refused_in_words(
    server: Server, place: Database, ledger: Ledger
) -> None:
    with server.connection() as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'owner' AND pid <> pg_backend_pid()"
        )
    with ledger.alone("models"):
        assert ledger.append(Noted("written meanwhile", {})).seq == 1
    server.stop()
    try:
        with pytest.raises(LedgerError, match="can't be reached"):
            ledger.alone("models").__enter__()
    finally:
        server.start()


_WRITER = """
import sys
from simulation import small_spec
from sweeps.search.history import Noted
from sweeps.store.ledger import Ledger
from sweeps.store.postgresql import Database
ledger = Ledger.create(Database.parse(sys.argv[1], "bowl"), small_spec())
for number in range(10**6):
    print(ledger.append(Noted("n", {"number": number})).seq, flush=True)
"""


def test_what_a_killed_driver_acknowledged_is_there_and_its_lease_is_free(place: Database) -> None:
    with python("-c", _WRITER, place.public.render_as_string()) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        with pytest.raises(LeaseError, match=f"process {writer.pid} on"):
            Ledger.open(place)
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().split("\n")[:-1] if line]

    with closing(opened_when_free(place)) as ledger:
        found = [stamp.seq for stamp, _ in ledger.rows()]
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1
