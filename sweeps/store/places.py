"""Where a sweep's ledger is: a file in its folder or, by URL, a database that the folder remembers without secrets."""

import os

from study.files import replacing
from sweeps.errors import SpecError
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Place
from sweeps.store.postgresql import Database
from sweeps.store.sqlite import File

VARIABLE = "SWEEPS_LEDGER"


def new_place(folder: SweepFolder, ledger: str | None) -> Place:
    """Where a new sweep's ledger comes: at the URL that is given, else at that in SWEEPS_LEDGER, else in its folder."""
    url = ledger or os.environ.get(VARIABLE)
    if folder.store and not url:
        raise SpecError(
            f"results in an object store need a ledger in PostgreSQL, since {folder.home} can't be locked: give "
            "--ledger postgresql://USER@HOST/DATABASE"
        )
    return _with_secret(Database.parse(url, folder.name)) if url else File(folder.ledger)


def place_of(folder: SweepFolder, ledger: str | None) -> Place:
    """Where the ledger of a sweep is: at the URL that is given, else where its folder has it or remembers it.

    A sweep whose folder is elsewhere is looked for at the URL in SWEEPS_LEDGER. SweepNotFoundError if there is none.
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
    """With the password that SWEEPS_LEDGER has for the same place: what a folder remembers has none."""
    url = os.environ.get(VARIABLE)
    return place.with_secret_of(Database.parse(url, place.name)) if url else place


def remember(folder: SweepFolder, place: Place) -> None:
    """Write down in the sweep's folder where its ledger is, if it is not there; without secrets."""
    if isinstance(place, Database):
        with replacing(folder.ledger_url) as temporary:
            temporary.write_text(place.public.render_as_string(hide_password=False) + "\n", "utf-8")
