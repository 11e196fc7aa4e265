"""Reading of surfaces and scanned points, ``.off .obj .ply .stl``, as point clouds; surfaces are sampled by area."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.attributes import add_notes
from graphscore.data.readers import Record, extension

if TYPE_CHECKING:
    import trimesh

NUM_POINTS = 2048
"""Points of a surface, unless another number is given."""


def read_mesh(path: Path, points: int | None = None) -> Iterator[Record]:
    """Read a file of a surface or of points as one cloud.

    A surface gives points uniform by area, the same at each reading: the random numbers are seeded by the content of
    the file. A file without faces gives its points as they are.

    Args:
        path: File ``.off``, ``.obj``, ``.ply`` or ``.stl``, text or binary; materials and textures are not read.
        points: Number of points of a surface, by default :data:`NUM_POINTS`.

    Yields:
        One record: a graph with ``pos`` ``[N, 3]`` float32 in the unit of the file, no edges, and the name of the file.

    Raises:
        ValueError: If the number of points is not positive, or the file is not in its format.
    """
    if points is not None and points < 1:
        raise ValueError(f"Expected at least one point of a surface, but got {points}")
    content = path.read_bytes()
    kind = extension(path).removeprefix(".")
    loaded = _load(content, kind, path)
    yield "surface" if hasattr(loaded, "faces") else "points", lambda: _cloud(loaded, content, points, path)


def _load(content: bytes, kind: str, path: Path) -> Any:
    """Load a mesh or a cloud of points."""
    try:
        import trimesh
    except ImportError as error:
        raise ImportError(f'Reading {path} needs trimesh: pip install "graphscore[clouds]"') from error
    try:
        loaded: Any = trimesh.load(io.BytesIO(content), file_type=kind, process=False, skip_materials=True)
        loaded = loaded.to_mesh() if isinstance(loaded, trimesh.Scene) else loaded
    except Exception as error:  # of a damaged file, its parsers raise errors of many types
        raise ValueError(f"Cannot read {path} as a surface: {type(error).__name__}: {error}") from error
    vertices = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))))
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices):
        raise ValueError(f"Cannot read {path} as a surface: it has no points in space")
    faces = np.asarray(getattr(loaded, "faces", np.zeros((0, 3), int)))
    if faces.size and not 0 <= faces.min() <= faces.max() < len(vertices):  # trimesh before 5 takes it
        raise ValueError(f"Cannot read {path} as a surface: a face has vertex {faces.max()} of {len(vertices)}")
    # The parsers take a file that ends early as it is.
    found = {"vertex": len(vertices), "face": len(faces)}
    for element, number in _announced(content, kind).items():
        if found[element] < number:
            raise ValueError(
                f"Cannot read {path}: it announces {number} of its {element} lines, but has {found[element]}"
            )
    return loaded


def _announced(content: bytes, kind: str) -> dict[str, int]:
    """Numbers of vertices and faces that the header of an OFF or PLY file announces."""
    if kind == "ply":
        header = content.partition(b"end_header")[0]
        return {name.decode(): int(number) for name, number in re.findall(rb"element\s+(vertex|face)\s+(\d+)", header)}
    if kind == "off":
        numbers = re.search(rb"OFF\s*(\d+)\s+(\d+)", re.sub(rb"#[^\n]*", b"", content[:4096]))
        return dict(zip(("vertex", "face"), map(int, numbers.groups()), strict=True)) if numbers else {}
    return {}


def _cloud(loaded: trimesh.Trimesh | trimesh.PointCloud, content: bytes, points: int | None, path: Path) -> Data:
    """Sample a surface, or take the points as they are."""
    faces = getattr(loaded, "faces", None)
    pos = np.asarray(loaded.vertices) if faces is None else _sampled(loaded, zlib.crc32(content), points or NUM_POINTS)
    if not np.isfinite(pos).all():
        raise ValueError("it has coordinates that are not finite")
    edges = torch.empty(2, 0, dtype=torch.long)
    graph = Data(pos=torch.from_numpy(np.ascontiguousarray(pos, dtype=np.float32)), edge_index=edges, name=path.stem)
    if faces is None and points is not None and points != len(pos):
        add_notes(graph, f"it has {len(pos)} points and no faces to sample {points} from")
    return graph


def _sampled(mesh: Any, seed: int, points: int) -> NDArray[np.float64]:
    """Sample points uniformly by area."""
    from trimesh.sample import sample_surface

    if not np.isfinite(mesh.vertices).all() or not mesh.area > 0:
        raise ValueError("its faces have no area to sample points from")
    return np.asarray(sample_surface(mesh, points, seed=seed)[0])
