"""Signals that stop a sweep: Ctrl-C, SIGTERM and a terminal that is closed."""

import os
import signal
from collections.abc import Iterator

import pytest

from sweeps.signals import Stop, outliving_the_terminal, stop_signals


@pytest.fixture(autouse=True)
def _a_terminal_can_hang_up() -> Iterator[None]:
    """Set back that a hang-up is ignored, as it is where the tests run below `nohup`."""
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
