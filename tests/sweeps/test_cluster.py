"""Tests of three nodes that are separate machines to the network: whatever happens to them, nothing is lost.

They need root and network namespaces, and take minutes: `uv run pytest -m slow tests/sweeps/test_cluster.py`.
"""

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from forwarding import forward
from loopback import SWEEPS
from namespaces import GATEWAY, Machine, machines, why_not
from object_stores import Endpoint
from postgresql_server import STRANGE_PASSWORD, Server
from pyarrow.fs import FileSelector
from waiting import until

import sweeps
from sweeps.errors import SweepNotFoundError
from sweeps.search.history import History
from sweeps.store.ledger import Ledger
from sweeps.store.postgresql import Database

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "has namespaces")]

SPEC = """
name = "far"
trials = 9
concurrency = 3
sampler = "random"
pruning = "none"
retries = { lost = 5 }
selection = { candidates = 1, seeds = 1, published_seeds = 2 }
[training]
epochs = 4
reports_per_epoch = 2
batch_size = 32
[space]
learning_rate = { float = [0.01, 0.1], log = true, default = 0.05 }
dropout = { choice = [true, false] }
"""


class Nodes:
    """The machines, the environment of a user of their cluster, and the ledger's measurements when last noted."""

    def __init__(self, there: list[Machine], folder: Path) -> None:
        self.machines, self.folder = there, folder
        self.results: Path | str = folder / "results"
        self.ledger: str | None = None
        self.env: dict[str, str] = {}  # the environment of every node, in addition to its own
        (folder / "token").write_text(secrets.token_hex(32))
        (folder / "token").chmod(0o600)
        (folder / "far.toml").write_text(SPEC)
        self.port = 6379
        self.url = f"http://{there[0].address}:8265"
        self.seen: dict[object, list[object]] = {}

    def run(self, *words: str, on: Machine | None = None, hidden: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command of this project on a machine, or as the user; it does not see the folder `hidden` there."""
        place = self.folder / (on.name if on else "user")
        place.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SWEEPS_"))}
        mine = {"TMPDIR": str(place), "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"), "SWEEPS_ADDRESS": self.url}
        if on:
            mine |= {**self.env, "XDG_CACHE_HOME": str(place / "cache")}
        command = [SWEEPS, *words]
        if hidden:  # a machine's command has its own mount table
            command = ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', hidden, *command]
        if on:
            command = on.words(*command)
        return subprocess.run(
            command, env={**kept, **mine}, cwd=place, capture_output=True, text=True, check=False, timeout=600
        )

    def done(self, *words: str, on: Machine | None = None, hidden: str = "") -> str:
        """Run a command that has to succeed, and return its standard output."""
        found = self.run(*words, on=on, hidden=hidden)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def start_head(self) -> None:
        head = self.machines[0]
        where = ("--host", head.address, "--dashboard-host", head.address, "--port", str(self.port), "--cpus", "1")
        self.done("cluster", "start", *where, on=head)

    def join(self, machine: Machine, *, shares: bool = True) -> None:
        """Make a machine a node; unless it shares, it has an empty disk instead of the results folder."""
        words = (f"{self.machines[0].address}:{self.port}", "--host", machine.address, "--cpus", "1")
        if isinstance(self.results, Path):
            self.results.mkdir(exist_ok=True)
        self.done("cluster", "join", *words, on=machine, hidden="" if shares else str(self.results))

    def history(self) -> History:
        try:
            return sweeps.load("far", results=self.results, ledger=self.ledger).history
        except SweepNotFoundError:
            return History()

    def note_what_is_acknowledged(self) -> None:
        """Note the measurements that the ledger has now, all of which must be in it at the end."""
        self.seen = {key: list(trial.measurements) for key, trial in self.history().trials.items()}

    def losses(self) -> int:
        """Return how many workers the trials lost."""
        return sum(trial.losses for trial in self.history().trials.values())

    def lost(self) -> list[str]:
        """Return the labels of the trials that lost a worker."""
        return [trial.key.label for trial in self.history().trials.values() if trial.losses]

    def measured(self) -> int:
        return sum(len(trial.measurements) for trial in self.history().trials.values())

    def holds_what_was_acknowledged(self) -> bool:
        trials = self.history().trials
        return all(trials[key].measurements[: len(rows)] == rows for key, rows in self.seen.items())

    def loses(self, machine: Machine) -> None:
        """Kill a machine while a trial trains on each, and check that the sweep continues without it."""
        until(lambda: sum(bool(trial.measurements) for trial in self.history().running) == len(self.machines))
        self.note_what_is_acknowledged()
        machine.kill()
        until(lambda: bool(self.lost()))
        self.goes_on(2)

    def goes_on(self, reports: int) -> None:
        """Wait for `reports` more reports."""
        goal = self.measured() + reports
        until(lambda: self.measured() >= goal)


@contextmanager
def three_nodes() -> Iterator[Nodes]:
    folder = Path(tempfile.mkdtemp(prefix="swn"))
    with machines(3) as there:
        yield Nodes(there, folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_nodes_die_are_cut_off_join_late_and_the_head_restarts_and_nothing_that_was_acknowledged_is_lost() -> None:
    with three_nodes() as nodes:
        head, second, third = nodes.machines
        nodes.start_head()
        nodes.join(second)
        where = ("--results", str(nodes.results))
        nodes.done("submit", str(nodes.folder / "far.toml"), *where)
        until(lambda: nodes.measured() >= 2)
        nodes.join(third)  # late: it gets trials too
        until(lambda: "3 trials fit at a time now, 2 did before" in nodes.done("logs", "far"))
        nodes.loses(third)

        nodes.note_what_is_acknowledged()
        lost = nodes.losses()
        second.cut_off()
        until(lambda: nodes.losses() > lost)  # its node is given up, and its trial continues elsewhere
        nodes.goes_on(2)
        second.connect()
        nodes.goes_on(2)

        nodes.note_what_is_acknowledged()
        for machine in nodes.machines:
            machine.kill()  # the head's restart: nodes without a head end too
        assert nodes.run("status", "far").returncode == 6
        nodes.start_head()
        nodes.join(second)
        nodes.join(third)
        assert nodes.run("status", "far").returncode == 3  # Ray's head has forgotten its jobs
        out = nodes.done("submit", "--resume", "far", *where, "--follow")

        assert "winner: trial" in out
        after = nodes.history()
        assert {trial.state for trial in after.search} == {"complete"}
        assert len(after.search) == 9
        assert nodes.holds_what_was_acknowledged()
        found = sweeps.load("far", results=nodes.results)
        assert found.reproduce().identical
        assert found.reproduce(nodes.lost()[0]).identical
        assert nodes.run("list", on=head).returncode == 0


def test_a_head_that_dies_alone_is_followed_by_another_while_its_workers_live_on() -> None:
    with three_nodes() as nodes:
        head, *others = nodes.machines
        where = ("--results", str(nodes.results))
        nodes.start_head()
        for machine in others:
            nodes.join(machine)
        nodes.done("submit", str(nodes.folder / "far.toml"), *where)
        until(lambda: sum(bool(trial.measurements) for trial in nodes.history().running) == 3)

        nodes.note_what_is_acknowledged()
        head.kill()
        nodes.port += 1  # Ray looks through all processes, which these machines share, and takes others for a head
        nodes.start_head()
        nodes.done("submit", "--resume", "far", *where)
        nodes.goes_on(2)
        for machine in others:
            nodes.done("cluster", "stop", on=machine)  # what is left of the old head's cluster
            nodes.join(machine)
        out = nodes.done("logs", "far", "--follow")

        assert "winner: trial" in out
        assert "starts again" not in out
        assert {trial.state for trial in nodes.history().search} == {"complete"}
        assert nodes.holds_what_was_acknowledged()
        assert sweeps.load("far", results=nodes.results).reproduce().identical


def test_a_node_that_does_not_see_the_results_is_named_and_takes_no_trial() -> None:
    with three_nodes() as nodes:
        _, second, third = nodes.machines
        where = ("--results", str(nodes.results))
        nodes.start_head()
        nodes.join(second, shares=False)
        refused = nodes.run("submit", str(nodes.folder / "far.toml"), *where, "--follow")
        assert refused.returncode == 6
        assert f"does not see {nodes.results / 'sweeps' / 'far'}" in refused.stdout
        assert not nodes.history().trials

        second.kill()
        until(lambda: nodes.run("submit", str(nodes.folder / "far.toml"), *where).returncode == 0)
        nodes.goes_on(2)
        nodes.join(third, shares=False)  # late: no earlier check included it
        nodes.note_what_is_acknowledged()
        out = nodes.done("logs", "far", "--follow")
        assert re.search("does not see .*: no trial of this sweep is on that node any more", out)
        assert "winner: trial" in out
        assert nodes.holds_what_was_acknowledged()
        assert {trial.state for trial in nodes.history().search} == {"complete"}


def test_nodes_that_share_nothing_but_a_store_and_a_database_lose_nothing_and_tell_no_secret(
    bucket: str, endpoint: Endpoint, server: Server, database: str
) -> None:
    with server.connection(database) as admin:
        admin.execute(f"GRANT CREATE ON DATABASE {database} TO guarded")
    secrets_of_all = (STRANGE_PASSWORD, quote(STRANGE_PASSWORD, safe=""), endpoint.environment["AWS_SECRET_ACCESS_KEY"])
    with (
        three_nodes() as nodes,
        forward(GATEWAY, endpoint.port) as objects,
        forward(GATEWAY, server.port) as rows,
    ):
        head, second, third = nodes.machines
        nodes.results = bucket
        nodes.ledger = f"postgresql://guarded@{GATEWAY}:{rows.port}/{database}"
        nodes.env = {
            **endpoint.environment,
            "AWS_ENDPOINT_URL": f"http://{GATEWAY}:{objects.port}",
            "SWEEPS_LEDGER": nodes.ledger.replace("@", f":{quote(STRANGE_PASSWORD, safe='')}@"),
        }
        nodes.start_head()
        nodes.join(second)
        nodes.join(third)
        nodes.done("submit", str(nodes.folder / "far.toml"), "--results", bucket, "--ledger", nodes.ledger)
        with pytest.MonkeyPatch.context() as mine:
            mine.setenv("PGPASSWORD", STRANGE_PASSWORD)
            nodes.loses(third)

            nodes.note_what_is_acknowledged()
            objects.hang()  # from now on no checkpoint is complete, and no measurement after it is reported
            head.kill()
            objects.pass_on()
            second.kill()
            nodes.start_head()
            nodes.join(second)
            out = nodes.done("submit", "--resume", "far", "--results", bucket, "--follow")

            assert "winner: trial" in out
            assert f"model:  {bucket}/custom_cnn/exp_1" in out
            assert "starts again" not in out
            assert {trial.state for trial in nodes.history().search} == {"complete"}
            assert nodes.holds_what_was_acknowledged()
            found = sweeps.load("far", results=bucket, ledger=nodes.ledger)
            assert found.reproduce().identical
            assert found.reproduce(nodes.lost()[0]).identical
            with closing(Ledger.open(Database.parse(nodes.ledger, "far"), read_only=True)) as ledger:
                told = nodes.done("logs", "far") + str(ledger.rows())

        assert not any(word in told for word in secrets_of_all)
        assert not list(nodes.folder.rglob("cache/**/checkpoint.pt"))
        written = (path for path in nodes.folder.rglob("*") if path.is_file() and path.name != "token")
        assert not [path for path in written if any(word.encode() in path.read_bytes() for word in secrets_of_all)]
        objects_there = endpoint.files.get_file_info(FileSelector(bucket.removeprefix("s3://"), recursive=True))
        for info in objects_there:
            if info.is_file:
                content = endpoint.files.open_input_stream(info.path).read()
                assert not any(word.encode() in content for word in secrets_of_all), info.path
