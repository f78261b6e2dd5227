"""Columns of the Parquet tables: name, type, unit and meaning, and the source of their values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

SWEEP = "sweep"  # the first column of every table, so tables of several sweeps can be read as one
ENCODING = "encoding"  # metadata key of a column, "json" for texts that are JSON values
SOURCE = "source"  # metadata key of a column, for the user's name of its parameter, metric or cost


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name in the table.
        type: Its Arrow type.
        unit: Its unit, or "" if it has none.
        meaning: A short description of its values.
        value: A function that returns the column's value for a row.
        source: The parameter, metric or cost that it holds, as the user named it; "" for any other column.
        is_json: Whether its texts are JSON values.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    value: Callable[[Any], Any]
    source: str = ""
    is_json: bool = False

    @property
    def field(self) -> pa.Field:
        about = {"unit": self.unit, "meaning": self.meaning}
        about |= {SOURCE: self.source} if self.source else {}
        about |= {ENCODING: "json"} if self.is_json else {}
        return pa.field(self.name, self.type, metadata=about)

    def array(self, rows: Sequence[Any]) -> tuple[pa.Field, pa.Array, str]:
        """Return the column's values for the given rows.

        If a value doesn't fit the type, the column holds the text of every value instead, so no other value is lost.

        Returns:
            The field, the array, and the reason for text instead of the type ("" if the type fits).
        """
        try:
            return self.field, pa.array([self.value(row) for row in rows], self.type), ""
        except Exception as error:  # a value may come from the user, and be anything
            why = in_brief(error)
        texts = pa.array([_text(self.value, row) for row in rows], pa.string())
        field = replace(self, type=pa.string(), is_json=False).field
        return field.with_metadata({**field.metadata, "degraded": f"text, since {why}"}), texts, why


def in_brief(error: Exception) -> str:
    """Return an error's type and text as one line that can be stored."""
    text = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()
    return f"{type(error).__name__}: {text}"


def _text(value: Callable[[Any], Any], row: Any) -> str | None:
    """Return a value as storable text, a note if it can't be shown, or None if it is missing."""
    try:
        found = value(row)
        return None if found is None else str(found).encode("utf-8", "backslashreplace").decode()
    except Exception as error:
        return f"can't be shown ({type(error).__name__})"


def unique_names(fixed: Iterable[str], given: Iterable[str], prefix: str) -> dict[str, str]:
    """Return a distinct column name for each name that a user gave.

    A name is kept unless a column of another meaning has it; then the prefix is put before it, repeatedly if needed.

    Args:
        fixed: The names of the table's other columns. The column of the sweep's name is always included.
        given: The names that the user gave.
        prefix: The text before a name that is taken.

    Returns:
        The column name for each of the user's names.
    """
    taken, given = {SWEEP, *fixed}, list(given)
    names = {name: name for name in given if name not in taken}
    taken |= names.keys()
    for name in given:
        column = name
        while column in taken and name not in names:
            column = f"{prefix}{column}"
        names.setdefault(name, column)
        taken.add(names[name])
    return names
