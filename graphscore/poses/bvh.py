"""Motion files ``.bvh``: reading of the poses of all frames, and writing of poses as frames.

A BVH file has the offsets of a skeleton and the rotations of its joints in each frame. Rotations do not follow from
positions alone: here each bone turns from its direction in the first pose by the smallest rotation relative to the bone
before it, so that the first pose has no rotation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.attributes import add_notes
from graphscore.data.readers import Record
from graphscore.poses.names import known_names
from graphscore.poses.skeleton import bone_lengths, check_parents, lengths_of, skeleton, with_bone_lengths
from graphscore.runtime.atomic import replacing

if TYPE_CHECKING:
    import pybvh

FRAME_TIME = 1 / 30
TOLERANCE = 1e-4
"""Largest difference of positions, in metres, of a written file from the poses."""
CENTIMETRES = (30.0, 700.0)
"""Sizes of a skeleton (longest path between joints) that are taken as centimetres; smaller ones are metres."""
HELPER = "_to_"
ORDER = "ZYX"


def read_bvh(path: Path, unit: float | None = None) -> Iterator[Record]:
    """Read each frame of a BVH file as a pose.

    Nodes at no distance from their parent are one joint with it. Usual names of joints are those of
    :data:`~graphscore.poses.skeleton.JOINTS`, others are kept; the end of a last bone is named after its joint.

    Args:
        path: The file.
        unit: Metres in the unit of the file. By default a skeleton of 30 to 700 units is taken to be in centimetres,
            and a smaller one in metres; a note says so.

    Yields:
        Records of frames: graphs of :func:`~graphscore.poses.skeleton.skeleton` with ``pos`` in metres.

    Raises:
        ValueError: If the file is not a BVH file, a number is not finite, or the unit is none.
        ImportError: If pybvh is not installed.
    """
    motion = _load(path)
    nodes = list(motion.nodes)
    pos = motion.node_positions()
    offsets = np.array([node.offset for node in nodes], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(pos).all((1, 2)))
    if not np.isfinite(offsets).all() or len(bad):
        place = f"frame {bad[0] + 1}" if len(bad) else "an OFFSET"
        raise ValueError(f"Cannot read {path} as BVH: a number of {place} is not finite")
    place_of = {id(node): number for number, node in enumerate(nodes)}
    lengths = np.linalg.norm(offsets, axis=1)
    joint_of, kept = list[int](), list[int]()
    for number, node in enumerate(nodes):
        parent = None if node.parent is None else place_of[id(node.parent)]
        merged = parent is not None and lengths[number] < 1e-9
        joint_of.append(joint_of[parent] if merged and parent is not None else len(kept))
        kept += [] if merged else [number]
    parents = [-1 if nodes[k].parent is None else joint_of[place_of[id(nodes[k].parent)]] for k in kept]
    names = known_names([_name(nodes[k]) for k in kept])
    scale, note = _unit(lengths[kept], parents, unit, path)
    body = skeleton(names, parents, torch.from_numpy(lengths[kept] * scale))
    for frame, placed in enumerate(torch.from_numpy(pos[:, kept] * scale).float(), start=1):
        yield f"frame {frame}", lambda placed=placed: _pose(body, placed, note)


def write_bvh(poses: Sequence[Data], path: str | Path, frame_time: float = FRAME_TIME) -> None:
    """Write poses as the frames of a BVH file in metres, and check them by reading the file back.

    Joints with several bones get a helper without length for each, since their bones turn independently.

    Args:
        poses: Poses of one skeleton. Errors of its bone lengths of up to 2 % are removed from the positions, bone by
            bone from the root on; a BVH file has bones of fixed lengths.
        path: File ``*.bvh``; one that exists is replaced.
        frame_time: Seconds from frame to frame.

    Raises:
        ValueError: If there are no poses, they have different skeletons, or the lengths of bones differ by more.
        ImportError: If pybvh is not installed.
    """
    module, path = _module(path), Path(path)
    names, parents, pos = _checked(poses)
    tree = _Tree(module, names, parents, pos)
    angles = module.rotations.rotmat_to_euler(np.stack(tree.turns, axis=1), ORDER)
    motion = module.Bvh(tree.nodes, pos[:, 0], angles, frame_time, world_up="+y")
    with TemporaryDirectory() as folder:
        written = Path(folder, "poses.bvh")
        module.write_bvh_file(motion, written)
        back = torch.stack([make()["pos"] for _, make in read_bvh(written, 1.0)]).numpy()
        if back.shape != pos.shape or np.abs(back - pos).max() > TOLERANCE:
            raise ValueError(f"Positions read back from {path} differ from the poses")
        with replacing(path) as temporary:
            temporary.write_bytes(written.read_bytes())


class _Tree:
    """Nodes of a BVH file and their rotations in each frame.

    Args:
        module: The package pybvh.
        names: Names of the joints.
        parents: Parents of the joints.
        pos: Positions ``[T, N, 3]``.

    Attributes:
        nodes: The nodes in the order of the file.
    """

    def __init__(self, module: Any, names: Sequence[str], parents: Sequence[int], pos: NDArray[np.float64]) -> None:
        self.kinds, self.names = module.bvhnode, names
        self.bones = pos - pos[:, np.maximum(parents, 0)]
        self.children = [
            [child for child, other in enumerate(parents) if other == joint] for joint in range(len(names))
        ]
        self.still = np.broadcast_to(np.eye(3), (len(pos), 3, 3))
        self.nodes: list[Any] = []
        self.turns: list[NDArray[np.float64]] = []
        root = self.kinds.BvhRoot(names[0], np.zeros(3), ["X", "Y", "Z"], [*ORDER])
        self._grow(0, root, self.still)

    def _grow(self, joint: int, node: Any, before: NDArray[np.float64]) -> None:
        """Add the node of a joint and all nodes after it, given the rotation of those before."""
        number = self._add(node)
        below = self.children[joint]
        if not below:
            self.nodes.append(self.kinds.BvhEndSite(f"{self.names[joint]}_end", np.zeros(3), node))
            node.children = [self.nodes[-1]]
        for child in below:
            holder, turning = node, number
            if len(below) > 1:
                name = f"{self.names[joint]}{HELPER}{self.names[child]}"
                holder = self._child(name, np.zeros(3), node)
                turning = self._add(holder)
            rest = self.bones[0, child]
            after = _smallest_rotation(before @ rest, self.bones[:, child]) @ before
            self.turns[turning] = np.swapaxes(before, 1, 2) @ after
            self._grow(child, self._child(self.names[child], rest, holder), after)

    def _child(self, name: str, offset: NDArray[np.float64], parent: Any) -> Any:
        node = self.kinds.BvhJoint(name, offset, [*ORDER], [], parent)
        parent.children = [*parent.children, node]
        return node

    def _add(self, node: Any) -> int:
        """Add a node without rotation, and return its number among those that turn."""
        self.nodes.append(node)
        self.turns.append(self.still)
        return len(self.turns) - 1


def _load(path: Path) -> pybvh.Bvh:
    module = _module(path)
    try:
        return module.read_bvh_file(path, world_up="+y")
    except Exception as error:  # of a damaged file, its parser raises errors of many types
        raise ValueError(f"Cannot read {path} as BVH: {error}") from error


def _module(path: str | Path) -> Any:
    try:
        import pybvh
    except ImportError as error:
        raise ImportError(f'{path} needs pybvh: pip install "graphscore[poses]"') from error
    return pybvh


def _name(node: Any) -> str:
    return f"{node.parent.name}_end" if node.is_end_site() else node.name


def _unit(lengths: NDArray[np.float64], parents: Sequence[int], unit: float | None, path: Path) -> tuple[float, str]:
    """Metres in a unit of the file, and a note if that was guessed."""
    if unit is not None:
        if not 0 < unit < np.inf:
            raise ValueError(f"The unit must be a positive number of metres, but is {unit}")
        return unit, ""
    from_root = np.zeros(len(lengths))
    for joint, parent in enumerate(parents):
        from_root[joint] = lengths[joint] + (from_root[parent] if parent >= 0 else -lengths[joint])
    size = float(np.sort(from_root)[-2:].sum())
    low, high = CENTIMETRES
    if size > high:
        raise ValueError(
            f"Cannot read {path}: its skeleton is {size:.0f} units long, which are neither metres nor centimetres; "
            "give the unit in Python: read_bvh(path, unit=0.001)"
        )
    if size < low:
        return 1.0, ""
    return 0.01, f"lengths are taken as centimetres: the longest way along the bones is {size:.0f} units"


def _pose(body: Data, pos: torch.Tensor, note: str) -> Data:
    item = body.clone()
    item.pos = pos
    return add_notes(item, *([note] if note else []))


def _checked(poses: Sequence[Data]) -> tuple[list[str], list[int], NDArray[np.float64]]:
    """Names, parents and positions of poses of one skeleton, with bones of equal lengths."""
    if not poses:
        raise ValueError("Expected poses to write, but there are none")
    first = poses[0]
    names, parents = list(first.joint_names), first.parent.tolist()
    check_parents(names, parents)
    if any(list(item.joint_names) != names or item.parent.tolist() != parents for item in poses):
        raise ValueError("A BVH file has poses of one skeleton, but these have others")
    pos = torch.stack([item["pos"] for item in poses]).double()
    found, lengths = bone_lengths(pos, first.parent), lengths_of(first).double()
    off = ((found - lengths).abs() / lengths.clamp(min=1e-3)).amax(1)
    worst = int(off.argmax())
    if off[worst] > 0.02:
        raise ValueError(
            f"A BVH file has bones of fixed lengths, but one of pose {worst} is off by {float(off[worst]):.1%}; fit "
            "them by graphscore.poses.skeleton.with_bone_lengths"
        )
    return names, parents, with_bone_lengths(pos, first.parent, lengths).numpy()


def _smallest_rotation(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations ``[T, 3, 3]`` that turn directions onto others by the smallest angle, by Rodrigues' formula."""
    start, end = (v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12) for v in (start, end))
    axis, cosine = np.cross(start, end), (start * end).sum(-1)[:, None, None]
    cross = np.zeros((len(axis), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]], cross[:, [1, 2, 0], [2, 0, 1]] = axis, -axis
    turned = np.eye(3) + cross + cross @ cross / np.maximum(1 + cosine, 1e-12)
    # Opposite directions: half a turn about any axis at right angles.
    other = np.cross(start, np.eye(3)[np.abs(start).argmin(-1)])
    other /= np.maximum(np.linalg.norm(other, axis=-1, keepdims=True), 1e-12)
    half = 2 * other[:, :, None] * other[:, None] - np.eye(3)
    return np.where(cosine < -1 + 1e-9, half, turned)
