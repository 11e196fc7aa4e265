"""A user's own files as a data set."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, is_molecule, with_coordinates
from graphscore.data.readers import Failure, read
from graphscore.data.sources import find_files
from graphscore.data.split import PARTS, SPLITS, part_of, split_key


class FileDataset(Dataset):
    """Graphs with coordinates from files of one's own: sdf, mol, xyz, graphml or pt.

    Molecules are split by their SMILES without stereo marks, or by their scaffold, other graphs by their position in
    the file (and its name, if there are several). A molecule's group is all its conformers (same SMILES with stereo
    marks) in all files, any other graph is a group of its own.

    Args:
        path: File; folder, of which all sdf, mol and xyz files are read, in subfolders too; or a pattern such as
            ``"runs/*.sdf"``, where ``**`` stands for any subfolders.
        seed: Seed of the split.
        fractions: Expected shares of train, val and test.
        transform: Applied once to each graph, before it gets coordinates.
        split: ``"molecule"`` or ``"scaffold"``; see :func:`~graphscore.data.split.split_key`.

    Attributes:
        name: The name of the file or folder, or the pattern's last part.
        failures: Records, and files of several, that could not be used, and why.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the only file cannot be read, no graph has coordinates, they differ in dimension, there is no
            such split, or it leaves nothing to train on.
    """

    def __init__(
        self,
        path: str | Path,
        seed: int = 0,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        transform: Transform | None = None,
        split: str = "molecule",
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"Expected split to be one of {SPLITS}, but got {split!r}")
        self.name = Path(path).name
        self.failures: list[Failure] = []
        self._groups: dict[str, dict[str, list[Data]]] = {part: {} for part in PARTS}
        dimensions = set()
        for file, number, data in self._graphs(Path(path)):
            try:
                key, group = _keys(data, split)
            except ValueError as error:
                self.failures.append(Failure(str(file), f"graph {number}", str(error)))
                continue
            # Folders are left out: a split must not change with the place of the data.
            key = key or (str(number) if file == Path(path) else f"{file.name}:{number}")
            group = group or f"{file}:{number}"
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

    def _graphs(self, path: Path) -> Iterator[tuple[Path, int, Data]]:
        """Graphs, with their file and their number among those read from it."""
        for file in find_files(path):
            try:
                result = read(file)
            except ValueError as error:
                if file == path:
                    raise
                self.failures.append(Failure(str(file), "file", str(error)))
                continue
            self.failures += result.failures
            yield from ((file, number, data) for number, data in enumerate(result.items, start=1))

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        return self._groups[part].values()


def _keys(data: Data, split: str) -> tuple[str, str]:
    """Key of the split and key of the group; empty for what is not a molecule."""
    if data.pos is None:
        raise ValueError("it has no coordinates (pos), which training needs")
    if data.pos.dim() != 2 or not data.pos.is_floating_point() or not bool(data.pos.isfinite().all()):
        raise ValueError(f"pos must be finite real numbers [N, D], but is {data.pos.dtype} {list(data.pos.shape)}")
    if not is_molecule(data):
        if split != "molecule":
            raise ValueError(f"it is no molecule, which a split by {split!r} needs")
        return "", ""
    from graphscore.molecules.graph import canonical_smiles, mol_from_data

    mol = mol_from_data(data)
    return split_key(mol, split), canonical_smiles(mol)


def _items(data: Data, transform: Transform | None) -> list[Data]:
    graph = copy.copy(data)
    graph.num_nodes = data.num_nodes  # PyG infers it from pos, which is about to go
    del graph.pos
    return with_coordinates(graph, [data["pos"]], transform)
