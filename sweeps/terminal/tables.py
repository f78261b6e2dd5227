"""What all that is told in tables shares: the console, rows as they are, cells in brief, and frames for programs."""

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd


def console() -> Console:
    """Piped output gets long lines, not lines broken at 80 columns."""
    found = Console()
    return found if found.is_terminal else Console(width=200)


def add_row(table: Table, *cells: str) -> None:
    """Add a row as it is: in what users write, square brackets are no markup."""
    table.add_row(*(Text(cell) for cell in cells))


def cell(value: Any) -> str:
    """A value in brief, "-" for none."""
    import pandas as pd

    if pd.isna(value):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def records(frame: "pd.DataFrame") -> Any:
    """A frame's rows as JSON values."""
    return json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))
