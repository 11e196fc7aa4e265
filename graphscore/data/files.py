"""A user's own file as a data set."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, is_molecule, with_coordinates
from graphscore.data.readers import Failure, read
from graphscore.data.split import PARTS, part_of


class FileDataset(Dataset):
    """Graphs with coordinates from a file of one's own: sdf, mol, xyz, graphml or pt.

    Molecules are split by their SMILES without stereo marks, other graphs by their position in the file; a
    molecule's group is all its conformers (same SMILES with stereo marks), any other graph is a group of its
    own.

    Args:
        path: File.
        seed: Seed of the split.
        fractions: Expected shares of train, val and test.
        transform: Applied once to each graph, before it gets coordinates.

    Attributes:
        name: The file's name.
        failures: Records that could not be used, and why.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, no graph has coordinates, they differ in dimension, or the
            split leaves nothing to train on.
    """

    def __init__(
        self,
        path: str | Path,
        seed: int = 0,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        transform: Transform | None = None,
    ) -> None:
        result = read(path)
        self.name = Path(path).name
        self.failures = list(result.failures)
        self._groups: dict[str, dict[str, list[Data]]] = {part: {} for part in PARTS}
        dimensions = set()
        for number, data in enumerate(result.items, start=1):
            try:
                key, group = _keys(data, number)
            except ValueError as error:
                self.failures.append(Failure(str(path), f"graph {number}", str(error)))
                continue
            dimensions.add(data["pos"].shape[1])
            part = PARTS[part_of(key, fractions, seed)]
            self._groups[part].setdefault(group, []).extend(_items(data, transform))
        if not dimensions:
            raise ValueError(f"No graph of {path} has coordinates; the first failure: {self.failures[0]}")
        if len(dimensions) > 1:
            raise ValueError(f"Expected one dimension of pos in {path}, but found {sorted(dimensions)}")
        if not self._groups["train"]:
            raise ValueError(
                f"The split of {path} leaves nothing to train on: too few different molecules or graphs; "
                "set fractions=(1, 0, 0) or another seed"
            )

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        return self._groups[part].values()


def _keys(data: Data, number: int) -> tuple[str, str]:
    """Key of the split and key of the group; the graph's number is its position among those read."""
    if data.pos is None:
        raise ValueError("it has no coordinates (pos), which training needs")
    if data.pos.dim() != 2 or not data.pos.is_floating_point() or not bool(data.pos.isfinite().all()):
        raise ValueError(f"pos must be finite real numbers [N, D], but is {data.pos.dtype} {list(data.pos.shape)}")
    if not is_molecule(data):
        return str(number), str(number)
    from graphscore.data.molecules import canonical_smiles, flat_smiles, mol_from_data

    mol = mol_from_data(data)
    return flat_smiles(mol), canonical_smiles(mol)


def _items(data: Data, transform: Transform | None) -> list[Data]:
    graph = copy.copy(data)
    graph.num_nodes = data.num_nodes  # PyG infers it from pos, which is about to go
    del graph.pos
    return with_coordinates(graph, [data["pos"]], transform)
