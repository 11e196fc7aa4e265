"""Writing of point clouds as PLY files, binary, which every viewer of surfaces reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from torch import Tensor
from torch_geometric.data import Data


def record(item: Data) -> dict[str, Any]:
    """Take the points of a graph, and its name.

    Raises:
        ValueError: If it has no finite points in the plane or in space.
    """
    pos = item.get("pos")
    if not isinstance(pos, Tensor) or pos.dim() != 2 or pos.size(1) not in (2, 3) or not bool(pos.isfinite().all()):
        got = list(pos.shape) if isinstance(pos, Tensor) else "none"
        raise ValueError(f"a .ply file takes finite points, pos [N, 2] or [N, 3], but got {got}")
    name = item.get("name")
    return {"pos": pos.detach().cpu().float(), "name": name if isinstance(name, str) else ""}


def save(records: Callable[[], Iterable[dict[str, Any]]], path: Path, format: str) -> None:
    """Write one cloud to a file; points in the plane get the height 0.

    Raises:
        ValueError: If there are several.
    """
    clouds = [*records()]
    if len(clouds) != 1:
        raise ValueError(f"a .ply file takes one cloud, but there are {len(clouds)}: write .ply.zip, a file for each")
    path.write_bytes(_encoded(clouds[0]["pos"]))


def save_zip(records: Callable[[], Iterable[dict[str, Any]]], path: Path, format: str) -> None:
    """Write an archive with a file for each cloud, ``1.ply``, ``2.ply`` and so on, with its name if it has one."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for number, made in enumerate(records(), start=1):
            name = "".join(letter if letter.isalnum() or letter in "-_ ." else "_" for letter in made["name"])[:100]
            archive.writestr(f"{number}{'-' if name else ''}{name}.ply", _encoded(made["pos"]))


def _encoded(pos: Tensor) -> bytes:
    points = np.zeros((len(pos), 3), "<f4")
    points[:, : pos.shape[1]] = pos.numpy()
    header = "\n".join(
        [
            "ply", "format binary_little_endian 1.0", f"element vertex {len(points)}",
            "property float x", "property float y", "property float z", "end_header", "",
        ]
    )  # fmt: skip
    return header.encode("ascii") + points.tobytes()
