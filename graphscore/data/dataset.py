"""What every data set gives, and where to find them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.registry import find

Part = Literal["train", "val", "test"]
Transform = Callable[[Data], Data]

DATASETS = {
    "small-molecules": "graphscore.data.small_molecules:SmallMolecules",
    "digits": "graphscore.data.digits:Digits",
    "files": "graphscore.data.files:FileDataset",
}


@runtime_checkable
class Dataset(Protocol):
    """A source of graphs with fixed, disjoint parts.

    Attributes:
        name: Short name, as in the registry.
        scale: Standard deviation of the centered coordinates over the training part, in the data's own unit.
    """

    name: str
    scale: float

    def split(self, part: Part) -> list[Data]:
        """All graphs of a part."""
        ...

    def groups(self, part: Part) -> list[list[Data]]:
        """The same graphs, those together that share what a model is given.

        These are all conformers of one molecule, all images of one digit.
        """
        ...


def load_dataset(name: str, **options: Any) -> Dataset:
    """Load a data set of the registry, or one of your own given as ``package.module:Class``.

    Args:
        name: Key of ``DATASETS``, or an import path.
        **options: Passed to the class.

    Returns:
        The data set.

    Raises:
        ValueError: If there is no such data set.
    """
    return find(name, DATASETS, "data set")(**options)


def check_part(part: str) -> None:
    """Check the name of a part.

    Raises:
        ValueError: If it is not one of ``"train"``, ``"val"``, ``"test"``.
    """
    if part not in get_args(Part):
        raise ValueError(f"Expected part 'train', 'val' or 'test', but got {part!r}")


def is_molecule(data: Data) -> bool:
    """Whether a graph is laid out as :mod:`graphscore.data.molecules` says, with or without coordinates."""
    return all(key in data for key in ("z", "charge", "bond"))


def with_coordinates(graph: Data, clouds: Iterable[Tensor], transform: Transform | None) -> list[Data]:
    """Make one graph per cloud of coordinates; they share all other tensors.

    Args:
        graph: Graph without coordinates; it stays as it is.
        clouds: Coordinates ``[N, D]``.
        transform: Applied once to the graph before it gets coordinates, which it therefore cannot use.

    Returns:
        Shallow copies of the transformed graph with ``pos``.
    """
    if transform is not None:
        graph = transform(graph)
    items = []
    for pos in clouds:
        item = copy.copy(graph)
        item.pos = pos
        items.append(item)
    return items


def coordinate_scale(clouds: Sequence[Tensor]) -> float:
    """Standard deviation of centered coordinates, over all points and axes of all clouds, in their unit.

    Args:
        clouds: Coordinates ``[N, D]`` of each graph.

    Returns:
        The scale; 1.0 if there is nothing to measure, so that dividing by it is always possible.
    """
    if not clouds:
        return 1.0
    centered = torch.cat([(cloud - cloud.mean(dim=0)).flatten() for cloud in clouds])
    scale = centered.double().square().mean().sqrt().item() if len(centered) else 0.0
    return scale if scale > 0 else 1.0
