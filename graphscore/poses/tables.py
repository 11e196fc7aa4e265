"""Tables of joints, ``.csv`` and ``.npz``: reading and writing of poses with the names and parents of their joints.

A ``.csv`` file has a line for each joint of each pose, ``pose,joint,parent,length,x,y,z``: the number of the pose,
names of joint and parent (empty for the root), and metres. An ``.npz`` file has the arrays ``joints`` ``[N]`` (names),
``parents`` ``[N]`` (numbers, -1 for the root), ``lengths`` ``[N]`` and ``pos`` ``[T, N, 3]``. Positions that are empty
or NaN are unknown, and can be completed. ``length`` and ``lengths`` may be left out where positions tell them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import with_coordinates
from graphscore.poses.skeleton import bone_lengths, lengths_of, skeleton
from graphscore.runtime.atomic import replacing

COLUMNS = ("pose", "joint", "parent", "length", "x", "y", "z")
FORMATS = (".csv", ".npz")


def read_joints(path: str | Path) -> list[Data]:
    """Read poses of one skeleton from a table of joints.

    Args:
        path: File ``*.csv`` or ``*.npz``, see above.

    Returns:
        Graphs of :func:`~graphscore.poses.skeleton.skeleton` with ``pos`` float32 in metres.

    Raises:
        ValueError: If the file has another extension or content; the message names the line of a ``.csv`` file.
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    names, parents, lengths, pos = (_read_csv if _format(path) == ".csv" else _read_npz)(path)
    try:
        measured = bone_lengths(pos.double(), torch.tensor([*parents]))
        guessed = torch.nanmean(measured, 0)
        lengths = torch.where(lengths.isnan(), guessed, lengths)
        lengths[0] = 0.0
        if bool(lengths.isnan().any()):
            missing = names[int(lengths.isnan().nonzero()[0])]
            raise ValueError(f"the length of the bone to {missing} is not given, and its ends are known in no pose")
        return with_coordinates(skeleton(names, parents, lengths), pos.float(), None)
    except ValueError as error:
        raise ValueError(f"Cannot read {path}: {error}") from error


def write_joints(poses: Sequence[Data], path: str | Path) -> None:
    """Write poses of one skeleton as a table of joints.

    Args:
        poses: Poses with ``joint_names``, ``parent``, ``length`` of the bones and ``pos``.
        path: File ``*.csv`` or ``*.npz``; one that exists is replaced.

    Raises:
        ValueError: If there are no poses, they have different skeletons, or the file has another extension.
    """
    path = Path(path)
    kind = _format(path)
    if not poses:
        raise ValueError("Expected poses to write, but there are none")
    names, parents = list(poses[0].joint_names), poses[0].parent.tolist()
    if any(list(item.joint_names) != names or item.parent.tolist() != parents for item in poses):
        raise ValueError("A table has poses of one skeleton, but these have others")
    lengths, pos = lengths_of(poses[0]).numpy(), torch.stack([item["pos"] for item in poses]).numpy()
    with replacing(path) as temporary:
        if kind == ".npz":
            with temporary.open("wb") as stream:
                np.savez_compressed(stream, joints=np.array(names), parents=parents, lengths=lengths, pos=pos)
            return
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            for number, pose in enumerate(pos, start=1):
                for joint, (name, parent, place) in enumerate(zip(names, parents, pose, strict=True)):
                    shown = ["" if math.isnan(value) else str(value) for value in place]
                    table.writerow([number, name, "" if parent < 0 else names[parent], str(lengths[joint]), *shown])


def _format(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f"Expected a table of joints {' or '.join(FORMATS)}, but got {path}")
    return kind


def _read_npz(path: Path) -> tuple[list[str], list[int], Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            names, parents, pos = (file[key] for key in ("joints", "parents", "pos"))
            lengths = file["lengths"] if "lengths" in file else np.full(len(names), np.nan)
    except FileNotFoundError:
        raise
    except Exception as error:  # of a damaged file, numpy and zipfile raise errors of many types
        raise ValueError(f"Cannot read {path} as poses: expected arrays joints, parents and pos ({error})") from error
    count = len(names)
    shapes = (names.shape, parents.shape, lengths.shape, pos.shape[1:])
    if shapes != ((count,), (count,), (count,), (count, 3)) or pos.dtype.kind != "f" or parents.dtype.kind not in "iu":
        raise ValueError(
            f"Cannot read {path}: expected joints [N], whole parents [N], lengths [N] and real pos [T, N, 3], but they "
            f"have shapes {', '.join(map(str, (names.shape, parents.shape, lengths.shape, pos.shape)))}"
        )
    if np.isinf(pos).any() or (lengths[1:] < 0).any():
        raise ValueError(f"Cannot read {path}: positions must be finite or NaN, and lengths not negative")
    return (
        [str(name) for name in names],
        [int(parent) for parent in parents],
        torch.from_numpy(lengths.astype(np.float64)),
        torch.from_numpy(pos),
    )


def _read_csv(path: Path) -> tuple[list[str], list[int], Tensor, Tensor]:
    names, parents, lengths, rows = list[str](), list[int](), list[float](), list[list[float]]()
    with path.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.reader(stream)
        header = [name.strip() for name in next(table, [])]
        if [name for name in header if name != "length"] != [name for name in COLUMNS if name != "length"]:
            raise ValueError(f"Cannot read {path}, line 1: expected the columns {','.join(COLUMNS)}, but got {header}")
        for line in table:
            where = f"Cannot read {path}, line {table.line_num}"
            if len(line) != len(header):
                raise ValueError(f"{where}: expected {len(header)} fields, but got {len(line)}")
            row = dict(zip(header, (field.strip() for field in line), strict=True))
            joint, pose = row["joint"], _number(row["pose"], where)
            if pose == 1 and len(rows) == len(names):  # the first pose has the skeleton
                if joint in names:
                    raise ValueError(f"{where}: there are two joints {joint!r}")
                if row["parent"] and row["parent"] not in names:
                    raise ValueError(f"{where}: the parent {row['parent']!r} of {joint!r} is no joint before it")
                names.append(joint)
                parents.append(names.index(row["parent"]) if row["parent"] else -1)
                lengths.append(_number(row.get("length", ""), where))
                rows.append([_number(row[axis], where) for axis in "xyz"])
                continue
            if not names or pose != len(rows) // len(names) + 1 or joint != names[len(rows) % len(names)]:
                raise ValueError(f"{where}: expected poses numbered from 1, with the joints of the first in its order")
            rows.append([_number(row[axis], where) for axis in "xyz"])
    if not rows or len(rows) % len(names):
        raise ValueError(f"Cannot read {path}: it ends before the last pose has all {len(names)} joints")
    pos = torch.tensor(rows, dtype=torch.float64).view(-1, len(names), 3)
    return names, parents, torch.tensor(lengths, dtype=torch.float64), pos


def _number(text: str, where: str) -> float:
    """A finite number; NaN for an empty field."""
    try:
        value = float(text or "nan")
    except ValueError as error:
        raise ValueError(f"{where}: expected a number, but got {text!r}") from error
    if math.isinf(value):
        raise ValueError(f"{where}: expected a finite number, but got {text!r}")
    return value
