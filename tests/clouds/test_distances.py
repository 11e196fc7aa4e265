"""Distances of point clouds, against brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from graphscore.clouds.distances import CONVENTIONS, chamfer_distance, distance_table, earth_movers_distance


def clouds(sizes: list[int], dim: int, seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(size, dim, generator=draw) for size in sizes]


def test_chamfer_distances_by_hand():
    first, second = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    there = (3 + 10**0.5) / 2
    assert chamfer_distance(first, second) == pytest.approx((there + 3) / 2)
    assert chamfer_distance(first, second, squared=True) == pytest.approx((9 + 10) / 2 + 9)
    assert chamfer_distance(first, first) == 0
    assert chamfer_distance(first, second) == chamfer_distance(second, first)


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_the_table_of_chamfer_distances_is_that_of_all_pairs_of_points(dim):
    first, second = clouds([1, 4, 7], dim), clouds([3, 5], dim, seed=1)
    for name, power, share in (("chamfer", 1, 0.5), ("chamfer-squared", 2, 1.0)):
        table = distance_table(first, second, name)
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                pairs = torch.cdist(a.double(), b.double()) ** power
                expected = share * (pairs.min(0).values.mean() + pairs.min(1).values.mean())
                assert table[i, j] == pytest.approx(float(expected), rel=1e-12)


def test_the_earth_movers_distance_is_the_best_of_all_matchings():
    for first, second in zip(clouds([1, 3, 6], 3), clouds([1, 3, 6], 3, seed=1), strict=True):
        pairs = torch.cdist(first.double(), second.double())
        best = min(float(pairs[range(len(order)), list(order)].mean()) for order in permutations(range(len(first))))
        assert earth_movers_distance(first, second) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("name", list(CONVENTIONS))
def test_a_table_within_a_set_is_symmetric_and_reports_its_progress(name):
    some, told = clouds([5, 5, 5, 5], 3), list[tuple[int, int]]()
    table = distance_table(some, some, name, lambda done, of: told.append((done, of)))
    np.testing.assert_allclose(table, distance_table(some, list(some), name), rtol=1e-12, atol=1e-15)
    assert (table == table.T).all() and (table.diagonal() == 0).all()
    assert told[-1][0] == told[-1][1] and told == sorted(told)


def test_what_has_no_distance_is_refused():
    one, other = torch.zeros(3, 2), torch.zeros(4, 2)
    with pytest.raises(ValueError, match=r"cloud 0 has the shape \[0, 2\]"):
        chamfer_distance(torch.zeros(0, 2), one)
    with pytest.raises(ValueError, match=r"clouds of \[2, 3\]"):
        chamfer_distance(one, torch.zeros(3, 3))
    with pytest.raises(ValueError, match="3 to 4 points"):
        earth_movers_distance(one, other)
    with pytest.raises(ValueError, match="cloud 0 has others"):
        chamfer_distance(one / 0, other)
    with pytest.raises(ValueError, match="'chamfers'"):
        distance_table([one], [other], "chamfers")
