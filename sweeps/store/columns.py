"""What a column of a Parquet table is: its name, type, unit and meaning, and where its values come from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

SWEEP = "sweep"  # the first column of every table, so that those of many sweeps can be read as one
SOURCE = "source"  # the key of a column's metadata that keeps the name of a parameter, metric or cost


@dataclass(frozen=True)
class Column:
    """One column: its type, its unit ("" where it has none), what it means, and where a row's value comes from.

    source: the parameter, metric or cost that it holds, as the user named it; "" for any other column.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    value: Callable[[Any], Any]
    source: str = ""

    @property
    def field(self) -> pa.Field:
        source = {SOURCE: self.source} if self.source else {}
        return pa.field(self.name, self.type, metadata={"unit": self.unit, "meaning": self.meaning, **source})

    def array(self, rows: Sequence[Any]) -> tuple[pa.Field, pa.Array, str]:
        """Return the column over the rows, and "" or why it holds text in place of its type.

        Whatever is wrong with a value, the others are kept: the column then holds each value's text.
        """
        try:
            return self.field, pa.array([self.value(row) for row in rows], self.type), ""
        except Exception as error:  # a value is of a user's making, and may be anything
            why = in_brief(error)
        texts = pa.array([_text(self.value, row) for row in rows], pa.string())
        field = replace(self, type=pa.string()).field
        return field.with_metadata({**field.metadata, "degraded": f"text, since {why}"}), texts, why


def in_brief(error: Exception) -> str:
    """Return an error's kind and text in one line that can be stored."""
    text = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()
    return f"{type(error).__name__}: {text}"


def _text(value: Callable[[Any], Any], row: Any) -> str | None:
    """Return a value as text that can be stored, or why it has no text; null for a value that is missing."""
    try:
        found = value(row)
        return None if found is None else str(found).encode("utf-8", "backslashreplace").decode()
    except Exception as error:
        return f"can't be shown ({type(error).__name__})"


def unique_names(fixed: Iterable[str], given: Iterable[str], prefix: str) -> dict[str, str]:
    """Return the name of a column for each name that a user gave, all of them different.

    That is the name itself, or a prefix and the name where a column of another meaning has it.
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
