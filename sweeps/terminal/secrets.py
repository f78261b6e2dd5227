"""Removal of passwords from the command line, which every user of the machine and Ray's dashboard can see."""

import os
import sys

from sweeps.errors import SpecError

OPTION = "--ledger"


def hide_password() -> None:
    """Restart this process without the password on its command line, if --ledger has one.

    The new process finds the full URL in the environment variable SWEEPS_LEDGER. `submit` is exempt: it refuses a URL
    with a password, which it could no longer see.
    """
    if sys.argv[1:2] == ["submit"] or not any(word.partition("=")[0] == OPTION for word in sys.argv):
        return
    from sweeps.store.places import VARIABLE  # slow to import, and a command first prints what it does
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
            return  # the command reports what is wrong with it
        if database.has_secret:
            public = database.public.render_as_string(hide_password=False)
            command[here] = f"{OPTION}={public}" if url else public
            environment = {**os.environ, VARIABLE: database.url.render_as_string(hide_password=False)}
            os.execve(sys.executable, [sys.executable, *command[1:]], environment)
