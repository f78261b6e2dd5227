"""What a column of a Parquet table is: its type, unit and meaning, and where its values come from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

SWEEP = "sweep"  # the first column of every table, so that those of many sweeps can be read as one


@dataclass(frozen=True)
class Column:
    """One column: its type, its unit ("" where it has none), what it means, and where a row's value comes from."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    value: Callable[[Any], Any]

    @property
    def field(self) -> pa.Field:
        return pa.field(self.name, self.type, metadata={"unit": self.unit, "meaning": self.meaning})
