"""Data sets of points on surfaces, ``bodies`` and ``household``; their data cards are in ``datasets/``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore import ops
from graphscore.data.dataset import Dataset, Part, Transform, embedded_file, with_coordinates
from graphscore.data.formats.npz import REAL, TEXT, WHOLE, read_npz
from graphscore.rng import GraphGenerator

UNIT = 1 / 127
"""Resolution of the stored points, in half extents of a shape."""
CATEGORIES = (
    "Bathroom", "Bedroom", "Characters", "Doors and windows", "Exterior", "Kitchen",
    "Lights", "Living room", "Miscellaneous", "Office", "Staircases", "Vehicles",
)  # fmt: skip
"""Categories of household objects, by their number."""


def pack_points(points: NDArray[np.floating]) -> NDArray[np.int8]:
    """Round points to :data:`UNIT` and sort them, so that they compress well.

    Args:
        points: Points ``[shapes, P, 3]`` from -1 to 1.

    Returns:
        Integers ``[3, shapes, P]``: points sorted by their coordinates, the first coordinate as differences.
    """
    cells = np.round(np.asarray(points, np.float64) / UNIT).astype(np.int64)
    if np.abs(cells).max(initial=0) > 127:
        raise ValueError(f"Expected points from -1 to 1, but the largest is {np.abs(points).max():.3f}")
    cells = np.stack([cloud[np.lexsort(cloud.T[::-1])] for cloud in cells])
    first = cells[:, :, 0]
    return np.concatenate([_steps(first)[None], cells[:, :, 1:].transpose(2, 0, 1).astype(np.int8)])


def _steps(rising: NDArray[np.int64]) -> NDArray[np.int8]:
    """Differences along each row, as bytes that wrap around; the first of a row is its start."""
    return np.diff(rising, axis=1, prepend=0).astype(np.uint8).view(np.int8)


def unpack_points(packed: NDArray[np.int8]) -> torch.Tensor:
    """Restore points ``[shapes, P, 3]`` float32 from integers of :func:`pack_points`, in a random but fixed order."""
    # Differences and sums wrap around in the same way.
    first = packed[0].view(np.uint8).cumsum(1, dtype=np.uint8).view(np.int8)
    cells = np.stack([first, packed[1], packed[2]], axis=-1)
    points = torch.from_numpy(cells.astype(np.float32) * UNIT)
    shapes, size, _ = points.shape
    owner = torch.arange(shapes).repeat_interleave(size)
    keys = ops.randn(owner, shapes, 1, dtype=torch.float64, generator=GraphGenerator(torch.arange(shapes)))
    order = keys.view(shapes, size).argsort(1)
    return points.gather(1, order[:, :, None].expand(-1, -1, 3))


class SurfaceClouds(Dataset):
    """Base of data sets of points on surfaces, stored as an embedded file.

    Args:
        num_points: Points of a cloud. The points of a training shape make as many clouds without common points as there
            are; a shape of another part makes one.
        path: Data file; by default the embedded one.
        transform: Applied once to each graph, before it gets coordinates.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a data file, or the shapes have fewer points than asked for.
    """

    folder: ClassVar[str]
    columns: ClassVar[Mapping[str, tuple[str, int]]] = {}

    def __init__(
        self, num_points: int = 256, path: str | Path | None = None, transform: Transform | None = None
    ) -> None:
        path = Path(embedded_file(self.folder, f"{self.folder}.npz") if path is None else path)
        arrays = read_npz(path, {"points": (WHOLE, 3), "part": (TEXT, 1), "name": (TEXT, 1), **self.columns}, path)
        packed, self._part = arrays["points"], arrays["part"]
        self.columns_of = {name: arrays[name] for name in ("name", *self.columns)}
        if not 1 <= num_points <= packed.shape[2]:
            raise ValueError(f"num_points must lie between 1 and the {packed.shape[2]} stored, but is {num_points}")
        self.num_points = num_points
        self.transform = transform
        self._points = unpack_points(packed)
        self._groups: dict[str, list[list[Data]]] = {}

    def rows(self, part: Part) -> list[int]:
        """Numbers of the shapes of a part in the file."""
        return np.flatnonzero(self._part == part).tolist()

    def _group(self, shape: int) -> int:
        """Group of a shape: shapes with the same input of a model are in one."""
        return 0

    def _graph(self, group: int) -> Data:
        """The graph of all shapes of a group, without points."""
        return Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=self.num_points)

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:
            groups: dict[int, list[torch.Tensor]] = {}
            for row in self.rows(part):
                clouds = self._points[row].split(self.num_points)
                some = [cloud for cloud in clouds if len(cloud) == self.num_points][: None if part == "train" else 1]
                groups.setdefault(self._group(row), []).extend(some)
            self._groups[part] = [
                with_coordinates(self._graph(group), clouds, self.transform) for group, clouds in sorted(groups.items())
            ]
        return self._groups[part]


class Bodies(SurfaceClouds):
    """Point clouds of 999 procedural bodies, unions of a few rounded blocks, cylinders and cones.

    A graph has ``pos`` ``[N, 3]`` float32 in half extents of the shape, and no edges unless ``transform`` adds some.
    All clouds of a part are one group.

    Attributes:
        name: ``"bodies"``.
    """

    name = "bodies"
    folder = "bodies"


class Household(SurfaceClouds):
    """Point clouds of 820 household objects in 12 categories, such as chairs, lamps and vehicles.

    A graph has ``pos`` ``[N, 3]`` float32 in half extents of the object, ``category`` ``[1]`` int64, a number of
    :data:`CATEGORIES`, and no edges unless ``transform`` adds some. Objects of a category are one group.

    Attributes:
        name: ``"household"``.
        columns_of: What is known of each object, by name: its name, category, creator, library and half extent.
    """

    name = "household"
    folder = "household"
    columns: ClassVar = {
        **dict.fromkeys(("category", "creator", "library", "model"), (TEXT, 1)),
        "half_extent": (REAL, 1),
    }

    def _group(self, shape: int) -> int:
        return CATEGORIES.index(str(self.columns_of["category"][shape]))

    def _graph(self, group: int) -> Data:
        graph = super()._graph(group)
        graph.category = torch.tensor([group])
        return graph
