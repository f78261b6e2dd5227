"""Fixtures of the tests of sweeps: importable functions, a folder, servers, and one Ray for the whole session."""

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from simulation import small_spec

from sweeps.cli import main
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Ledger, Place
from sweeps.store.postgresql import Database
from sweeps.store.sqlite import File

if TYPE_CHECKING:
    from loopback import Loopback
    from object_stores import Endpoint
    from postgresql_server import Server

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _functions_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture(autouse=True)
def _ledgers_are_where_the_test_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWEEPS_LEDGER", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "results", "bowl")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Return a function that runs a command and returns its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sweeps", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    monkeypatch.chdir(tmp_path)
    return run


@pytest.fixture(scope="session")
def server() -> "Iterator[Server]":
    """Yield one PostgreSQL server for all tests of the session, which may restart it."""
    from postgresql_server import Server, binaries

    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed here: `apt-get install postgresql`, as .ci/run does")
    running = Server(programs)
    yield running
    running.remove()


@pytest.fixture(scope="session")
def cluster() -> "Iterator[Loopback]":
    """Yield one cluster on loopback for all tests of the session."""
    from loopback import Loopback

    folder = Path(tempfile.mkdtemp(prefix="swc"))
    running = Loopback(folder)
    assert running.told.returncode == 0, running.told.stderr
    yield running
    running.stop()
    shutil.rmtree(folder, ignore_errors=True)


_count = itertools.count()


@pytest.fixture(scope="session")
def endpoint() -> "Iterator[Endpoint]":
    """Yield one S3 endpoint for all tests of the session."""
    from object_stores import Endpoint

    running = Endpoint()
    yield running
    running.stop()


@pytest.fixture
def bucket(endpoint: "Endpoint", monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return the URL of a results folder in an object store that this process can reach, with a cache for this test."""
    for name, value in {**endpoint.environment, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    return f"s3://team/results-{next(_count)}"


@pytest.fixture
def database(server: "Server") -> Iterator[str]:
    """Yield the name of a database without sweeps; after the test its sweeps and open sessions are removed."""
    yield server.database
    server.clear()


@pytest.fixture
def place(server: "Server", database: str) -> Database:
    return Database.parse(server.url(database), "bowl")


@pytest.fixture
def ledger(place: Database) -> Iterator[Ledger]:
    with closing(Ledger.create(place, small_spec())) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    """Return a function that makes places without a ledger, in a file or in a PostgreSQL database."""
    if request.param == "sqlite":
        return lambda: File(tmp_path / f"ledger-{next(_count)}.sqlite")
    url = request.getfixturevalue("server").url()
    return lambda: Database.parse(url, f"bowl-{next(_count)}")


@pytest.fixture(scope="session")
def ray_with_gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder that workers know as SWEEPS_TEST_FOLDER, with one Ray for all sweeps of this process.

    This Ray is started with four CPUs and two GPUs, whatever the machine has.
    """
    place = tmp_path_factory.mktemp("seen-by-workers") / "marks"
    place.mkdir()
    from sweeps.execution.session import make_private, ray_folder, set_environment

    set_environment()
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=2**28,
        _temp_dir=str(make_private(ray_folder())),
        runtime_env={
            "env_vars": {
                "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
                "SWEEPS_TEST_FOLDER": str(place),
            }
        },
    )
    yield place
    ray.shutdown()
