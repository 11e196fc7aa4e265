"""Base class and registry of data sets."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.derived import measured
from graphscore.data.normalization import normalized
from graphscore.data.split import PARTS, Part
from graphscore.domains import Reference, gather
from graphscore.registry import find

Transform = Callable[[Data], Data]

DATASETS: dict[str, Reference] = {
    "files": "graphscore.data.own.files:FileDataset",
    "given": "graphscore.data.own.given:GivenDataset",
    "union": "graphscore.data.union:UnionDataset",
}
"""Data sets of any graphs by name; domains add others."""


def datasets() -> dict[str, Reference]:
    """List all data sets by name, including those of domains."""
    return DATASETS | gather("datasets")


class Dataset(ABC):
    """A source of graphs with fixed, disjoint parts.

    Attributes:
        name: Short name, as in the registry.
    """

    name: str

    @abstractmethod
    def _part_groups(self, part: Part) -> Iterable[Sequence[Data]]:
        """The groups of an existing part."""

    def groups(self, part: Part) -> list[Sequence[Data]]:
        """Return the graphs of a part in groups with the same model input, such as the conformers of a molecule.

        Args:
            part: ``"train"``, ``"val"`` or ``"test"``.

        Raises:
            ValueError: If there is no such part.
        """
        return [list(group) if isinstance(group, list) else group for group in self._part_groups(check_part(part))]

    def size(self, part: Part) -> tuple[int, int]:
        """Count the graphs and the groups of a part.

        Raises:
            ValueError: If there is no such part.
        """
        sizes = list(map(len, self._part_groups(check_part(part))))
        return sum(sizes), len(sizes)

    def split(self, part: Part) -> Sequence[Data]:
        """Return all graphs of a part, group by group.

        Raises:
            ValueError: If there is no such part.
        """
        return [item for group in self.groups(part) for item in group]

    def digests(self) -> dict[str, str]:
        """Hash what the graphs were read from, by name; empty if that is fixed by the options of the data set."""
        return {}


def check_part(part: Part) -> Part:
    """Check the name of a part.

    Raises:
        ValueError: If there is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"Expected part 'train', 'val' or 'test', but got {part!r}")
    return part


def load_dataset(name: str, **options: Any) -> Dataset:
    """Load a data set by its name.

    Args:
        name: Key of :func:`datasets`.
        **options: Arguments of the class.

    Returns:
        The data set.

    Raises:
        ValueError: If there is no such data set.
    """
    return find(name, datasets(), "data set")(**options)


def embedded_file(folder: str, name: str) -> Path:
    """Find an embedded data file: inside the installed package, or in ``datasets/`` of a source checkout.

    Args:
        folder: Folder of the data set in ``datasets/``.
        name: Name of the file.

    Raises:
        FileNotFoundError: If it is in neither place.
    """
    package = Path(str(resources.files("graphscore")))
    places = (package / "data" / "embedded" / name, package.parent / "datasets" / folder / name)
    for place in places:
        if place.is_file():
            return place
    recipe = folder.replace("_", "-")
    raise FileNotFoundError(
        f"{name} is in none of {[str(p) for p in places]}; make it by `graphscore data build {recipe}`"
    )


def with_coordinates(graph: Data, clouds: Iterable[Tensor], transform: Transform | None) -> list[Data]:
    """Make one graph for each set of coordinates ``[N, D]``; see :func:`with_fields`."""
    return with_fields(graph, ({"pos": pos} for pos in clouds), transform)


def with_fields(graph: Data, samples: Iterable[Mapping[str, Tensor]], transform: Transform | None = None) -> list[Data]:
    """Make one graph for each sample of the fields that a model learns; the graphs share all other tensors.

    If the transform removes nodes, the attribute ``kept`` of its result says which nodes remain; values with one row
    for each node lose the same rows. Fields that the transform measures on these values are measured then, see
    :mod:`graphscore.data.derived`.

    Args:
        graph: Graph without the fields, and with its number of nodes; it is not changed.
        samples: Values of the fields ``[rows, columns]`` of each graph.
        transform: Applied once to the graph without the fields; its steps
            :class:`~graphscore.data.normalization.Normalize` to the fields.

    Returns:
        Shallow copies of the transformed graph with the fields.
    """
    num_nodes = graph.num_nodes
    if transform is not None:
        graph = transform(graph)
    items = []
    for values in samples:
        item = copy.copy(graph)
        for name, value in normalized(values, transform).items():
            item[name] = value[graph.kept] if "kept" in graph and len(value) == num_nodes else value
        items.append(measured(item, transform))
    return items
