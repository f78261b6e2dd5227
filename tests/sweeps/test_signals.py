"""Tests of signals that stop a sweep: Ctrl-C, SIGTERM and a terminal that is closed."""

import importlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.signals import Stop, outliving_the_terminal, stop_signals


@pytest.fixture(autouse=True)
def _a_terminal_can_hang_up() -> Iterator[None]:
    """Let SIGHUP act by default during a test, since it is ignored where the tests run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_only_a_person_insists(number: signal.Signals) -> None:
    stop = Stop(print)
    with stop_signals(stop), stop.gently():
        os.kill(os.getpid(), number)
        assert stop.asked is not None
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_outside_of_a_gentle_block_the_first_signal_interrupts() -> None:
    with stop_signals(Stop(print)), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGHUP)


def test_an_import_comes_to_its_end_before_a_signal_interrupts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "interrupted.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nDONE = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def imports_and_waits() -> None:
        assert importlib.import_module("interrupted").DONE
        threading.Event().wait()

    with stop_signals(Stop(print)), pytest.raises(KeyboardInterrupt):
        imports_and_waits()


def test_a_hang_up_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop(print)
        with stop_signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.asked is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_started_outlives_the_terminal() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with outliving_the_terminal():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) == before
