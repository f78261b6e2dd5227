"""The page of a sweep, rendered from its history: its sections, their order, and their HTML."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING

from markupsafe import Markup

from sweeps.report import cells, choice, course, facts, parameters, rungs
from sweeps.report.outcome import headline
from sweeps.report.parts import Section
from sweeps.search.history import History
from sweeps.search.selection import selection_of
from sweeps.search.standing import State
from sweeps.spec import SweepSpec

if TYPE_CHECKING:
    from jinja2 import Template

Builder = Callable[[], Section | None]

REFRESH = 15  # s after which a browser reloads the page of a running sweep
_DEEPEST = 0.65  # share of the colour in the fullest cell of a confusion matrix, whose count stays legible


@dataclass(frozen=True)
class Subject:
    """The subject of a page: a sweep, the confusions of its winner, the path to it, and where its results are.

    Attributes:
        spec: The spec of the sweep.
        history: The history of the sweep.
        state: The state of the sweep.
        confusion: Counts of the stored model, shape (classes, classes); None if there are none.
        walked: Spec and history of the design that walked from baseline to winner.
        where: The option with which commands find the results, by name.
    """

    spec: SweepSpec
    history: History
    state: State
    confusion: Sequence[Sequence[int]] | None = None
    walked: tuple[SweepSpec, History] | None = None
    where: Mapping[str, str] = field(default_factory=dict)


def render(subject: Subject, written: datetime | None = None) -> str:
    """Return the page as self-contained HTML.

    Args:
        subject: The subject of the page.
        written: The time to state on the page, now by default; all else depends on the subject alone.
    """
    spec, history = subject.spec, subject.history
    selection = None if spec.design else selection_of(spec, history)
    return _template().render(
        name=spec.name,
        state=subject.state,
        refresh=REFRESH,
        written=f"{written or datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        headline=headline(spec, history, selection, subject.state, subject.where),
        sections=sections(subject),
    )


def sections(subject: Subject) -> list[Section]:
    """Return the sections that have content, in the order of the page."""
    spec, history = subject.spec, subject.history
    selection = None if spec.design else selection_of(spec, history)
    is_decided = subject.state == "over"  # a sweep that continues no longer has the winner of an earlier choice
    winner = (history.outcome or {}).get("winner") if is_decided else None
    builders: list[Builder] = [
        partial(cells.cells_section, spec, history),
        partial(cells.runs_section, spec, history),
        *([] if spec.design else _of_search(subject, winner)),
        partial(choice.choice_section, spec, selection, subject.state),
        *([partial(choice.confusion_section, subject.confusion)] if is_decided else []),
        partial(facts.advice_section, spec, history, subject.where),
        *([partial(cells.path_section, *subject.walked)] if subject.walked else []),
        partial(facts.facts_section, spec, history, subject.where, subject.state),
    ]
    found = [_built(build, place) for place, build in enumerate(builders)]
    return [section for section in found if section is not None]


def _of_search(subject: Subject, winner: int | None) -> list[Builder]:
    spec, history = subject.spec, subject.history
    return [
        partial(course.best_section, spec, history),
        partial(course.curves_section, spec, history, winner, subject.state),
        partial(parameters.parallel_section, spec, history, winner),
        partial(parameters.importance_section, spec, history),
        partial(parameters.slices_section, spec, history, winner),
        partial(rungs.rungs_section, spec, history),
    ]


def _built(build: Builder, place: int) -> Section | None:
    """Return a section, or one that reports the error if building it fails, so the page keeps the others."""
    try:
        return build()
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Section(f"missing-{place}", "A part that can't be shown", (f"Drawing it failed with {why}.",))


@cache
def _template() -> "Template":
    from jinja2 import Environment

    text = resources.files("sweeps.report").joinpath("page.html").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    # Drawings are escaped when they are drawn; all other text of users is escaped here.
    environment.filters["drawn"] = Markup
    environment.filters["kind"] = lambda part: type(part).__name__
    environment.filters["shade"] = lambda count, most: round(100 * _DEEPEST * (count / most) ** 0.5 if most else 0)
    return environment.from_string(text)
