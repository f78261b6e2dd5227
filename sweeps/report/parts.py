"""What a page consists of, as frozen values that know no HTML: sections of sentences, figures and tables."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Table:
    """Rows of text beneath a head; the first cell of a row names it. summary: on the line that opens it, "" if open."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    summary: str = ""


def without_blanks(table: Table) -> Table:
    """The table without the columns that say nothing in any row."""
    kept = [i for i in range(len(table.head)) if not table.rows or any(row[i] not in ("", "–") for row in table.rows)]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, head=tuple(table.head[i] for i in kept), rows=rows)


@dataclass(frozen=True)
class Picture:
    """One drawing: an <svg> element made by `study.figures.vector.svg`, which is the only markup in a page's values."""

    svg: str
    heading: str = ""


@dataclass(frozen=True)
class Chart:
    """One figure: its pictures (several are small multiples), what is seen in words and numbers, and its data."""

    pictures: tuple[Picture, ...]
    caption: str
    table: Table | None = None


@dataclass(frozen=True)
class Confusion:
    """Counts (classes, classes) with true classes in rows, and in words where they lie."""

    counts: tuple[tuple[int, ...], ...]
    caption: str

    @property
    def most(self) -> int:
        """The largest count of an error."""
        return max((c for t, row in enumerate(self.counts) for s, c in enumerate(row) if s != t), default=0)


@dataclass(frozen=True)
class Listing:
    """Text that is shown as it is, such as a spec or commands. summary: on the line that opens it, "" if open."""

    text: str
    summary: str = ""


Part = Table | Chart | Confusion | Listing


@dataclass(frozen=True)
class Section:
    """A heading with sentences, points and parts below it. name: its anchor."""

    name: str
    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    parts: tuple[Part, ...] = field(default=())
