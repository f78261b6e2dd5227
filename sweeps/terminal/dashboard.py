"""Optuna's dashboard over a sweep's ledger, served read-only and on this machine alone."""

import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, NoReturn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sweeps.commands import install
from sweeps.errors import SpecError
from sweeps.search.history import History
from sweeps.signals import stop_signals
from sweeps.store.folders import SweepFolder
from sweeps.store.lease import is_held
from sweeps.store.ledger import Ledger
from sweeps.store.places import place_of
from sweeps.terminal.streams import say

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from sweeps.store.followed import Followed

_READING = (
    "how to read it: step 1000 is one epoch, or one report of a function; a trial that waits at a rung is shown as "
    "running while the sweep runs (its attribute `state` says paused); nothing can be changed"
)
HOST = "127.0.0.1"  # local only: every user who can reach the page can read the sweep


def serve(name: str, results: Path, port: int, ledger: str | None = None) -> None:
    """Serve the dashboard of a sweep until the process is stopped.

    Args:
        name: The name of the sweep.
        results: The results folder.
        port: The port on the local host; 0 for any free one.
        ledger: The URL of the ledger, if it is in PostgreSQL.

    Raises:
        SpecError: If the port is not available, or optuna-dashboard is not installed.
    """
    from sweeps.store.followed import Followed

    folder = SweepFolder(results, name)
    with closing(Ledger.open(place_of(folder, ledger), read_only=True)) as opened, stop_signals(_stop):
        followed = Followed(opened)
        served = application(followed)
        try:
            server = make_server(HOST, port, served, server_class=_Server, handler_class=_Handler)
        except OSError as error:
            raise SpecError(
                f"the dashboard can't be served on port {port} ({error.strerror}): choose another with --port"
            ) from error
        with server:
            say(f"dashboard of {name}: http://{HOST}:{server.server_port}/dashboard (Ctrl-C ends it)")
            if address := ray_dashboard(folder, followed.history):
                say(f"Ray's dashboard: {address}")
            say(_READING)
            server.serve_forever()


def application(followed: "Followed") -> "WSGIApplication":
    """Return the dashboard of a sweep as a WSGI application; raise SpecError if optuna-dashboard is not installed."""
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise SpecError(
            f"the dashboard needs the package optuna-dashboard ({error}): {install('dashboard')}"
        ) from error
    return _read_only(wsgi(followed))


def _read_only(served: "WSGIApplication") -> "WSGIApplication":
    """Return the application restricted to GET and HEAD requests; others are answered with 403."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return served(environ, start_response)
        # Closing a connection with its request unread resets it, and the page would not see the reason.
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = json.dumps({"reason": "a sweep is only shown here: change it with `sweeps`"}).encode()
        start_response("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def ray_dashboard(folder: SweepFolder, history: History) -> str | None:
    """Return the address of Ray's dashboard, or None if no process on this machine drives the sweep with one."""
    sessions = list(history.noted("session"))
    return sessions[-1].body.get("dashboard") if sessions and is_held(folder.lease) else None


class _Server(ThreadingMixIn, WSGIServer):
    """A server with one thread per connection: a single thread would wait for connections that a browser keeps idle."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print no line per request."""


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
