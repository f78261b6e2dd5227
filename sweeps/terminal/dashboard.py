"""Optuna's dashboard over a sweep's ledger: served on this machine alone, and only to be read."""

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
HOST = "127.0.0.1"  # whoever can reach the page can read the sweep


def serve(name: str, results: Path, port: int, ledger: str | None = None) -> None:
    """Serve the dashboard of a sweep until the process is stopped; SpecError where the port can't be had."""
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
    """The dashboard of a sweep as a WSGI application; SpecError where optuna-dashboard is not installed."""
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise SpecError(
            f"the dashboard needs the package optuna-dashboard ({error}): {install('dashboard')}"
        ) from error
    return _read_only(wsgi(followed))


def _read_only(served: "WSGIApplication") -> "WSGIApplication":
    """The same application, which is only asked to tell, never to change."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return served(environ, start_response)
        # A connection that is closed with its request unread is reset, and the page would not see the reason.
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = json.dumps({"reason": "a sweep is only shown here: change it with `sweeps`"}).encode()
        start_response("403 Forbidden", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def ray_dashboard(folder: SweepFolder, history: History) -> str | None:
    """The address of Ray's dashboard, where a process of this machine drives the sweep and has one."""
    sessions = list(history.noted("session"))
    return sessions[-1].body.get("dashboard") if sessions and is_held(folder.lease) else None


class _Server(ThreadingMixIn, WSGIServer):
    """A browser keeps connections that it doesn't use yet: one at a time would wait for them."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """No line for each request."""


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
