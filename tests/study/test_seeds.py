"""Tests of seeds: they are functions of their purpose, the same on every machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.seeds import derive_seed

parts = st.lists(st.integers() | st.text(), max_size=4)


def test_a_derived_seed_is_the_same_on_every_machine_and_for_ever() -> None:
    assert derive_seed(0, "init") == 904252692530172607


@given(parts, parts)
def test_two_lists_of_parts_share_a_seed_only_where_they_are_equal(one: list[int | str], two: list[int | str]) -> None:
    assert (derive_seed(*one) == derive_seed(*two)) == (one == two)


@given(parts)
def test_a_seed_is_one_that_torch_and_sql_take(of: list[int | str]) -> None:
    assert 0 <= derive_seed(*of) < 2**63


@given(parts, st.integers(1, 63))
def test_a_seed_fits_the_bits_that_are_asked_for(of: list[int | str], bits: int) -> None:
    assert 0 <= derive_seed(*of, bits=bits) < 2**bits


@pytest.mark.parametrize("part", [True, 1.5, None])
def test_a_seed_is_not_derived_from_other_kinds(part: object) -> None:
    with pytest.raises(TypeError, match="whole numbers and words"):
        derive_seed(part)  # type: ignore[arg-type]
