"""The embedded poses, their skeleton, and the graphs that the network sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphscore.data import load_dataset
from graphscore.domains import domain_of
from graphscore.poses.cmu import CmuPoses, read_clips
from graphscore.poses.skeleton import JOINTS, bone_lengths, skeleton
from graphscore.poses.transforms import PoseGraph


@pytest.fixture(scope="module")
def poses() -> CmuPoses:
    return load_dataset("cmu-poses")


def test_clips_are_split_as_a_whole_but_for_held_out_frames(poses):
    _, clips = read_clips()
    frames = {part: sum(len(clip.pos) for clip in clips if clip.part == part) for part in ("train", "val", "test")}
    assert frames == {"train": 11_295, "val": 2_157, "test": 3_528}
    assert {part: poses.size(part)[0] for part in ("val", "test")} == {"val": 2_157, "test": 3_528}
    held_out = poses.held_out_frames()
    assert poses.size("train")[0] + len(held_out) == 11_295 and len(held_out) == 1_131
    seen = {tuple(item.pos.flatten().tolist()) for item in poses.split("train")}
    # Two repeat the frame before, where the person stands still.
    assert sum(tuple(item.pos.flatten().tolist()) in seen for item in held_out) == 2


def test_poses_are_those_of_upright_people_with_constant_bones(poses):
    items = poses.split("test")[::40]
    pos = torch.stack([item.pos for item in items])
    assert torch.equal(pos[:, 0], torch.zeros(len(items), 3))
    place = {name: number for number, name in enumerate(JOINTS)}
    assert ((pos[:, place["head"]] - pos[:, place["left_foot"]])[:, 1] > 0.6).all()  # some crouch
    lengths = bone_lengths(pos, items[0].parent)
    given = torch.zeros(28).index_put((items[0].edge_index[1, :27],), items[0].length[:27])
    assert (lengths - given).abs().max() < 2e-4  # positions are stored in tenths of millimetres
    left, right = ([n for n in JOINTS if n.startswith(side)] for side in ("left", "right"))
    assert [name[5:] for name in left] == [name[6:] for name in right]
    assert given[place["left_knee"]] == pytest.approx(0.43, abs=0.01)


def test_a_pose_is_recognised_and_shares_its_skeleton(poses):
    first, second = poses.split("val")[:2]
    assert domain_of(first).name == "poses" and first.edge_index is second.edge_index
    assert first.joint.tolist() == list(range(1, 29)) and first.joint_names == list(JOINTS)
    assert len(load_dataset("cmu-poses", every=7).split("val")) == 313


def test_a_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", joint=np.zeros(3))
    with pytest.raises(ValueError, match=r"Expected the arrays .* in .*x\.npz, but .* are missing"):
        read_clips(tmp_path / "x.npz")


def test_a_skeleton_is_one_tree_from_the_root():
    body = skeleton(["hips", "tail", "head"], [-1, 0, 0], torch.tensor([0.0, 0.5, 0.25]))
    assert body.joint.tolist() == [1, 0, 15] and body.length.tolist() == [0.5, 0.25] * 2
    assert body.edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]]
    for parents in ([-1, 2, 0], [-1, 0, -1], [0, 0, 0]):
        with pytest.raises(ValueError, match="must be an earlier joint"):
            skeleton(["hips", "tail", "head"], parents, torch.ones(3))
    with pytest.raises(ValueError, match="name 'head'"):
        skeleton(["head", "head"], [-1, 0], torch.ones(2))
    with pytest.raises(ValueError, match="for each of 2 joints"):
        skeleton(["hips", "head"], [-1, 0], torch.ones(3))


def test_the_network_sees_near_joints_and_hubs_with_their_paths():
    """On a chain with a branch: 0-1-2-3-4, and 5 on 2."""
    body = skeleton(list("abcdef"), [-1, 0, 1, 2, 3, 2], torch.tensor([0.0, 1.0, 2.0, 4.0, 8.0, 16.0]))
    graph = PoseGraph(max_hops=1, hubs=1, most_hops=1)(body)
    pairs = dict(zip(map(tuple, graph.edge_index.t().tolist()), graph.reach.tolist(), strict=True))
    bones = {(0, 1): 1, (1, 2): 2, (2, 3): 4, (3, 4): 8, (2, 5): 16}
    expected = {pair: [float(length), float(length)] for pair, length in bones.items()}
    expected |= {(0, 2): [3.0, 0.0], (2, 4): [12.0, 0.0]}  # joint 2 is the hub
    assert pairs == expected | {(j, i): reach for (i, j), reach in expected.items()}
    assert set(graph.hops.tolist()) == {1} and "length" not in graph and "length" in body
    assert PoseGraph(max_hops=9)(body).num_edges == 30
    body.edge_index[:, [0, 5]] = 4
    with pytest.raises(ValueError, match="not connected"):
        PoseGraph()(body)
    del body.length
    with pytest.raises(ValueError, match="the length of each"):
        PoseGraph()(body)
