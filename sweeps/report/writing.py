"""The report as a file: read from a ledger that another process may be writing, and written whole or not at all.

`python -m sweeps.report.writing FOLDER` writes the report once, for the sweep in the folder results/sweeps/NAME. A
running sweep starts this command.
"""

import os
import re
import sys
from datetime import datetime
from html import escape
from pathlib import Path

from study.experiments import ExperimentError, load_experiment
from study.files import replacing
from sweeps.errors import SweepError
from sweeps.report.page import Subject, render
from sweeps.result import Result, state_of, walked_from
from sweeps.search.history import History
from sweeps.search.path import leads_to_winner
from sweeps.search.standing import State
from sweeps.spec import SweepSpec
from sweeps.store.folders import SweepFolder

REPORT = "report.html"
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # not allowed in a page
ANY_RESULTS = "RESULTS"  # the name of the results folder in a page


def write_report(
    folder: SweepFolder,
    spec: SweepSpec,
    history: History,
    state: State | None = None,
    written: datetime | None = None,
    ledger: str | None = None,
) -> Path:
    """Write the page of a sweep in its present state into its folder, and send it to the folder's store, if any.

    Args:
        folder: The folder of the sweep.
        spec: The spec of the sweep.
        history: The history of the sweep.
        state: The state of the sweep, if the caller knows it better than the folder shows.
        written: The time to state on the page, now by default.
        ledger: The URL of the ledger with its password, if it is in PostgreSQL.

    Returns:
        The path of the page.
    """
    path = folder.path / REPORT
    subject = Subject(
        spec=spec,
        history=history,
        state=state or state_of(folder, spec, history),
        confusion=_confusion(folder, history),
        walked=_walked(folder, spec, history, ledger),
        where={} if folder.results == Path("results").absolute() else {"results": ANY_RESULTS},
    )
    # Pages are shared, so the path of the results folder, which warnings may contain, is replaced. Text that only looks
    # like it stays: the end of a tag (the folder may be /p), and a part of another path.
    here = rf"(?<![<\w.-]){re.escape(escape(str(folder.results)))}(?!\.?[\w-])"
    text = re.sub(here, ANY_RESULTS, _UNSHOWN.sub("\ufffd", render(subject, written)))
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
    if folder.store:
        folder.store.send(path)
    return path


def _confusion(folder: SweepFolder, history: History) -> list[list[int]] | None:
    """Return the stored model's confusions, or None if there is no model or it can't be loaded."""
    stored = (history.outcome or {}).get("experiment")
    if stored is None:
        return None
    try:
        found: list[list[int]] | None = load_experiment(folder.experiment(stored)).metadata.get("confusion")
    except ExperimentError:
        return None
    return found


def _walked(
    folder: SweepFolder, spec: SweepSpec, history: History, ledger: str | None
) -> tuple[SweepSpec, History] | None:
    """Return the design that walked from this baseline to this winner, or None if it has no outcome yet."""
    walked = walked_from(folder, ledger=ledger)
    if walked is None:
        return None
    design = walked.spec.design
    is_told = design is not None and walked.history.outcome is not None and leads_to_winner(design, spec, history)
    return (walked.spec, walked.history) if is_told else None


def main() -> None:
    """Write the report of the sweep in the given folder at the lowest CPU priority; exit with 1 on an error."""
    os.nice(19)
    folder = Path(sys.argv[1])
    try:
        result = Result(SweepFolder(folder.parents[1], folder.name))
        write_report(result.folder, result.spec, result.history)
    except (SweepError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
