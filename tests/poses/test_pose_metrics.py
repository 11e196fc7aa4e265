"""Metrics of poses, against values computed by hand and by brute force."""

from __future__ import annotations

import pytest
import torch

from graphscore.data import write
from graphscore.experiment.evaluation.files import evaluate_files
from graphscore.poses.cmu import CmuPoses
from graphscore.poses.metrics import bone_errors, compare_poses, joint_positions, mean_joint_distances
from graphscore.poses.skeleton import bone_lengths, skeleton, with_bone_lengths


def pose(*pos, lengths=(0.0, 1.0, 2.0)):
    item = skeleton(["hips", "spine", "chest"], [-1, 0, 1], torch.tensor(lengths))
    item.pos = torch.tensor(pos, dtype=torch.float)
    return item


def test_errors_of_bones_are_relative_and_averaged():
    """Bones of 1.1 and 1.5 in place of 1 and 2: off by 10 and 25 %."""
    item = pose((0, 0, 0), (0, 1.1, 0), (1.5, 1.1, 0))
    assert bone_errors([item]).tolist() == pytest.approx([0.175])
    fitted = with_bone_lengths(item.pos, item.parent, torch.tensor([0.0, 1.0, 2.0]))
    assert fitted.tolist() == [[0, 0, 0], [0, 1, 0], [2, 1, 0]]
    collapsed = with_bone_lengths(torch.ones(3, 3), item.parent, torch.tensor([0.0, 1.0, 2.0]))
    assert bone_lengths(collapsed, item.parent).tolist() == [0, 1, 2]


def test_distances_are_means_over_joints_relative_to_the_root():
    first, second = pose((5, 5, 5), (5, 6, 5), (5, 8, 5)), pose((0, 0, 0), (0, 1, 0), (2, 1, 0))
    a, b = joint_positions([first]), joint_positions([second, first])
    assert mean_joint_distances(a, b)[0] == pytest.approx([8**0.5 / 3, 0])


def test_sets_are_compared_as_by_brute_force():
    draw = torch.Generator().manual_seed(0)
    sides = [[pose(*torch.randn(3, 3, generator=draw).tolist()) for _ in range(7)] for _ in range(2)]
    scores = compare_poses(*sides, training=sides[0])
    both = [item.pos - item.pos[0] for side in sides for item in side]
    hits, table = [], [[float((a - b).norm(dim=1).mean()) for b in both] for a in both]
    for row, distances in enumerate(table):
        nearest = min((other for other in range(14) if other != row), key=lambda other: distances[other])
        hits.append((nearest < 7) == (row < 7))
    assert scores["nearest_neighbor_accuracy"] == pytest.approx(sum(hits) / 14)
    assert scores["recall"] == pytest.approx(sum(min(row[7:]) for row in table[:7]) / 7)
    assert scores["precision"] == scores["nearest_training"]
    assert scores["precision"] == pytest.approx(sum(min(row[:7]) for row in table[7:]) / 7)
    assert scores["nearest_training_of_references"] == 0


def test_real_poses_are_not_told_apart_but_moved_ones_are(tmp_path):
    items = CmuPoses().held_out_frames()
    first, second = items[::4], items[2::4]
    write(first, tmp_path / "first.pt")
    write(second, tmp_path / "second.pt")
    report = evaluate_files(tmp_path / "first.pt", tmp_path / "second.pt").report
    assert 0.4 < report["nearest_neighbor_accuracy"] < 0.6
    assert report["bone_length_error"] < 1e-3 and report["num_compared"] == 283
    for item in first:
        item.pos = item.pos + 0.1 * torch.randn(28, 3, generator=torch.Generator().manual_seed(1))
    worse = compare_poses(second, first)
    assert worse["nearest_neighbor_accuracy"] > 0.7 and worse["bone_length_error"] > 0.1


def test_poses_of_different_skeletons_are_not_compared(tmp_path):
    one, longer = pose((0, 0, 0), (0, 1, 0), (0, 2, 0)), skeleton(["hips", "x"], [-1, 0], torch.ones(2))
    longer.pos = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="other joints than the references"):
        compare_poses([one], [longer])
    with pytest.raises(ValueError, match="Pose 1: expected finite pos"):
        compare_poses([one], [one, longer])
    write([one], tmp_path / "a.pt")
    longer.pos[1] = torch.nan
    write([longer], tmp_path / "b.pt")
    with pytest.raises(ValueError, match="Pose 0: expected finite pos"):
        evaluate_files(tmp_path / "b.pt", tmp_path / "a.pt")
