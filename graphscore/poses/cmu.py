"""Data set of human poses from motion capture of CMU; its data card is ``datasets/cmu_poses/README.md``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, embedded_file, with_coordinates
from graphscore.data.formats.npz import TEXT, WHOLE, read_npz
from graphscore.data.split import PARTS
from graphscore.poses.skeleton import bone_lengths, skeleton

FOLDER, FILE = "cmu_poses", "cmu_poses.npz"
UNIT = 1e-4
"""Resolution of the stored positions, in metres."""
LEFT_OUT = 10
"""Of so many consecutive frames of a training clip, one is left out of the training part."""
GROUP = 5
"""Poses of a group: consecutive frames."""
_ARRAYS = {
    "joint": (TEXT, 1), "parent": (WHOLE, 1), "clip": (TEXT, 1), "action": (TEXT, 1), "part": (TEXT, 1),
    "length": (WHOLE, 1), "steps": (WHOLE, 3),
}  # fmt: skip


class Clip(NamedTuple):
    """A clip: consecutive poses of one person, 30 in a second.

    Attributes:
        name: Action and number.
        action: Such as ``"walking"``.
        part: ``"train"``, ``"val"`` or ``"test"``.
        pos: Positions ``[T, N, 3]`` float32 in metres: hips at the origin, y up.
    """

    name: str
    action: str
    part: str
    pos: Tensor


def read_clips(path: str | Path | None = None) -> tuple[Data, list[Clip]]:
    """Read the skeleton, which is that of all clips, and the clips.

    Args:
        path: Data file; by default the embedded one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not such a data file.
    """
    path = Path(embedded_file(FOLDER, FILE) if path is None else path)
    arrays = read_npz(path, _ARRAYS, path)
    names, parents, steps = (arrays[key] for key in ("joint", "parent", "steps"))
    labels = [arrays[key].tolist() for key in ("clip", "action", "part")]
    ends = np.cumsum(arrays["length"], dtype=np.int64)
    clips = []
    for name, action, part, moves in zip(*labels, np.split(steps, ends[:-1], axis=2), strict=True):
        # Changes from frame to frame, after the first frame; the hips, which stay at the origin, are not stored.
        pos = moves.astype(np.int64).cumsum(2).transpose(2, 0, 1) * UNIT
        clips.append(Clip(name, action, part, torch.from_numpy(np.pad(pos, ((0, 0), (1, 0), (0, 0)))).float()))
    parent = torch.from_numpy(parents.astype(np.int64))
    lengths = torch.stack([bone_lengths(clip.pos.double(), parent).mean(0) for clip in clips]).mean(0)
    return skeleton(names.tolist(), parents.tolist(), lengths), clips


class CmuPoses(Dataset):
    """Poses of people who walk, run, jump, play and signal, from motion capture, on one skeleton of 28 joints.

    A graph has ``pos`` ``[28, 3]`` float32 in metres, hips at the origin and y up, and the attributes of
    :func:`~graphscore.poses.skeleton.skeleton`. All share the tensors of the skeleton. The test part has the authors'
    test clips, the validation part other clips of theirs for training, held out as a whole.

    Args:
        path: Data file; by default the embedded one.
        every: Take one of so many frames of each clip.
        transform: Applied once to the skeleton.

    Attributes:
        name: ``"cmu-poses"``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a data file, or ``every`` is not positive.
    """

    name = "cmu-poses"

    def __init__(self, path: str | Path | None = None, every: int = 1, transform: Transform | None = None) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, but is {every}")
        body, clips = read_clips(path)
        self._groups: dict[str, list[list[Data]]] = {part: [] for part in PARTS}
        self._held_out: list[Data] = []
        graph = body if transform is None else transform(body)
        for clip in clips:
            out = torch.arange(len(clip.pos)) % LEFT_OUT == LEFT_OUT // 2
            pos = clip.pos
            if clip.part == "train":
                self._held_out += with_coordinates(graph, pos[out], None)
                pos = pos[~out]
            self._groups[clip.part] += [with_coordinates(graph, few, None) for few in pos[::every].split(GROUP)]

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        return self._groups[part]

    def held_out_frames(self) -> list[Data]:
        """Return the frames that are left out of training clips: one of ten, not far from those before and after.

        Generated poses can be compared with them pose by pose, which no model tells apart from training poses unless
        it has memorised these.
        """
        return self._held_out
