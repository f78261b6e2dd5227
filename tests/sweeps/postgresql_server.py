"""A PostgreSQL server for the tests, in a temporary folder and never run as root."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

STRANGE_PASSWORD = "p@s/s:w%rd ?#é"
ENOUGH = 60  # s for what takes one: only a hang runs into it, not slowness


def binaries() -> Path | None:
    """Return the folder of the server's programs, or None if it is not installed."""
    found = [Path("/usr/lib/postgresql")] + [Path(place) for place in ("/usr/local/pgsql", "/opt/homebrew")]
    if (config := shutil.which("pg_config")) is not None:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        found.insert(0, Path(told))
    if (on_path := shutil.which("initdb")) is not None:
        found.insert(0, Path(on_path).parent)
    programs = [place for folder in found for place in (folder, *sorted(folder.glob("*/bin"))[::-1], folder / "bin")]
    return next((place for place in programs if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _dies_with_its_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG: a session that is killed leaves no server behind


class Server:
    """A server that trusts every user except `guarded`, whose password is STRANGE_PASSWORD."""

    database = "team"

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="sweeps-postgresql-"))
        self._identity: dict[str, Any] = {}
        self._preexec: Callable[[], None] | None = _dies_with_its_parent if os.uname().sysname == "Linux" else None
        if os.getuid() == 0:
            names = {user.pw_name for user in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        data = self._folder / "data"
        self._call("initdb", "--pgdata", str(data), "--auth", "trust", "--username", "owner", "--encoding", "UTF8")
        rules = data / "pg_hba.conf"
        rules.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        with self.connection() as admin:
            admin.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{STRANGE_PASSWORD}'")
            admin.execute("CREATE ROLE reader LOGIN")
            admin.execute(f"CREATE DATABASE {self.database}")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=ENOUGH, **self._identity)

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        settings = ["-p", str(self.port), "-k", str(self._folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=on"]
        if self._preexec is not None:
            settings += ["-c", "recovery_init_sync_method=syncfs"]  # a restart takes 0.2 s instead of 2 s
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", "data", *settings],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                preexec_fn=self._preexec,  # noqa: PLW1509 - it calls a single system function
                **self._identity,
            )
        deadline = time.monotonic() + ENOUGH
        while True:
            try:
                self.connection().close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server as a crash would: sessions are not asked to end, and uncommitted work is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(ENOUGH)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove all sweeps from the database, and end all sessions there."""
        with self.connection(self.database) as admin:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            admin.execute(f"SELECT pg_terminate_backend(pid, {ENOUGH * 1000}) FROM pg_stat_activity WHERE {others}")
            names = admin.execute("SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname LIKE 'sweep\\_%'")
            for (name,) in names.fetchall():
                admin.execute(f"DROP SCHEMA {name} CASCADE")

    def connection(self, database: str = "postgres", user: str = "owner") -> "psycopg.Connection[Any]":
        """Return a connection that commits each statement."""
        return psycopg.connect(host="127.0.0.1", port=self.port, user=user, dbname=database, autocommit=True)

    def url(self, database: str = "postgres", user: str = "owner") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        return f"postgresql://owner@:{self.port}/{database}?host={self._folder}"
