"""Splits by key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphscore.data.split import part_of, some_of, split_by_key

KEYS = [f"key {i}" for i in range(2000)]


def test_known_assignment_never_changes():
    """Any platform, any version: data sets and papers depend on it."""
    assert [part_of(key) for key in ("CCO", "c1ccccc1", "C", "", "é")] == [0, 0, 0, 0, 1]
    assert split_by_key(["b", "a", "b"], (0.5, 0.5), seed=3) == ([1], [0, 2])


@given(st.lists(st.text(max_size=4)), st.integers(0, 100))
def test_parts_are_disjoint_complete_and_respect_keys(keys: list[str], seed: int):
    parts = split_by_key(keys, seed=seed)
    assert sorted(i for part in parts for i in part) == list(range(len(keys)))
    assert len({(keys[i], p) for p, part in enumerate(parts) for i in part}) == len(set(keys))


def test_adding_items_moves_no_other():
    few, many = split_by_key(KEYS[:500]), split_by_key(KEYS)
    assert all([i for i in b if i < 500] == a for a, b in zip(few, many, strict=True))


def test_shares_and_seeds():
    sizes = [len(part) for part in split_by_key(KEYS)]
    # Three standard deviations of a binomial count.
    assert abs(sizes[0] - 1600) < 3 * (2000 * 0.8 * 0.2) ** 0.5
    assert abs(sizes[1] - 200) < 3 * (2000 * 0.1 * 0.9) ** 0.5
    assert split_by_key(KEYS, seed=1) != split_by_key(KEYS, seed=2)
    assert split_by_key(KEYS, (1, 0, 0)) == (list(range(2000)), [], [])


@pytest.mark.parametrize("fractions", [(0.5, 0.4), (1.5, -0.5), ()])
def test_fractions_must_be_shares(fractions: tuple[float, ...]):
    with pytest.raises(ValueError, match="sum to 1"):
        part_of("C", fractions)


def test_some_of_many_depend_on_the_seed_alone_and_keep_their_order():
    items = list(range(1000))
    chosen = some_of(items, 100, seed=3)
    assert len(set(chosen)) == 100 and chosen == sorted(chosen) == some_of(items, 100, seed=3)
    assert chosen != some_of(items, 100, seed=4) and 350 < sum(chosen) / 100 < 650  # not the first ones
    assert some_of(items, None) == some_of(items, 1000) == items and some_of([], 5) == []
