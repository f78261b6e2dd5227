"""A ledger in PostgreSQL: one schema per sweep, so one database can hold the sweeps of a team."""

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from sweeps.commands import install
from sweeps.errors import LedgerError, SpecError, SweepNotFoundError
from sweeps.store.lease import claim, key_of

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_LONGEST_NAME = 63  # bytes; PostgreSQL silently truncates a longer one
_NO_RIGHT = "42501"  # the SQLSTATE of insufficient_privilege
_AWAY = ("08", "28", "3D", "533", "57P")  # lost connections, wrong users, no database, too many sessions, shutdowns
_NO_DATABASE = re.compile(r'database ".+" does not exist')  # errors while connecting have no SQLSTATE
_WITH_PASSWORD = (
    "give the URL with its password as SWEEPS_LEDGER or --ledger, or the password alone as PGPASSWORD or in ~/.pgpass; "
    "a cluster's jobs have these from where `sweeps cluster start` was called"
)
# Settings of libpq unless the URL has them: a dead peer is noticed within a minute, not within hours.
_DEFAULTS = {
    "connect_timeout": 10,  # s
    "keepalives_idle": 30,  # s
    "keepalives_interval": 10,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # ms
}
_LOCK_TIMEOUT = "60s"  # other sessions hold the lock for less than a second
# The same for the server, whose session holds the lease. Each commit also waits for the disk.
_SESSION = {
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True)
class Database:
    """A sweep's ledger in a schema of a PostgreSQL database.

    The connection that writes holds the lease, and the lease is lost with the connection. Therefore no driver ever
    writes without the lease, and a driver that has it knows that no write of an earlier driver is still in progress.
    A pooler in between must leave a session to its client (PgBouncer's session mode).

    Attributes:
        url: The URL of the database.
        name: The name of the sweep.
    """

    url: URL
    name: str
    advice = "mend the server or the rights of its user"
    away = "is away"
    remedy = "start the server"

    @classmethod
    def parse(cls, text: str, name: str) -> "Database":
        """Return the ledger of a sweep at a URL.

        Args:
            text: The URL, such as postgresql://user@host/database.
            name: The name of the sweep.

        Raises:
            SpecError: The URL can't be used, or psycopg is missing. The message never repeats what may be a password.
        """
        scheme = text.partition(":")[0] if "://" in text else ""
        if scheme not in _SCHEMES:
            what = f"a URL of scheme {scheme!r}" if scheme.isascii() and scheme else "no URL"
            raise SpecError(
                f"--ledger and SWEEPS_LEDGER are URLs like postgresql://user@host/database, but got {what}; "
                "without them a ledger is a SQLite file in the sweep's folder"
            )
        try:
            url = sa.make_url(text)
        except (sa.exc.ArgumentError, ValueError):
            url = None
        # The text after an unescaped @ would be taken for the host and shown in errors.
        if url is None or "@" in f"{url.host or ''}{url.database or ''}":
            raise SpecError(
                "the URL in --ledger or SWEEPS_LEDGER can't be read (not repeated here, it may hold a password): write "
                "postgresql://user:password@host:5432/database, with @, / and % in the password as %40, %2F and %25"
            )
        _require_driver()
        return cls(url.set(drivername="postgresql+psycopg"), name)

    def __str__(self) -> str:
        return f"{self.public.set(query={})} (schema {self.schema})"

    @property
    def public(self) -> URL:
        """Return the URL without its secrets, so it can be written down."""
        bare = URL.create("postgresql", self.url.username, None, self.url.host, self.url.port, self.url.database)
        secret = ("password", "secret", "scram")
        return bare.set(query={k: v for k, v in self.url.query.items() if not any(s in k.lower() for s in secret)})

    @property
    def has_secret(self) -> bool:
        return self.url.set(drivername="postgresql") != self.public

    @cached_property
    def schema(self) -> str:
        """Return the name of the sweep's schema.

        A name that is too long is truncated and ends with its digest. The sign before the digest occurs in no sweep's
        name.
        """
        full = f"sweep_{self.name}"
        if len(full) <= _LONGEST_NAME:
            return full
        return f"{full[:46]}~{hashlib.sha256(full.encode()).hexdigest()[:16]}"

    def connect(self, *, read_only: bool = False, token: str = "") -> Connection:
        """Open a connection. Unless it is read-only, it holds the lease as long as it lives.

        Args:
            read_only: Whether the connection only reads, without the lease.
            token: Text that only the caller's own connections carry, so it can take the lease over from itself.

        Raises:
            LeaseError: Another driver holds the lease.
        """
        holder = f"{_process()[:46]} {token or new_token()}"
        with ExitStack() as undone:
            connection = self._connect(read_only, holder)
            undone.callback(connection.close)
            if not read_only:
                claim(connection, key_of(self.schema), self.name, holder)
            undone.pop_all()
        return connection

    def _connect(self, read_only: bool, shown_as: str = "sweeps") -> Connection:
        defaults = {key: value for key, value in _DEFAULTS.items() if key not in self.url.query}
        engine = sa.create_engine(
            self.url,
            poolclass=sa.pool.NullPool,
            # Readers see all tables as of one moment, whatever the server's default is.
            isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
            connect_args={**defaults, "application_name": shown_as},
            execution_options={"schema_translate_map": {None: self.schema}, "postgresql_readonly": read_only},
        )

        @sa.event.listens_for(engine, "connect")
        def _settings(connection: Any, _record: object) -> None:
            for name, value in _SESSION.items():
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
            connection.commit()

        return engine.connect()

    @property
    def cautions(self) -> list[str]:
        """Return no cautions: a server lets only one driver write at a time, wherever it runs."""
        return []

    def exists(self) -> bool:
        """Return whether the sweep is in the database; raise LedgerError if that can't be determined."""
        try:
            connection = self._connect(read_only=True)
            try:
                return self._is_there(connection)
            finally:
                connection.close()
        except sa.exc.DatabaseError as error:
            raise self.refusal(error) or LedgerError(f"the ledger {self}: {_line(error)}") from error

    def _is_there(self, connection: Connection) -> bool:
        query = sa.text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")
        return bool(connection.execute(query, {"schema": self.schema}).scalar())

    def require(self) -> None:
        """Raise SweepNotFoundError if there is no ledger here."""
        if not self.exists():
            raise SweepNotFoundError(f"no sweep named {self.name!r} in {self}: see `sweeps list`, or start it")

    @contextmanager
    def creating(self) -> Iterator[Connection]:
        """Open a transaction that creates the ledger, either completely or not at all."""
        connection = self.connect()
        try:
            with connection.begin():
                connection.execute(sa.schema.CreateSchema(self.schema))
                yield connection
        finally:
            connection.close()

    def fault(self, _connection: Connection) -> str | None:
        """Return None, since PostgreSQL checks what it reads itself."""
        return None

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold a lock of the given name in the database, in a separate session.

        Wait for another holder, but no longer than _LOCK_TIMEOUT. The lock is the session's, so no transaction is open
        while the block does other work.
        """
        connection = self._connect(read_only=False)
        try:
            with connection.begin():
                connection.execute(sa.select(sa.func.set_config("lock_timeout", _LOCK_TIMEOUT, False)))
                connection.execute(sa.select(sa.func.pg_advisory_lock(key_of(what))))
            yield
        finally:
            connection.close()

    def is_away(self, error: sa.exc.DBAPIError) -> bool:
        """Return whether the connection was lost, so a retry is worthwhile."""
        return error.connection_invalidated

    def is_locked(self, error: sa.exc.DBAPIError) -> bool:
        """Return False, since the server has already waited by the time it reports a lock."""
        return False

    def refusal(self, error: sa.exc.DatabaseError) -> LedgerError | None:
        """Return the error to raise if the server, not the ledger, is at fault; None otherwise."""
        state = getattr(error.orig, "sqlstate", None)
        if isinstance(error, sa.exc.OperationalError) and (state is None or state.startswith(_AWAY)):
            peer = getattr(error.orig, "pgconn", None)
            asked = peer is not None and (peer.needs_password or peer.used_password)
            what = _WITH_PASSWORD if asked else "start the server, or mend the URL"
            if _NO_DATABASE.search(_line(error)):
                what = f"create the database there (`createdb {self.url.database}`), or mend the URL"
            return LedgerError(f"the ledger {self} can't be reached ({_line(error)}): {what}")
        if state == _NO_RIGHT:
            return LedgerError(
                f"the ledger {self} is refused ({_line(error)}): let the database's owner grant its user CREATE on "
                "the database, or USAGE and SELECT on the schema to read it"
            )
        return None

    def remove(self) -> None:
        """Drop the schema with everything in it."""
        connection = self.connect()
        try:
            with connection.begin():
                connection.execute(sa.schema.DropSchema(self.schema, cascade=True))
        finally:
            connection.close()

    def with_secret_of(self, other: "Database") -> "Database":
        """Return this place with the URL of another if both are the same and only the other has a password."""
        return replace(self, url=other.url) if not self.has_secret and self.public == other.public else self


def new_token() -> str:
    """Return 16 random hexadecimal digits, which no other driver has."""
    return os.urandom(8).hex()


def _process() -> str:
    """Return the name under which others see this process in pg_stat_activity."""
    return f"process {os.getpid()} on {socket.gethostname()}".encode("ascii", "replace").decode()


def _line(error: sa.exc.DatabaseError) -> str:
    return " ".join(str(error.orig).split())


def _require_driver() -> None:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise SpecError(
            f"a ledger in PostgreSQL needs the package psycopg ({error}): {install('postgresql')}"
        ) from error
