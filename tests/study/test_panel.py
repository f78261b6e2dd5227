"""Tests of the panel: its training is an ordinary run, it stops when asked, and a wrong choice is one line."""

import sys

import pytest
from small_data import small_digits as small

from study.config import TrialConfig
from study.panel import Panel, PanelError
from study.training import train

DATA = small()


def panel(**choices: object) -> Panel:
    made = Panel(DATA)
    for knob, choice in {"batch_size": 16, **choices}.items():
        made.controls[knob].value = choice
    return made


def status(made: Panel) -> str:
    return made._status.value


def test_a_run_from_the_panel_has_the_bits_of_one_without() -> None:
    made = panel(epochs=2, dropout_rate=0.2, rotation=True, optimizer="sgd")
    made.start()
    made.wait()

    config = TrialConfig(
        batch_size=16, epochs=2, dropout=True, dropout_rate=0.2, rotation=True, optimizer="sgd", reports_per_epoch=4
    )
    assert [m.digest for m in made.measurements] == [m.digest for m in train(config, DATA)]


def test_at_the_end_the_bar_is_full_and_the_curve_is_there() -> None:
    made = panel(epochs=1)
    assert made._curve.layout.display == "none"
    made.start()
    made.wait()

    assert made._bar.value == 1.0
    assert made._curve.layout.display == "block"
    assert bytes(made._curve.value).startswith(b"\x89PNG")
    assert status(made).startswith("done: step 8 of 8, validation loss")
    assert (made._train.disabled, made._stop.disabled) == (False, True)


def test_stop_ends_a_run_that_can_be_followed_by_another() -> None:
    made = panel(epochs=10)
    made.start()
    made.stop()
    made.wait()
    assert status(made).startswith("stopped: step")
    assert made._bar.value < 1

    made.controls["epochs"].value = 1
    made.start()
    made.wait()
    assert status(made).startswith("done: step 8 of 8")


def test_a_second_click_does_not_start_a_second_run() -> None:
    made = panel(epochs=10)
    made.start()
    made.controls["epochs"].value = 1
    made.start()
    made.stop()
    made.wait()

    assert " of 80" in status(made)


def test_a_wrong_choice_is_one_line_until_the_next_run() -> None:
    made = panel(learning_rate=0.0, epochs=1)
    made.start()
    assert status(made) == made.error == "learning_rate: must be greater than 0, but got 0.0"
    assert made.measurements == ()
    assert not made._train.disabled

    made.controls["learning_rate"].value = 0.05
    made.start()
    made.wait()
    assert made.error == ""
    assert made.measurements


def test_what_only_the_data_refuses_is_one_line_too() -> None:
    made = panel(batch_size=500)
    made.start()
    made.wait()

    assert status(made).startswith("batch_size=500 is larger than the training set of 120 images")
    assert (made._train.disabled, made._stop.disabled) == (False, True)


def test_a_batch_of_the_whole_training_set_reports_once_an_epoch() -> None:
    assert panel(batch_size=120).config().reports_per_epoch == 1


def test_without_ipywidgets_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(PanelError, match=r"pip install 'nn-training-study\[notebook\]'"):
        Panel(DATA)
