"""Tests of output: any text in any encoding, to a terminal, a file, a broken pipe, or nowhere."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from sweeps.terminal.streams import console, plain, tolerant
from sweeps.terminal.tables import add_row

EVERY_SIGN = "".join(map(chr, (*range(0x300), 0x2026, 0x4E2D, 0xD800, 0xDCE9, 0xFFFF, 0x1F600)))
MARKUP = ["[conv,bn]", "[/]", "[bold]x", "[link=x]", ":smile:", "\\[x]", "a[/top1]", "[[x]]"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252", "cp437", "shift_jis"])
def test_every_sign_can_be_written_in_any_encoding(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")

    tolerant(stream).write(EVERY_SIGN)
    stream.flush()

    assert len(raw.getvalue().decode(encoding)) >= len(EVERY_SIGN)


def test_what_an_encoding_lacks_is_shown_by_something_simple() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    tolerant(stream).write("1 … 2 × 3 – 中\udce9")
    stream.flush()

    assert raw.getvalue() == b"1 ... 2 x 3 - ?\\udce9"


@pytest.mark.parametrize("text", MARKUP)
def test_a_text_in_square_brackets_is_shown_as_it_is(text: str) -> None:
    out = io.StringIO()
    table = Table(title=text)
    table.add_column(text)
    add_row(table, text)

    console(out).print(table)
    console(out).print(text)

    assert out.getvalue().count(text) == 4


def test_a_text_commands_no_terminal() -> None:
    assert plain("\x1b[31mred\x07\r\n\tok\x9b") == "[31mred\n\tok"


@pytest.mark.parametrize("columns", ["0", "1", "7", "x", "100000"])
def test_a_terminal_of_any_width_is_written_to(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = Table("parameter", "value")
    add_row(table, "learning_rate", "0.1")
    out = io.StringIO()

    console(out).print(table)

    assert "0.1" in out.getvalue()


HEAD = "import sys; sys.argv = ['sweeps', *{words!r}]; from sweeps.cli import main; main()"


def run(words: list[str], shell: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a shell, in which "$@" is the command itself."""
    code = HEAD.format(words=words)
    return subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, "-c", code], capture_output=True, env=environment, check=False
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_command_ends_well_on_a_terminal_without_utf_8(encoding: str, tmp_path: Path) -> None:
    done = run(["list", "--results", f"{tmp_path}/…×中"], '"$@"', PYTHONIOENCODING=encoding)

    assert done.returncode == 0, done.stderr
    assert b"no sweeps in" in done.stdout
    assert done.stdout.decode(encoding)


@pytest.mark.parametrize("shell", ['"$@" | true', '"$@" >&-', '"$@" 2>&-', '"$@" >&- 2>&- <&-'])
def test_a_reader_that_leaves_gets_no_traceback(shell: str, tmp_path: Path) -> None:
    done = run(["list", "--results", str(tmp_path)], shell)

    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_full_disk_is_an_error_in_one_line(tmp_path: Path) -> None:
    done = run(["list", "--results", str(tmp_path)], '"$@" > /dev/full')

    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1
