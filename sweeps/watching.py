"""The displays, figures and reports of a sweep; the sweep continues if one of them fails."""

from collections.abc import Callable
from functools import partial

from sweeps.execution.driver import Driver
from sweeps.execution.messages import Observer
from sweeps.execution.spending import Profile
from sweeps.returning import to_resume
from sweeps.search.history import Row, Stamp
from sweeps.search.standing import State
from sweeps.store.folders import SweepFolder
from sweeps.terminal.profile import tell_profile


def watched_by(say: Callable[[str], None], *observers: Observer) -> Observer:
    """Return an observer that calls several others in order, and drops one that fails with a warning.

    The sweep continues, since observers only watch rows that are already committed.
    """
    active = list(observers)

    def observe(stamp: Stamp, row: Row) -> None:
        for observer in tuple(active):
            try:
                observer(stamp, row)
            except Exception as error:
                active.remove(observer)
                why = f"{type(error).__name__}: {' '.join(str(error).split())}"
                say(f"warning: a part of the display ended ({why}): the sweep continues without it")

    return observe


def draw(driver: Driver, state: State, say: Callable[[str], None], ledger_url: str | None) -> None:
    """Write the figures of a design and the report, with a warning if one fails, and send them to any object store."""
    from sweeps.report.writing import write_report
    from sweeps.store.figures import write_figures

    seen, folder = (driver.folder, driver.spec, driver.history), driver.folder
    for what, write, again in (
        ("figures", partial(write_figures, *seen), to_resume(driver.spec, folder.where)),
        ("report", partial(write_report, *seen, state, ledger=ledger_url), folder.command("report")),
    ):
        attempt(what, write, f"`{again}`", say)
    driver.folder.send()


def draw_profile(profile: Profile, folder: SweepFolder, say: Callable[[str], None]) -> None:
    """Print and draw where the time went, or print that there is no profile if no trial had a slot."""
    if not (parts := profile.parts()):
        say("no profile: no trial had a slot in this session")
        return
    attempt("profile", partial(tell_profile, parts, folder, say), "another session with --profile", say)


def attempt(what: str, write: Callable[[], object], again: str, say: Callable[[str], None]) -> None:
    """Call `write`, and if it fails, print a warning that says how to try again."""
    try:
        write()
    except Exception as error:  # the outcome is recorded, whatever is wrong with a figure
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        say(f"warning: the {what} could not be written ({why}): try {again}")


def say_warning(say: Callable[[str], None], text: str) -> None:
    """Print a warning."""
    say(f"warning: {text}")
