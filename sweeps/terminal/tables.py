"""Parts that all tables share: literal rows, short numbers, and frames as JSON for programs."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from search_spaces.plain import plain as plain_value
from sweeps.digits import in_digits
from sweeps.terminal.streams import plain

if TYPE_CHECKING:
    import pandas as pd


def add_row(table: Table, *cells: str) -> None:
    """Add a row literally, without markup and control characters, since texts of users may hold anything."""
    table.add_row(*(Text(plain(cell)) for cell in cells))


def cell(value: Any) -> str:
    """Return a value in brief, or "-" if it is missing."""
    import pandas as pd

    if pd.isna(value):
        return "-"
    return in_digits(value) if isinstance(value, float) else str(value)


def records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return a frame's rows as JSON values with exact numbers, see `json_value`; texts of JSON values are read."""
    columns = {str(name): [json_value(value) for value in frame[name]] for name in frame.columns}
    for name in frame.attrs.get("json", ()):
        columns[name] = [None if text is None else json.loads(text) for text in columns[name]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def json_value(value: Any) -> Any:
    """Return a value as JSON can hold it, bit for bit.

    Missing values and NaN become null, and moments ISO 8601 text. JSON has no infinite numbers: they are written as in
    the ledger, {"__float__": "inf"}.
    """
    import pandas as pd

    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    value = plain_value(value)
    if isinstance(value, float) and math.isinf(value):
        return {"__float__": str(value)}
    return value
