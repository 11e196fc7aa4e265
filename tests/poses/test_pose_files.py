"""Motion files and tables of joints: what is written is read again, and damaged files are refused by their line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphscore.data import read
from graphscore.domains import domain_of
from graphscore.poses.bvh import read_bvh, write_bvh
from graphscore.poses.cmu import CmuPoses
from graphscore.poses.skeleton import bone_lengths, lengths_of, skeleton, with_bone_lengths
from graphscore.poses.tables import COLUMNS, read_joints, write_joints

ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT LeftArm
  {
    OFFSET 0 20 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT Fixed
    {
      OFFSET 0 0 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT LeftForeArm
      {
        OFFSET 30 0 0
        CHANNELS 3 Zrotation Xrotation Yrotation
        End Site
        {
          OFFSET 10 0 0
        }
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
5 0 0 90 0 0 -90 0 0 0 0 0 0 0 90
"""


@pytest.fixture(scope="module")
def poses():
    return CmuPoses().split("val")[::99]


def file(tmp_path: Path, text: str, name: str = "x.bvh") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_positions_follow_from_rotations_as_computed_by_hand(tmp_path):
    """Turned by 90 degrees about z, up is to the left; the arm turns back; then the forearm's end points to -z."""
    pytest.importorskip("pybvh")
    first, second = read(file(tmp_path, ARM)).items
    assert first.joint_names == ["hips", "left_shoulder", "left_elbow", "LeftForeArm_end"]  # Fixed has no length
    assert first.parent.tolist() == [-1, 0, 1, 2] and lengths_of(first).tolist() == pytest.approx([0, 0.2, 0.3, 0.1])
    expected = torch.tensor([[0, 0, 0], [0, 0.2, 0], [0.3, 0.2, 0], [0.4, 0.2, 0]])
    torch.testing.assert_close(first.pos, expected)
    moved = torch.tensor([[0.05, 0, 0], [-0.15, 0, 0], [0.15, 0, 0], [0.15, 0, -0.1]])
    torch.testing.assert_close(second.pos, moved, rtol=0, atol=1e-6)
    assert domain_of(first).name == "poses" and "taken as centimetres" in first.notes[0]
    (metres, _) = [make() for _, make in read_bvh(file(tmp_path, ARM), 1.0)]
    torch.testing.assert_close(metres.pos, 100 * expected)


@pytest.mark.parametrize("end", [1, 12])
def test_a_written_motion_has_the_same_positions(tmp_path, poses, end):
    pytest.importorskip("pybvh")
    lengths = lengths_of(poses[0])
    for item in (poses := [item.clone() for item in poses[:end]]):
        item.pos = with_bone_lengths(item.pos.double(), item.parent, lengths).float() + 0.5
    write_bvh(poses, tmp_path / "x.bvh")
    back = read(tmp_path / "x.bvh").items
    assert len(back) == end and back[0].joint_names == poses[0].joint_names
    assert all((a.pos - b.pos).abs().max() < 1e-4 for a, b in zip(poses, back, strict=True))
    torch.testing.assert_close(back[0].length, poses[0].length, rtol=0, atol=1e-5)
    assert torch.equal(back[0].joint, poses[0].joint) and torch.equal(back[0].edge_index, poses[0].edge_index)


def test_bones_that_turn_around_are_written(tmp_path):
    """Half a turn has no smallest rotation: any will do."""
    pytest.importorskip("pybvh")
    body, items = skeleton(["hips", "a", "b"], [-1, 0, 1], torch.tensor([0.0, 1.0, 1.0])), []
    for y in (1.0, -1.0):
        items.append(body.clone())
        items[-1].pos = torch.tensor([[0, 0, 0], [0, y, 0], [0, 2 * y, 0]])
    write_bvh(items, tmp_path / "x.bvh")
    assert [item.pos[2, 1] for item in read(tmp_path / "x.bvh").items] == pytest.approx([2, -2])


def test_poses_that_no_motion_can_hold_are_refused(tmp_path, poses):
    pytest.importorskip("pybvh")
    stretched = poses[0].clone()
    stretched.pos = 1.05 * stretched.pos
    with pytest.raises(ValueError, match=r"bone.* of pose 1 is off by 5\.\d%.*with_bone_lengths"):
        write_bvh([poses[0], stretched], tmp_path / "x.bvh")
    other = skeleton(["hips", "a"], [-1, 0], torch.ones(2))
    other.pos = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="have others"):
        write_bvh([poses[0], other], tmp_path / "x.bvh")
    with pytest.raises(ValueError, match="there are none"):
        write_bvh([], tmp_path / "x.bvh")
    assert not (tmp_path / "x.bvh").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("OFFSET 30 0 0", "OFFSET 30 0", "joint LeftForeArm, at line 14"),
        ("CHANNELS 3 Zrotation Xrotation Yrotation", "CHANNELS 2 Zrotation Xrotation", "joint LeftArm, at line 6"),
        ("Frames: 2", "Frames: 3", "3 frames"),
        ("-90 0 0 0 0 0 0 0 90", "-90 0 0 0 0 0 0 0", "column"),
        ("5 0 0 90", "5 0 x 90", "x"),
        ("5 0 0 90", "5 nan 0 90", "frame 2 is not finite"),
        ("ROOT", "STEM", "outside any ROOT"),
        ("OFFSET 0 20 0", "OFFSET 0 2000 0", "neither metres nor centimetres"),
    ],
)
def test_damaged_motion_files_are_refused(tmp_path, old, new, message):
    pytest.importorskip("pybvh")
    path = file(tmp_path, ARM.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as caught:
        list(read_bvh(path))
    assert "x.bvh" in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_tables_give_poses_back_to_the_bit(tmp_path, poses, kind):
    poses = [item.clone() for item in poses[:3]]
    poses[1].pos[4:7] = torch.nan
    write_joints(poses, tmp_path / f"x.{kind}")
    back = read_joints(tmp_path / f"x.{kind}")
    for item, other in zip(poses, back, strict=True):
        assert torch.equal(item.pos.nan_to_num(9), other.pos.nan_to_num(9))
        assert torch.equal(item.length, other.length) and item.joint_names == other.joint_names


def test_lengths_are_measured_where_a_table_has_none(tmp_path, poses):
    pos = torch.stack([item.pos for item in poses])
    pos[0, 3] = torch.nan
    np.savez(tmp_path / "x.npz", joints=poses[0].joint_names, parents=poses[0].parent, pos=pos)
    measured = bone_lengths(pos[1:].double(), poses[0].parent).mean(0).float()
    torch.testing.assert_close(lengths_of(read_joints(tmp_path / "x.npz")[0]), measured, rtol=0, atol=1e-4)
    np.savez(tmp_path / "x.npz", joints=poses[0].joint_names, parents=poses[0].parent, pos=pos[:1])
    with pytest.raises(ValueError, match="bone to left_ankle is not given"):
        read_joints(tmp_path / "x.npz")


TABLE = "pose,joint,parent,x,y,z\n1,hips,,0,0,0\n1,spine,hips,0,1,0\n2,hips,,1,0,0\n2,spine,hips,1,1,0\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pose,joint", "frame,joint", f"line 1: expected the columns {','.join(COLUMNS)}"),
        ("1,spine,hips", "1,spine,hip", "line 3: the parent 'hip' of 'spine'"),
        ("1,spine,hips,0,1,0", "1,spine,hips,0,1", "line 3: expected 6 fields, but got 5"),
        ("2,hips,,1", "2,hips,,one", "line 4: expected a number, but got 'one'"),
        ("2,hips,,1", "2,hips,,inf", "line 4: expected a finite number"),
        ("2,hips", "3,hips", "line 4: expected poses numbered from 1"),
        ("2,spine,hips,1,1,0\n", "", "before the last pose has all 2 joints"),
        ("1,spine,hips", "1,hips,hips", "line 3: there are two joints 'hips'"),
    ],
)
def test_damaged_tables_are_refused_by_their_line(tmp_path, old, new, message):
    assert [item.pos[1].tolist() for item in read_joints(file(tmp_path, TABLE, "x.csv"))] == [[0, 1, 0], [1, 1, 0]]
    with pytest.raises(ValueError, match=message):
        read_joints(file(tmp_path, TABLE.replace(old, new, 1), "x.csv"))


def test_other_archives_and_formats_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", pos=np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="arrays joints, parents and pos"):
        read_joints(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", joints=["a", "b"], parents=[-1, 0], pos=np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="they have shapes"):
        read_joints(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"\.csv or \.npz"):
        read_joints(tmp_path / "x.txt")
