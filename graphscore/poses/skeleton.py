"""Skeletons: named joints and the bones between them, as graphs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

JOINTS = (
    "hips",
    "left_hip",
    "left_knee",
    "left_ankle",
    "left_foot",
    "left_toes",
    "right_hip",
    "right_knee",
    "right_ankle",
    "right_foot",
    "right_toes",
    "spine",
    "chest",
    "neck",
    "head",
    "head_top",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "left_hand",
    "left_fingers",
    "left_thumb",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "right_hand",
    "right_fingers",
    "right_thumb",
)
"""Joints with a meaning of their own; the number of a joint is its place here plus one, and 0 stands for all others."""


def skeleton(names: Sequence[str], parents: Sequence[int], lengths: Tensor) -> Data:
    """Make the graph of a skeleton: a node for each joint and two directed edges for each bone.

    Args:
        names: Name of each joint.
        parents: Number of each joint's parent ``[N]``, -1 for the root, which comes first; each comes after its parent.
        lengths: Length of the bone from the parent to each joint ``[N]``, in metres; that of the root is ignored.

    Returns:
        A graph with ``joint`` ``[N]``, places in :data:`JOINTS` plus one, or 0; ``parent`` ``[N]``; ``edge_index``
        ``[2, 2 (N - 1)]``, all bones from parents to children, then from children to parents; ``length``, of each
        edge in metres; and ``joint_names``.

    Raises:
        ValueError: If the names, parents and lengths are not of one skeleton.
    """
    check_parents(names, parents)
    if lengths.shape != (len(names),):
        raise ValueError(f"Expected a bone length for each of {len(names)} joints, but got shape {list(lengths.shape)}")
    parent = torch.tensor(list(parents), dtype=torch.long)
    child = torch.arange(1, len(names))
    known = {name: number for number, name in enumerate(JOINTS, start=1)}
    return Data(
        joint=torch.tensor([known.get(name, 0) for name in names]),
        parent=parent,
        joint_names=list(names),
        edge_index=torch.stack([torch.cat([parent[1:], child]), torch.cat([child, parent[1:]])]),
        length=lengths[1:].float().repeat(2),
        num_nodes=len(names),
    )


def check_parents(names: Sequence[str], parents: Sequence[int]) -> None:
    """Check that joints form one tree, listed from the root on.

    Raises:
        ValueError: If a number of joints differs, two have one name, or a parent does not come before its child.
    """
    if len(names) != len(parents) or not names:
        raise ValueError(f"Expected joints with a parent each, but got {len(names)} names and {len(parents)} parents")
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ValueError(f"Two joints have the name {twice!r}")
    for number, parent in enumerate(parents):
        if not (parent == -1 if number == 0 else 0 <= parent < number):
            raise ValueError(
                f"The parent of joint {number} ({names[number]}) must be an earlier joint (-1 for the root, which is "
                f"joint 0), but is {parent}"
            )


def bone_lengths(pos: Tensor, parent: Tensor) -> Tensor:
    """Compute the lengths of bones: the distance of each joint to its parent, 0 for the root.

    Args:
        pos: Positions ``[..., N, 3]``.
        parent: Parents ``[N]``, -1 for the root.

    Returns:
        Shape ``[..., N]``.
    """
    return torch.linalg.vector_norm(pos - pos[..., parent.clamp(min=0), :], dim=-1) * (parent >= 0)


def lengths_of(pose: Data) -> Tensor:
    """Read the lengths of the bones of a skeleton: ``[N]``, of the bone from the parent to each joint, 0 for the root.

    Raises:
        ValueError: If the graph has no bones with lengths that lead to all joints.
    """
    if pose.edge_index is None or pose.get("length") is None:
        raise ValueError("The pose has no lengths of bones: length [E] beside edge_index")
    source, target = pose.edge_index
    forward = pose.parent[target] == source
    if int(forward.sum()) != int((pose.parent >= 0).sum()):
        raise ValueError("The edges of the pose are not the bones from its parents to their children")
    return pose.length.new_zeros(len(pose.parent)).index_put((target[forward],), pose.length[forward])


def with_bone_lengths(pos: Tensor, parent: Tensor, lengths: Tensor, given: Tensor | None = None) -> Tensor:
    """Give bones their lengths and keep their directions, walking from the root to the ends.

    Args:
        pos: Positions ``[..., N, 3]``.
        parent: Parents ``[N]``, -1 for the root; each joint comes after its parent.
        lengths: Length of the bone to each joint ``[N]``; that of the root is ignored.
        given: Joints that stay where they are, bool ``[N]``, as do those between them and the root.

    Returns:
        New positions, with the root where it was. A bone between joints at one place points up.
    """
    parents = parent.tolist()
    held = [False] * len(parents) if given is None else given.tolist()
    for joint in reversed(range(1, len(parents))):
        held[parents[joint]] |= held[joint]
    fitted, up = pos.clone(), pos.new_tensor([0.0, 1.0, 0.0])
    for joint, place in enumerate(parents):
        if place >= 0 and not held[joint]:
            bone = pos[..., joint, :] - pos[..., place, :]
            size = torch.linalg.vector_norm(bone, dim=-1, keepdim=True)
            direction = torch.where(size > 0, bone / size.clamp(min=torch.finfo(pos.dtype).tiny), up)
            fitted[..., joint, :] = fitted[..., place, :] + lengths[joint].to(pos) * direction
    return fitted
