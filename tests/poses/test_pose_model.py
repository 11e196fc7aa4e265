"""Sampling of poses: the root, the bones, and the joints that are given."""

from __future__ import annotations

import pytest
import torch

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import load_config
from graphscore.poses.cmu import CmuPoses
from graphscore.poses.metrics import bone_errors, compare_poses, joint_positions, mean_joint_distances
from graphscore.poses.model import PoseModel
from graphscore.poses.skeleton import JOINTS, skeleton
from graphscore.runtime.checkpoint import Checkpoint, save_checkpoint

TINY = [
    "fields.0.scale=0.3",
    "network.backbone={name: egnn, hidden_channels: 8, num_layers: 1, cond_channels: 8}",
    "sampling={num_steps: 4}",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained network."""
    config = load_config("poses", TINY)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(config)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    info = {"known": {"joint": list(range(1, 29)), "hops": list(range(1, 9))}}
    save_checkpoint(path, Checkpoint(dict(network.state_dict()), config.model_dump(mode="json"), info))
    return PoseModel.load(path, device="cpu")


@pytest.fixture(scope="module")
def pose():
    return CmuPoses().split("val")[100]


def test_sampled_poses_have_their_root_at_the_origin_and_the_bones_of_the_skeleton(model, pose):
    (plain,) = model.sample(pose, num=2, repair=False)
    (repaired,) = model.sample(pose, num=2)
    for before, after in zip(plain.samples, repaired.samples, strict=True):
        assert before.pos[0].tolist() == after.pos[0].tolist() == [0, 0, 0]
        assert (
            after.bone_length_error == pytest.approx(bone_errors([before])[0], rel=1e-4) and bone_errors([after]) < 1e-4
        )
        assert not torch.equal(before.pos, after.pos)


@pytest.mark.parametrize("method", ["moments", "resampling"])
def test_given_joints_stay_and_free_ends_get_their_lengths(model, pose, method):
    hidden = [JOINTS.index(name) for name in ("left_elbow", "left_wrist", "left_hand", "left_fingers", "left_thumb")]
    knee = JOINTS.index("right_knee")  # between given joints: it keeps its sampled place
    partial = pose.clone()
    partial.pos = pose.pos + 2.0
    partial.pos[[*hidden, knee]] = torch.nan
    (outcome,) = model.sample(partial, num=2, complete=method)
    (plain,) = model.sample(partial, num=2, complete=method, repair=False)
    seen = ~partial.pos.isnan().all(1)
    for sample, before in zip(outcome.samples, plain.samples, strict=True):
        assert torch.equal(sample.pos[seen], partial.pos[seen])
        assert torch.equal(sample.pos[knee], before.pos[knee])
        ends = [float((sample.pos[joint] - sample.pos[sample.parent[joint]]).norm()) for joint in hidden]
        wanted = [float(pose.length[joint - 1]) for joint in hidden]
        assert ends == pytest.approx(wanted, rel=1e-4)


def test_skeletons_with_joints_that_the_model_does_not_know_are_refused(model):
    body = skeleton(["hips", "tail"], [-1, 0], torch.ones(2))
    (outcome,) = model.sample(body)
    assert "joint of row 1 is 0, but the model was trained on" in outcome.failure


def test_the_shipped_model_makes_poses_of_people_and_completes_them(pose):
    """They are less than half as far from the nearest real pose as real poses are from each other on average."""
    shipped, data = PoseModel.load("poses", device="cpu"), CmuPoses()
    (outcome,) = shipped.sample(pose, num=40, repair=False)
    real = data.held_out_frames()
    assert bone_errors(outcome.samples).mean() < 0.05
    apart = mean_joint_distances(joint_positions(real[::50]), joint_positions(real[25::50])).mean()
    assert compare_poses(real, outcome.samples)["precision"] < 0.5 * apart
    partial = data.split("test")[700].clone()
    truth = partial.pos.clone()
    markers = [
        JOINTS.index(name) for name in ("hips", "head", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
    ]
    partial.pos[[joint for joint in range(28) if joint not in markers]] = torch.nan
    (outcome,) = shipped.sample(partial, num=2, num_steps=12, complete="moments")
    assert max((sample.pos - truth).norm(dim=1).mean() for sample in outcome.samples) < 0.06
