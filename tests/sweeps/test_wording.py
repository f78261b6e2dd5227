"""Tests of errors at the edge: one line and an exit code, whatever was raised."""

import pytest

from sweeps.errors import LedgerError
from sweeps.terminal.wording import worded


def raises(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (LedgerError("the ledger\nis damaged"), 4, "error: the ledger is damaged"),
        (
            PermissionError(1, "Operation not permitted", "/kept/report.html"),
            4,
            "report.html can't be read or written",
        ),
        (OSError("of no file"), 1, "OSError: of no file"),
        (RuntimeError("a defect"), 1, "RuntimeError: a defect (put --debug"),
        (KeyboardInterrupt(), 130, "error: stopped"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert worded(lambda: raises(error)) == code
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
