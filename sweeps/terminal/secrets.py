"""A password on the command line is seen by every user of the machine, and by Ray's dashboard: it is moved away."""

import os
import sys

from sweeps.errors import SpecError

OPTION = "--ledger"


def hide_password() -> None:
    """Start this process anew where --ledger has a password, with the URL in SWEEPS_LEDGER and without it in sight.

    Not where it is to travel: `submit` refuses a password, which it would not see any more.
    """
    if sys.argv[1:2] == ["submit"] or not any(word.partition("=")[0] == OPTION for word in sys.argv):
        return
    from sweeps.store.places import VARIABLE  # heavy, and a command says first what it does
    from sweeps.store.postgresql import Database

    command = list(sys.orig_argv)
    for place, word in enumerate(command):
        option, _, url = word.partition("=")
        if option != OPTION:
            continue
        here = place if url else place + 1
        try:
            database = Database.parse(url or command[here], "any")
        except (SpecError, IndexError):
            return  # the command will say what is wrong with it
        if database.has_secret:
            public = database.public.render_as_string(hide_password=False)
            command[here] = f"{OPTION}={public}" if url else public
            environment = {**os.environ, VARIABLE: database.url.render_as_string(hide_password=False)}
            os.execve(sys.executable, [sys.executable, *command[1:]], environment)
