"""The parts of a page as frozen values without HTML: sections of sentences, figures and tables."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Table:
    """Rows of text below a head.

    Attributes:
        head: The names of the columns.
        rows: The rows; the first cell names a row.
        caption: The caption.
        summary: The text of the line that unfolds the table; "" for one that is always open.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    summary: str = ""


def without_blanks(table: Table) -> Table:
    """Return the table without the columns that are blank in every row."""
    kept = [i for i in range(len(table.head)) if not table.rows or any(row[i] not in ("", "–") for row in table.rows)]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, head=tuple(table.head[i] for i in kept), rows=rows)


@dataclass(frozen=True)
class Picture:
    """A drawing: an <svg> element made by `study.figures.vector.svg`, which is the only markup in a page's values."""

    svg: str
    heading: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure: its pictures (several are small multiples), a caption with its findings in numbers, and its data."""

    pictures: tuple[Picture, ...]
    caption: str
    table: Table | None = None


@dataclass(frozen=True)
class Confusion:
    """Counts of shape (classes, classes) with true classes in rows, and a caption with the errors in words."""

    counts: tuple[tuple[int, ...], ...]
    caption: str

    @property
    def most(self) -> int:
        """Return the largest count of one kind of error, 0 without errors."""
        return max((c for t, row in enumerate(self.counts) for s, c in enumerate(row) if s != t), default=0)


@dataclass(frozen=True)
class Listing:
    """Text that is shown literally, such as a spec or commands.

    Attributes:
        text: The text.
        summary: The text of the line that unfolds the listing; "" for one that is always open.
    """

    text: str
    summary: str = ""


Part = Table | Chart | Confusion | Listing


@dataclass(frozen=True)
class Section:
    """A heading with sentences, points and parts below it; `name` is its anchor."""

    name: str
    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    parts: tuple[Part, ...] = field(default=())
