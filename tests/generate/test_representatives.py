"""Representatives of samples: exact costs of small cases, what they promise, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphscore.generate.representatives import representatives

SEEDS = st.integers(0, 2**32 - 1)


def points(seed: int, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64], np.random.Generator]:
    """Distances of random points in a plane, and random weights."""
    rng = np.random.default_rng(seed)
    pos = rng.normal(size=(size, 2))
    return np.linalg.norm(pos[:, None] - pos, axis=-1), rng.dirichlet(np.ones(size)), rng


def recall(chosen: list[int], distances: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Mean distance of a sample from the nearest representative."""
    return sum(weights[y] * distances[chosen, y].min() for y in range(len(weights)))


def precision(sample: int, distances: NDArray[np.float64], weights: NDArray[np.float64], num: int) -> float:
    """Mean distance from the nearest of ``num`` true samples, by a sum over all sets of them."""
    return sum(
        np.prod(weights[list(true)]) * distances[sample, list(true)].min()
        for true in itertools.product(range(len(weights)), repeat=num)
    )


@pytest.mark.parametrize("num_true", [1, 2, 3])
@pytest.mark.parametrize("balance", [0.0, 0.5, 2.0])
def test_each_is_the_best_next_one(balance: float, num_true: int):
    for seed in range(3):
        distances, weights, _ = points(seed, 6)
        for num in (1, 3):
            chosen = representatives(distances, weights, num, balance=balance, num_true=num_true)
            for known in range(num):
                costs = {
                    s: recall([*chosen[:known], s], distances, weights)
                    + balance * precision(s, distances, weights, num_true) / num
                    for s in range(6)
                    if s not in chosen[:known]
                }
                assert chosen[known] == min(costs, key=costs.__getitem__)


def test_clusters_are_represented_before_outliers():
    places = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2, 30.0])
    distances = np.abs(places[:, None] - places)
    even = np.ones(7)
    assert 6 in representatives(distances, even, 2, balance=0.0)  # which k-medoids count for much
    assert 6 not in representatives(distances, even, 3, balance=5.0)
    light = np.array([1, 1, 1, 1, 1, 1, 1e-3])
    assert {s // 3 for s in representatives(distances, light, 2)} == {0, 1}  # one of each cluster


@given(SEEDS, st.integers(0, 12), st.integers(0, 12), st.floats(0, 3))
def test_those_asked_for_come_first_and_no_others_than_may(seed: int, size: int, num: int, balance: float):
    distances, weights, rng = points(seed, size)
    among = rng.permutation(size)[: max(2, size // 2)].tolist()
    first = among[1:3]
    chosen = representatives(distances, weights, num, among, first, balance)
    assert len(set(chosen)) == len(chosen) == min(num, len(among))
    assert chosen[: len(first)] == first[:num] and set(chosen) <= set(among)


@given(SEEDS, st.floats(0.1, 10))
def test_neither_order_nor_units_matter(seed: int, unit: float):
    distances, weights, rng = points(seed, 9)
    order = rng.permutation(9)
    chosen = representatives(distances, weights, 4)
    assert representatives(unit * distances, 7 * weights, 4) == chosen
    moved = representatives(distances[order][:, order], weights[order], 4)
    assert [int(order[s]) for s in moved] == chosen


def test_arguments_out_of_range_are_refused():
    distances, weights, _ = points(0, 3)
    with pytest.raises(ValueError, match=r"distances \[n, n\] and weights \[n\], but got \[3, 2\] and \[3\]"):
        representatives(distances[:, :2], weights, 1)
    for wrong in (-weights, 0 * weights, np.array([1, np.nan, 1]), np.array([1, np.inf, 1])):
        with pytest.raises(ValueError, match="positive, finite sum"):
            representatives(distances, wrong, 1)
    for options in ({"num": -1}, {"balance": -1.0}, {"balance": np.nan}, {"num_true": 0}):
        with pytest.raises(ValueError, match="at least"):
            representatives(distances, weights, **({"num": 1} | options))  # type: ignore[arg-type]
    for options in ({"among": [3]}, {"among": [-1]}, {"among": [0, 1], "first": [2]}):
        with pytest.raises(ValueError, match="numbers of 3 samples"):
            representatives(distances, weights, 1, **options)
