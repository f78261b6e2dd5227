"""Tests of cautions: unusual settings of a sweep are reported before it runs, and kept in its record."""

from typing import Any

import pytest
from simulation import TABLE, small_spec

from sweeps.cautions import cautions


def said(space: dict[str, Any]) -> list[str]:
    """Return the cautions about a sweep over the small space plus `space`."""
    return cautions(small_spec(space={**TABLE["space"], **space}))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"float": [0.0, 1.0], "step": 0.3}, "n: steps of 0.3 do not reach 1.0: its range ends at 0.9"),
        ({"int": [1, 10], "step": 4}, "n: steps of 4 do not reach 10: its range ends at 9"),
        ({"float": [0.0, 0.3], "step": 0.1}, None),
        ({"int": [1, 9], "step": 4}, None),
        ({"float": [0.0, 1.0]}, None),
        ({"int": [1, 10], "step": 4, "when": {"kind": ["a"]}}, "n: steps of 4 do not reach 10: its range ends at 9"),
    ],
)
def test_a_range_that_its_steps_do_not_fill_is_said_to_end_earlier(table: dict[str, Any], text: str | None) -> None:
    assert said({"n": table}) == ([] if text is None else [text])
