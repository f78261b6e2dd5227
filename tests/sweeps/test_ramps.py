"""Tests of range tests from the command line: stored with their config, drawn, and refused in one line."""

import json
from pathlib import Path

import pytest

from study.config import TrialConfig
from sweeps.errors import SpecError
from sweeps.terminal.ramps import range_test

PNG = b"\x89PNG"


def test_a_range_test_is_stored_with_its_config_and_drawn(tmp_path: Path) -> None:
    config = TrialConfig(batch_size=32, optimizer="adam")
    found = range_test(config, tmp_path, None, low=1e-5, high=1.0, steps=40)
    folder = tmp_path / "custom_cnn/lr_range_1"
    stored = json.loads((folder / "lr_range.json").read_text())

    assert found["stored"] == str(folder)
    assert stored == {key: list(v) if isinstance(v, tuple) else v for key, v in found.items() if key != "stored"}
    assert TrialConfig(**stored["config"]) == config
    assert stored["environment"]["dataset"] == "mnist_sample"
    assert 1e-5 <= stored["low"] < stored["high"] <= 1.0
    assert (folder / "lr_range.png").read_bytes().startswith(PNG)


def test_a_second_test_takes_nothing_from_the_first(tmp_path: Path) -> None:
    found = [
        range_test(TrialConfig(batch_size=32, seed=seed), tmp_path, None, low=1e-5, high=1.0, steps=40)
        for seed in (0, 1)
    ]

    assert [Path(test["stored"]).name for test in found] == ["lr_range_1", "lr_range_2"]
    assert json.loads((Path(found[0]["stored"]) / "lr_range.json").read_text())["config"]["seed"] == 0


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (50.0, 1000.0, "custom_cnn with nesterov: the loss diverged after .* start the ramp lower"),
        (1.0, 0.1, "custom_cnn with nesterov: a ramp needs 0 < low < high"),
    ],
)
def test_a_ramp_without_a_suggestion_says_why_and_stores_nothing(
    tmp_path: Path, low: float, high: float, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        range_test(TrialConfig(batch_size=32), tmp_path, None, low=low, high=high, steps=40)

    assert list(tmp_path.iterdir()) == []
