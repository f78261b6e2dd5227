"""Tests of the command line: wrong input gives one clear line and its exit code, and nothing stored is lost."""

import json
import re
from pathlib import Path

import pytest
from simulation import Simulation, open_driver, small_spec, swept

from sweeps.search.history import Noted
from sweeps.store.folders import SweepFolder
from sweeps.store.lease import lease

SPACE = "[space]\nlearning_rate = { float = [0.01, 0.1] }\n"


def one_line(err: str) -> str:
    """Return the error, which must be one line that begins with "error: "."""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trails = 3\n" + SPACE, "bad.toml: unknown key 'trails', did you mean 'trials'?"),
        ("trials = 0\n" + SPACE, "bad.toml: trials: must be 1 or more, but got 0"),
        ("trials = 'x'\n" + SPACE, "bad.toml: trials: must be a whole number"),
        ("trials = 3\n[space]\nlearning_rate = { float = [0.1, 0.01] }\n", "low < high must hold"),
        ("trials = 3\n[space]\nlearning_rate = { float = [0.0, 0.1], log = true }\n", "log needs low > 0"),
        ("trials = 3\n[space]\npreset = 'custom_cmn'\n", "did you mean 'custom_cnn'?"),
        ("trials = 3\n", "the table [space] is missing"),
    ],
)
def test_a_wrong_file_is_refused_with_code_2(call, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    code, _, err = call("run", "bad.toml")

    assert code == 2
    assert message in one_line(err)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr-range", "--low", "50", "--high", "1000"], "the loss diverged after .* start the ramp lower than 50"),
        (["lr-range", "--low", "2", "--high", "1"], "a ramp needs 0 < low < high and at least 2 steps, but got low=2"),
        (["lr-range", "--model", "vgh"], "no model 'vgh', did you mean 'vgg'"),
        (["train", "model=vgh"], "no model 'vgh', did you mean 'vgg'"),
        (["train", "seconds=1e-6"], "seconds=1e-06 is shorter than one step of training"),
        (["train", "batch_size=8001"], "batch_size=8001 is larger than the training set of 8000 images"),
        (["ablate", "--factor", "drpout"], "no factor 'drpout' of custom_cnn, did you mean 'dropout'"),
        (["baseline", "--model", "vgh"], "no model 'vgh', did you mean 'vgg'"),
        (["baseline", "--seeds", "0"], "seeds: must be 1 or more, but got 0"),
    ],
)
def test_a_wrong_study_is_refused_with_code_2_and_stores_nothing(
    call, tmp_path: Path, words: list[str], message: str
) -> None:
    code, _, err = call(*words)

    assert code == 2
    assert re.search(message, one_line(err))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_preset_names_the_nearest(call) -> None:
    code, _, err = call("run", "quickstrat")

    assert code == 2
    assert "did you mean 'quickstart'?" in one_line(err)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a" * 100])
def test_a_name_that_would_leave_the_results_folder_is_refused(call, tmp_path: Path, name: str) -> None:
    code, _, err = call("run", "quickstart", "--name", name)

    assert code == 2
    assert "a sweep's name is letters" in one_line(err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["resume", "show", "reproduce", "clean"])
def test_an_unknown_sweep_is_code_3_and_lists_what_is_there(call, tmp_path: Path, command: str) -> None:
    open_driver(SweepFolder(tmp_path / "results", "bowl"), small_spec())
    code, _, err = call(command, "bowls")

    assert code == 3
    assert "no sweep named 'bowls'" in one_line(err)
    assert "bowl" in err


def test_a_results_folder_that_cannot_be_written_is_code_4(call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = call("run", "quickstart", "--results", str(tmp_path / "file"))

    assert code == 4
    assert "can't be written" in one_line(err)


def test_a_file_in_the_place_of_results_is_told_by_the_list(call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = call("list", "--results", "file")

    assert (code, "file is a file: give the folder that holds sweeps" in one_line(err)) == (2, True)


def test_a_damaged_ledger_is_code_4_and_stays_as_it_is(call, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "results", "bowl")
    open_driver(folder, small_spec())
    folder.ledger.write_bytes(b"broken" * 1000)
    for command in ("resume", "show", "reproduce"):
        code, _, err = call(command, "bowl")
        assert code == 4
        assert "damaged" in one_line(err)

    assert folder.ledger.read_bytes() == b"broken" * 1000
    code, out, _ = call("list")
    assert (code, "damaged" in out) == (0, True)


def test_a_second_driver_is_refused_at_once_with_code_5(call, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "results", "bowl")
    open_driver(folder, small_spec())
    with lease(folder.lease, "bowl"):
        code, _, err = call("resume", "bowl")

    assert code == 5
    assert "is being driven by process" in one_line(err)


def test_a_missing_data_set_without_network_names_both_ways_out(call, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "one.toml").write_text("dataset = 'mnist'\nepochs = 1\n")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    code, _, err = call("train", "one.toml", "--data-dir", str(tmp_path / "nothing"))

    assert code == 2
    assert "--data-dir" in one_line(err)
    assert "mnist_sample" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimiser = 'sgd'\n", "one.toml: unknown knob 'optimiser', did you mean 'optimizer'?"),
        ("learning_rate = -1\n", "learning_rate: "),
        ("dropout_rate = 0.5\n", "dropout_rate"),
        ("model = 'resnet'\n", "model: unknown choice 'resnet', did you mean 'alexnet'?"),
        ("epochs = =", "not valid TOML"),
    ],
)
def test_a_wrong_config_is_refused_with_its_knob(call, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "one.toml").write_text(text)
    code, _, err = call("train", "one.toml")

    assert code == 2
    assert message in one_line(err)


def test_a_trial_that_does_not_exist_is_named(call, tmp_path: Path) -> None:
    driver = open_driver(SweepFolder(tmp_path / "results", "bowl"), small_spec(trials=2))
    driver.start({})
    Simulation(driver).run()
    code, _, err = call("reproduce", "bowl", "--trial", "7")

    assert code == 2
    assert "no trial '7'" in one_line(err)


def test_a_sweep_that_is_not_over_has_no_best(call, tmp_path: Path) -> None:
    open_driver(SweepFolder(tmp_path / "results", "bowl"), small_spec())
    code, _, err = call("reproduce", "bowl")

    assert code == 2
    assert "sweeps resume bowl" in one_line(err)


def test_a_sweep_that_ended_without_a_winner_is_not_told_to_resume(call, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "results", "bowl")
    driver = open_driver(
        folder, small_spec(target="functions:nan_at_half", trials=1, space={"x": {"float": [0.6, 0.9]}})
    )
    driver.start({})
    Simulation(driver).run()
    driver.record(Noted("outcome", {"winner": None, "reason": "none survived"}))
    code, _, err = call("reproduce", "bowl")

    assert code == 2
    assert "has no winner: name a trial by its number" in one_line(err)


def test_wrong_use_is_code_2(call) -> None:
    assert call("run")[0] == 2
    assert call("run", "quickstart", "--trials", "many")[0] == 2
    assert call("fly")[0] == 2


def test_the_bare_command_is_its_help(call) -> None:
    code, out, err = call()

    assert (code, err) == (0, "")
    assert "Usage: sweeps" in out


def test_help_lists_every_command_and_the_exit_codes(call) -> None:
    code, out, _ = call("--help")

    assert code == 0
    for word in ("run", "resume", "list", "show", "reproduce", "train", "clean", "Exit codes"):
        assert word in out


def test_the_list_tells_what_is_over_what_stopped_and_what_a_driver_works_on(call, tmp_path: Path) -> None:
    for name in ("done", "left", "driven"):
        swept(tmp_path / "results", name, trials=2, trials_begun=None if name == "done" else 1)
    with lease(SweepFolder(tmp_path / "results", "driven").lease, "driven"):
        _, out, _ = call("list")
        states = {sweep["name"]: sweep["state"] for sweep in json.loads(call("list", "--json")[1])}

    assert states == {"done": "over", "left": "stopped", "driven": "running"}
    told = {line.split()[0]: line for line in out.splitlines()}
    assert "loss" in told["done"]
    assert "stopped: `sweeps resume left` continues it" in told["left"]
    assert told["driven"].rstrip().endswith("running")


def test_a_trial_of_a_sweep_that_stopped_is_told_as_halted(call, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "results", "left")
    driver = open_driver(folder, small_spec(name="left"))
    driver.start({})
    driver.next_leg()

    assert "1 halted" in call("list")[1]
    assert "halted" in call("show", "left")[1]
    with lease(folder.lease, "left"):
        assert "1 running" in call("list")[1]


def test_an_empty_results_folder_lists_nothing(call) -> None:
    code, out, _ = call("list")

    assert code == 0
    assert "no sweeps in" in out
