"""Tests of suggestions: none repeats while a configuration is left, and the same history gives the same ones."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import small_spec

from study.measurement import Measurement
from sweeps.search.history import Asked, History, Measured, Moved, Stamp, TrialKey
from sweeps.search.suggestion import suggest, trial_seed
from sweeps.spec import SweepSpec

SAMPLERS = ("random", "tpe", "qmc")
SCALARS = st.sampled_from([True, False, 0, 1, 2, 0.5, 1.5, "a", "b", "1"])


@st.composite
def finite_spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a space of at most 24 configurations, one parameter of which may depend on another."""
    first = draw(st.lists(SCALARS, min_size=1, max_size=3, unique_by=lambda value: (type(value) is str, value)))
    low, count = draw(st.integers(-50, 50)), draw(st.integers(1, 3))
    place = draw(st.sampled_from([1, 10, 100, 1000]))
    stepped = {"float": [low / place, (low + 7 * count) / place], "step": 7 / place}
    space: dict[str, Any] = {"kind": {"choice": first}, "x": stepped}
    if draw(st.booleans()):
        space["layers"] = {"int": [1, 2], "log": True, "when": {"kind": [first[0]]}}
    return space


def suggested(spec: SweepSpec, count: int) -> list[Mapping[str, Any]]:
    """Return the first suggestions of a search in which every trial completes, with losses that depend on them."""
    history = History()
    found = []
    for number in range(count):
        params = suggest(spec, history, number)
        found.append(params)
        loss = len(json.dumps(params)) + number % 3
        key = TrialKey(number)
        for row in (
            Asked(key, params, trial_seed(spec, number), 0),
            Measured(key, Measurement(1, 1, 9.0, 0.0, {"loss": loss})),
            Moved(key, "complete", "full fidelity"),
        ):
            history.apply(Stamp(history.last.seq + 1, 0.0), row)
    return found


def by_meaning(params: Mapping[str, Any]) -> str:
    """Return a text that tells configurations apart: 1, 1.0 and True are three values, and 0.3 is one."""
    return json.dumps(dict(sorted(params.items())))


@settings(max_examples=30, deadline=None)
@given(table=finite_spaces(), sampler=st.sampled_from(SAMPLERS), seed=st.integers(0, 9))
def test_in_a_finite_space_each_configuration_is_tried_once_before_any_is_tried_again(
    table: dict[str, Any], sampler: str, seed: int
) -> None:
    spec = small_spec(space=table, sampler=sampler, seed=seed)
    count = spec.space.count(1000)
    found = [by_meaning(params) for params in suggested(spec, count + 2)]

    assert len(set(found[:count])) == count
    assert max(Counter(found).values()) > 1
    assert found == [by_meaning(params) for params in suggested(spec, count + 2)]


@pytest.mark.parametrize(("sampler", "at_least"), [("random", 14), ("qmc", 14), ("tpe", 9)])  # TPE prefers "a" here
def test_where_a_coarse_choice_repeats_what_has_no_end_is_drawn_again(sampler: str, at_least: int) -> None:
    table = {"kind": {"choice": ["a", "b"]}, "x": {"float": [0.0, 1.0], "when": {"kind": ["b"]}}}
    found = [by_meaning(params) for params in suggested(small_spec(space=table, sampler=sampler, seed=3), 16)]

    assert len(set(found)) >= at_least
