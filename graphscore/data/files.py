"""Data set from your own files."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from torch_geometric.data import Data

from graphscore.attributes import NOTES
from graphscore.data.dataset import Dataset, Part, Transform, with_coordinates
from graphscore.data.readers import Failure, read
from graphscore.data.sources import find_files
from graphscore.data.split import PARTS, part_of
from graphscore.domains import attributes, domain_of, gather
from graphscore.registry import resolve


class FileDataset(Dataset):
    """Data set of graphs with coordinates from your own files, in any format that the library reads.

    Graphs are split as their domain says: molecules by their SMILES without stereo marks, or by their scaffold. Graphs
    of a domain without splits are split by their position in the file (and the file's name, if there are several).
    The domain also forms the groups: all conformers of a molecule (same SMILES with stereo marks) in all files are a
    group; any other graph is a group of its own.

    Args:
        path: File; folder whose files with coordinates are read (molecules: sdf, mol and xyz), with subfolders; or a
            pattern such as ``"runs/*.sdf"``, where ``**`` stands for any subfolders.
        seed: Seed of the split.
        fractions: Expected shares of train, val and test.
        transform: Applied once to each graph, before it gets coordinates.
        split: Name of the split, one of the ``splits`` of the graphs' domain, such as ``"scaffold"``; by default the
            first.

    Attributes:
        name: The name of the file or folder, or the pattern's last part.
        failures: Records that could not be used, and files that could not be read if there are several.

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
        split: str | None = None,
    ) -> None:
        if split is not None and split not in (known := gather("splits")):
            raise ValueError(f"Expected split to be one of {sorted(known)}, but got {split!r}")
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
            # Without the folder: a split must not change when the data are moved.
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
        """Graphs with their file, and their number among the graphs of the file."""
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


def _keys(data: Data, split: str | None) -> tuple[str, str]:
    """Key of the split and key of the group; empty where the domain defines none."""
    if data.pos is None:
        raise ValueError("it has no coordinates (pos), which training needs")
    if data.pos.dim() != 2 or not data.pos.is_floating_point() or not bool(data.pos.isfinite().all()):
        raise ValueError(f"pos must be finite real numbers [N, D], but is {data.pos.dtype} {list(data.pos.shape)}")
    domain = domain_of(data)
    if split is not None and split not in domain.splits:
        raise ValueError(f"it is one of the {domain.name}, which have no split by {split!r}")
    by = next(iter(domain.splits), None) if split is None else split
    return "" if by is None else resolve(domain.splits[by])(data), resolve(domain.group)(data)


def _items(data: Data, transform: Transform | None) -> list[Data]:
    graph = copy.copy(data)
    graph.num_nodes = data.num_nodes  # PyG infers it from pos, which is removed next
    del graph.pos
    for key, value in data.to_dict().items():  # graphs with and without them could not be collated
        if key == NOTES or (key in (known := attributes()) and known[key].is_label) or isinstance(value, Mapping):
            del graph[key]
    return with_coordinates(graph, [data["pos"]], transform)
