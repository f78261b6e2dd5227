"""Places of ledgers: a file in the sweep's folder, or a database whose URL the folder remembers without secrets."""

import os

from study.files import replacing
from sweeps.errors import SpecError
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Place
from sweeps.store.postgresql import Database
from sweeps.store.sqlite import File

VARIABLE = "SWEEPS_LEDGER"


def new_place(folder: SweepFolder, ledger: str | None) -> Place:
    """Return the place for a new sweep's ledger.

    Args:
        folder: The folder of the sweep.
        ledger: The URL of a database, or None for the one in SWEEPS_LEDGER or, without that, a file in the folder.

    Raises:
        SpecError: The URL can't be used, or there is none and the results are in an object store.
    """
    url = ledger or os.environ.get(VARIABLE)
    if folder.store and not url:
        raise SpecError(
            f"results in an object store need a ledger in PostgreSQL, since {folder.home} can't be locked: give "
            "--ledger postgresql://USER@HOST/DATABASE"
        )
    return _with_secret(Database.parse(url, folder.name)) if url else File(folder.ledger)


def place_of(folder: SweepFolder, ledger: str | None) -> Place:
    """Return the place of an existing sweep's ledger.

    It is a file in the sweep's folder if there is one. A sweep whose folder is elsewhere is looked up at the URL in
    SWEEPS_LEDGER.

    Args:
        folder: The folder of the sweep.
        ledger: The URL of a database, or None for the one that the folder remembers.

    Raises:
        SweepNotFoundError: There is no sweep of that name.
        SpecError: The URL can't be used, or one is given although the ledger is in the folder.
    """
    if folder.ledger.exists():
        if ledger:
            raise SpecError(f"the ledger of {folder.name!r} is {folder.ledger}: leave --ledger out")
        return File(folder.ledger)
    remembers = folder.fetched(folder.ledger_url).exists()
    remembered = folder.ledger_url.read_text("utf-8").strip() if remembers else None
    url = ledger or remembered or os.environ.get(VARIABLE)
    if not url:
        folder.require()
    place = _with_secret(Database.parse(url or "", folder.name))
    if not remembered:
        place.require()
    return place


def _with_secret(place: Database) -> Database:
    """Return the place with the password that SWEEPS_LEDGER has for it, since a folder remembers none."""
    url = os.environ.get(VARIABLE)
    return place.with_secret_of(Database.parse(url, place.name)) if url else place


def remember(folder: SweepFolder, place: Place) -> None:
    """Write the URL of a ledger in a database into the sweep's folder, without secrets."""
    if isinstance(place, Database):
        with replacing(folder.ledger_url) as temporary:
            temporary.write_text(place.public.render_as_string(hide_password=False) + "\n", "utf-8")
