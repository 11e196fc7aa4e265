"""Comparison of sets of point clouds, against brute force and known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphscore.clouds.comparison import compare_sets, occupancy_divergence
from graphscore.clouds.distances import chamfer_distance
from graphscore.experiment.evaluation.two_sample import nearest_neighbor_hits


def sets(num: int, shift: float = 0.0, seed: int = 0) -> list[torch.Tensor]:
    """Clouds of 6 points about centres of their own."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 2, generator=draw) + shift + 0.1 * torch.randn(6, 2, generator=draw) for _ in range(num)]


def test_all_scores_are_those_of_brute_force():
    references, generated, told = sets(9), sets(9, 0.3, seed=1), list[tuple[int, int]]()
    scores = compare_sets(references, generated, progress=lambda done, of: told.append((done, of)))
    assert told == sorted(told) and told[-1] == (1000, 1000)
    between = [[chamfer_distance(a, b) for b in generated] for a in references]
    nearest = {min(range(9), key=lambda i: between[i][j]) for j in range(9)}
    assert scores["coverage"] == pytest.approx(len(nearest) / 9)
    assert scores["recall"] == pytest.approx(np.mean([min(row) for row in between]))
    assert scores["precision"] == pytest.approx(np.mean([min(column) for column in zip(*between, strict=True)]))
    pool = [(cloud, kind) for kind, clouds in enumerate((references, generated)) for cloud in clouds]
    right = 0
    for k, (cloud, kind) in enumerate(pool):
        _, found = min((chamfer_distance(cloud, other), of) for i, (other, of) in enumerate(pool) if i != k)
        right += found == kind
    assert scores["nearest_neighbor_accuracy"] == pytest.approx(right / 18)
    low, high = scores["nearest_neighbor_accuracy_ci"]
    assert low <= right / 18 <= high and low < high


def test_references_and_generated_clouds_are_not_swapped():
    mode = [torch.zeros(2, 2) + 0.01 * k for k in range(4)]
    scores = compare_sets([*mode, *(cloud + 10 for cloud in mode)], [mode[0]] * 8)  # half of the references is missed
    assert scores["coverage"] == 1 / 8 and scores["precision"] == 0
    assert scores["recall"] == pytest.approx((sum(0.01 * k for k in range(4)) * 2 + 40) * 2**0.5 / 8)


def test_sets_that_differ_are_told_apart_and_copies_are_called_copies():
    references = sets(20)
    assert compare_sets(references, sets(20, 50.0))["nearest_neighbor_accuracy"] == 1
    copies = compare_sets(references, [cloud + 1e-6 for cloud in references])
    assert copies["nearest_neighbor_accuracy"] == 0
    assert "copies" in copies["notes"][0]
    assert not compare_sets(references, sets(20, seed=3))["notes"]  # an accuracy of 42 %, by chance


def test_a_tie_counts_half():
    table = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert nearest_neighbor_hits(table, table, np.ones((2, 2))).tolist() == [0.5] * 4


def test_sets_of_different_sizes_have_no_accuracy():
    scores = compare_sets(sets(4), sets(5, seed=1))
    assert scores["nearest_neighbor_accuracy"] is None and "5 and 4" in scores["notes"][0]
    with pytest.raises(ValueError, match="got 5 and 4"):
        nearest_neighbor_hits(np.zeros((4, 4)), np.zeros((5, 5)), np.zeros((4, 5)))
    with pytest.raises(ValueError, match="0 and 1"):
        compare_sets([], sets(1))


def test_occupancy_by_hand():
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert occupancy_divergence([corners], [corners], 2) == 0
    assert occupancy_divergence([corners], [corners + 7], 2) == pytest.approx(np.log(2))
    # Shares of the cells (1/2, 1/2) and (1, 0): the middle is (3/4, 1/4).
    half = 0.5 * (0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)) + 0.5 * np.log(1 / 0.75)
    assert occupancy_divergence([corners], [corners * 0.1], 2) == pytest.approx(half)
