"""What people look at while a sweep runs and when it ends: whatever is wrong with that, the sweep goes on."""

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
    """Return several observers as one, in this order; one that fails is said once and left out, and the sweep goes on.

    They only watch: the row is committed.
    """
    active = list(observers)

    def observe(stamp: Stamp, row: Row) -> None:
        for observer in tuple(active):
            try:
                observer(stamp, row)
            except Exception as error:
                active.remove(observer)
                why = f"{type(error).__name__}: {' '.join(str(error).split())}"
                say(f"warning: a part of the display ended ({why}): the sweep goes on without it")

    return observe


def draw(driver: Driver, state: State, say: Callable[[str], None], ledger_url: str | None) -> None:
    """Write what people look at: the figures and the report, without which a sweep is no less whole."""
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
    """Print where the time went and draw it; say so where there is nothing to draw."""
    if not (parts := profile.parts()):
        say("no profile: no trial had a slot in this session")
        return
    attempt("profile", partial(tell_profile, parts, folder, say), "another session with --profile", say)


def attempt(what: str, write: Callable[[], object], again: str, say: Callable[[str], None]) -> None:
    """Write something to look at; whatever is wrong with it, say what to do to have it all the same."""
    try:
        write()
    except Exception as error:  # whatever is wrong with a picture, the outcome is recorded and stands
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        say(f"warning: the {what} could not be written ({why}): try {again}")


def say_warning(say: Callable[[str], None], text: str) -> None:
    """Print a warning."""
    say(f"warning: {text}")
