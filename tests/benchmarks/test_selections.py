"""Tests of the resampled selections: published results follow from the tables, and a stopped live sweep resumes."""

import random
from pathlib import Path
from types import SimpleNamespace

import live_selections
import pandas as pd
import pytest
from selections import METRICS, SEED, TABLES, read, selection, spec_of, summary

import sweeps
from study.seeds import derive_seed

COUNT = 2000  # as published


def test_a_published_line_comes_out_again_from_its_table() -> None:
    task, metric, arm = "leaders", "validation_accuracy", "quickstart"
    told = pd.read_parquet(TABLES / "coverage.parquet").set_index(["task", "metric", "arm"]).loc[task, metric, arm]
    table, spec = read(task, metric), spec_of(metric, arm)
    draws = (random.Random(derive_seed(SEED, task, metric, number)) for number in range(COUNT))
    found = [outcome for draw in draws if (outcome := selection(spec, table, draw)) is not None]
    again = summary(found, 1 if METRICS[metric] == "maximize" else -1)

    assert told["selections"] == COUNT
    assert told[list(again)].tolist() == pytest.approx(list(again.values()))


def test_a_live_sweep_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = SimpleNamespace(history=SimpleNamespace(outcome=None))
    monkeypatch.setattr(sweeps, "load", lambda name, results: stopped)
    monkeypatch.setattr(sweeps, "resume", lambda name, results: f"{name} in {results}")

    assert live_selections.swept(tmp_path, 2) == f"live-2 in {tmp_path}"
