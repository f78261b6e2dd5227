"""Tests of search spaces: every sample is valid, and every space that is written reads back equal."""

import random
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import search_spaces
from search_spaces import Choice, Constant, Float, FloatBy, Int, RangeTest, SearchSpace, SpaceError
from study.config import TrialConfig

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")


@st.composite
def floats(draw: st.DrawFn, when: dict[str, Any]) -> Float:
    log = draw(st.booleans())
    low = draw(st.floats(1e-6, 1e3) if log else st.floats(-1e6, 1e6))
    high = low + draw(st.floats(abs(low) * 1e-3 + 1e-3, abs(low) + 1e6))
    step = None if log or draw(st.booleans()) else (high - low) / draw(st.integers(1, 20))
    return Float(low, high, log=log, step=step, when=when)


@st.composite
def ints(draw: st.DrawFn, when: dict[str, Any]) -> Int:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 1000))
    step = 1 if log else draw(st.integers(1, 5))
    high = low + draw(st.integers(step, 1000))
    default = draw(st.none() | st.integers(0, (high - low) // step).map(lambda n: low + n * step))
    return Int(low, high, log=log, step=step, default=default, when=when)


@st.composite
def choices(draw: st.DrawFn, when: dict[str, Any]) -> Choice:
    words = st.text("abc", min_size=1, max_size=3)
    values = draw(
        st.just([False, True])
        | st.lists(st.integers(2, 9), min_size=1, max_size=4, unique=True)
        | st.lists(words, min_size=1, max_size=4, unique=True)
        | st.lists(st.floats(2.5, 9.5, exclude_min=True), min_size=1, max_size=3, unique=True)
    )
    return Choice(tuple(values), default=draw(st.none() | st.sampled_from(values)), when=when)


@st.composite
def floats_by(draw: st.DrawFn, parameters: dict[str, Any], parent: str, when: dict[str, Any]) -> FloatBy:
    plain = floats({}).filter(lambda p: p.step is None)
    return FloatBy(parent, {value: draw(plain) for value in parameters[parent].values}, when=when)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Draw a valid space of up to six parameters, with conditions up to five deep, declared in any order."""
    parameters: dict[str, Any] = {}
    for name in NAMES[: draw(st.integers(1, 6))]:
        parents = [known for known, p in parameters.items() if isinstance(p, Choice)]
        when = {}
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = parameters[parent].values
            when = {parent: tuple(draw(st.lists(st.sampled_from(values), min_size=1, unique=True)))}
        kinds = floats(when) | ints(when) | choices(when) | st.just(Constant(1.5, when=when))
        if texts := [known for known in parents if isinstance(parameters[known].values[0], str)]:
            kinds |= floats_by(parameters, draw(st.sampled_from(texts)), when)
        parameters[name] = draw(kinds)
    return SearchSpace(dict(draw(st.permutations(list(parameters.items())))))


@given(spaces(), st.integers(0, 2**32))
def test_every_sample_of_a_valid_space_is_valid(space: SearchSpace, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(5):
        space.check(space.sample(rng))


@given(spaces())
def test_the_defaults_of_a_valid_space_are_valid(space: SearchSpace) -> None:
    space.check(space.defaults())


@given(spaces())
def test_a_space_survives_a_round_trip_through_toml(space: SearchSpace) -> None:
    again = search_spaces.parse(tomllib.loads(search_spaces.dumps(space)), "round trip")

    assert again == space
    assert search_spaces.to_table(again) == search_spaces.to_table(space)


@given(spaces(), st.integers(0, 2**32))
def test_the_layout_of_a_file_does_not_change_what_is_sampled(space: SearchSpace, seed: int) -> None:
    turned = SearchSpace(dict(reversed(space.parameters.items())))

    assert turned.sample(random.Random(seed)) == space.sample(random.Random(seed))


@given(spaces(), st.integers(0, 2**32))
def test_parents_are_chosen_first_and_only_what_varies_and_is_active_is_asked(space: SearchSpace, seed: int) -> None:
    asked: list[str] = []
    rng = random.Random(seed)

    def choose(name: str, parameter: Any) -> Any:
        assert set(parameter.when) <= {*asked, *(n for n, p in space.parameters.items() if isinstance(p, Constant))}
        asked.append(name)
        return rng.choice(parameter.values) if isinstance(parameter, Choice) else parameter.default

    chosen = space.walk(choose)

    assert set(asked) == {name for name in chosen if not isinstance(space.parameters[name], Constant)}
    assert len(asked) == len(set(asked))


@given(spaces(), st.data())
def test_a_value_from_outside_is_refused_by_name(space: SearchSpace, data: st.DataObject) -> None:
    params = space.defaults()
    name = data.draw(st.sampled_from(sorted(params)))

    with pytest.raises(SpaceError, match=f"{name}: must be"):
        space.check({**params, name: "nothing of the kind"})


NESTED = SearchSpace(
    {
        "optimizer": Choice(("sgd", "adam")),
        "nesterov": Choice((True, False), when={"optimizer": ("sgd",)}),
        "momentum": Float(0.5, 0.9, when={"nesterov": (True,)}),
    }
)


BY_OPTIMIZER = SearchSpace(
    {
        "optimizer": Choice(("sgd", "adam")),
        "rate": FloatBy("optimizer", {"sgd": Float(0.01, 1.0, log=True), "adam": Float(1e-4, 1e-2, log=True)}),
    }
)


def test_a_range_by_another_parameter_is_the_one_of_its_value() -> None:
    rng = random.Random(0)
    for _ in range(100):
        params = BY_OPTIMIZER.sample(rng)
        low, high = (0.01, 1.0) if params["optimizer"] == "sgd" else (1e-4, 1e-2)
        assert low <= params["rate"] <= high
    with pytest.raises(SpaceError, match=r"rate: must be a number from 0\.0001 to 0\.01, but got 0\.5"):
        BY_OPTIMIZER.check({"optimizer": "adam", "rate": 0.5})


@given(floats({}).filter(lambda p: p.step is None), st.floats(0, 1))
def test_a_share_of_a_range_leads_back_to_itself(parameter: Float, share: float) -> None:
    assert parameter.contains(parameter.at(share))
    assert parameter.share(parameter.at(share)) == pytest.approx(share, abs=1e-6)


def test_what_a_range_test_will_bound_has_no_values_yet() -> None:
    space = SearchSpace({"optimizer": Choice(("sgd", "adam")), "rate": RangeTest()})

    assert space.defaults() == {"optimizer": "sgd"}
    space.check({"optimizer": "sgd", "rate": 0.5})
    space.check({"optimizer": "sgd"})
    assert space.replaced("rate", BY_OPTIMIZER.parameters["rate"]) == BY_OPTIMIZER


def test_a_range_by_a_choice_that_excludes_its_own_condition_is_refused() -> None:
    parameters = {
        "kind": Choice(("a", "b")),
        "optimizer": Choice(("sgd", "adam"), when={"kind": ["a"]}),
        "rate": FloatBy("optimizer", {"sgd": Float(0.1, 1.0), "adam": Float(0.1, 1.0)}, when={"kind": ["b"]}),
    }
    with pytest.raises(SpaceError, match="rate: when: it can never be active, 'kind' would have to be in"):
        SearchSpace(parameters)


def test_what_hangs_on_an_inactive_parameter_is_inactive() -> None:
    assert NESTED.walk(lambda name, p: "adam" if name == "optimizer" else p.default) == {"optimizer": "adam"}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"optimizer": "adam", "momentum": 0.7}, "momentum: has no effect here"),
        ({"optimizer": "sgd"}, "nesterov: is missing"),
        ({"optimizer": "sgd", "nesterov": 1, "momentum": 0.7}, "nesterov: must be one of True, False, but got 1"),
        ({"optimiser": "sgd"}, "no parameter 'optimiser', did you mean 'optimizer'"),
        ({"optimizer": "sgd", "nesterov": True, "momentum": 0.95}, "momentum: must be a number from 0.5 to 0.9"),
    ],
)
def test_a_configuration_of_another_space_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        NESTED.check(params)


@pytest.mark.parametrize("name", search_spaces.preset_names())
def test_every_sample_of_a_preset_is_a_config_that_can_be_trained(name: str) -> None:
    space = search_spaces.preset(name)
    rng = random.Random(0)
    for _ in range(200):
        params = space.sample(rng)
        config = TrialConfig(model=name, **params)
        given = config.model_dump(exclude_none=True)
        assert all(given[key] == value for key, value in params.items())


@pytest.mark.parametrize("name", search_spaces.preset_names())
def test_a_preset_varies_everything_the_study_can_vary(name: str) -> None:
    fixed = {
        "model",
        "dataset",
        "seed",
        "epochs",
        "seconds",
        "reports_per_epoch",
        "first_report",
        "precision",
        "device",
        "threads",
    }

    assert set(search_spaces.preset(name).parameters) == set(TrialConfig.model_fields) - fixed


def test_the_small_cnns_baseline_is_the_studys() -> None:
    defaults = search_spaces.preset("custom_cnn").defaults()

    assert TrialConfig(**defaults) == TrialConfig()


def test_people_see_parameters_in_the_order_of_their_declaration() -> None:
    space = SearchSpace({"z": Float(0.0, 1.0), "b": Choice((1, 2)), "a": Float(0.0, 1.0)})

    assert list(space.in_order({"a": 0.5, "b": 1, "z": 0.1})) == ["z", "b", "a"]
    assert space.in_order({"a": 0.5}) == {"a": 0.5}
