"""Data set from your own files."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor
from torch_geometric.data import Data

from graphscore.attributes import NOTES
from graphscore.data.dataset import Dataset, Part, Transform, with_fields
from graphscore.data.readers import Failure, read
from graphscore.data.sources import find_files
from graphscore.data.split import PARTS, part_of
from graphscore.domains import attributes, domain_of, gather
from graphscore.registry import resolve


class FileDataset(Dataset):
    """Data set of graphs from your own files, in any format that the library reads, to learn fields such as ``pos``.

    Graphs are split as their domain says: molecules by their SMILES without stereo marks, or by their scaffold. Graphs
    of a domain without splits are split by their position in the file (and the file's name, if there are several).
    The domain also forms the groups: all conformers of a molecule (same SMILES with stereo marks) in all files are a
    group; any other graph is a group of its own.

    Args:
        path: File; folder, whose files of graphs are read, with subfolders (molecules: those with coordinates, sdf, mol
            and xyz); or a pattern such as ``"runs/*.sdf"``, where ``**`` stands for any subfolders.
        seed: Seed of the split.
        fractions: Expected shares of train, val and test.
        transform: Applied once to each graph, before it gets the fields.
        split: Name of the split, one of the ``splits`` of the graphs' domain, such as ``"scaffold"``; by default the
            first.
        fields: Names of the attributes ``[rows, columns]`` that each graph must have; in a configuration by default the
            diffusing fields, and the positions if the network reads them.

    Attributes:
        name: The name of the file or folder, or the pattern's last part.
        failures: Records that could not be used, and files that could not be read if there are several.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the only file cannot be read, no graph has the fields, they differ in columns, there is no such
            split, or it leaves nothing to train on.
    """

    def __init__(
        self,
        path: str | Path,
        seed: int = 0,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        transform: Transform | None = None,
        split: str | None = None,
        fields: Sequence[str] = ("pos",),
    ) -> None:
        if split is not None and split not in (known := gather("splits")):
            raise ValueError(f"Expected split to be one of {sorted(known)}, but got {split!r}")
        self.name = Path(path).name
        self.failures: list[Failure] = []
        self._groups: dict[str, dict[str, list[Data]]] = {part: {} for part in PARTS}
        columns: dict[str, set[int]] = {name: set() for name in fields}
        for file, number, data in self._graphs(Path(path)):
            try:
                values = _values(data, fields)
                key, group = _keys(data, split)
            except ValueError as error:
                self.failures.append(Failure(str(file), f"graph {number}", str(error)))
                continue
            # Without the folder: a split must not change when the data are moved.
            key = key or (str(number) if file == Path(path) else f"{file.name}:{number}")
            group = group or f"{file}:{number}"
            for name, value in values.items():
                columns[name].add(value.shape[1])
            part = PARTS[part_of(key, fractions, seed)]
            self._groups[part].setdefault(group, []).extend(with_fields(_without(data, fields), [values], transform))
        if not any(self._groups.values()):
            missing = " and ".join(map(_named, fields))
            raise ValueError(f"No graph of {path} has {missing}; the first failure: {self.failures[0]}")
        for name, found in columns.items():
            if len(found) > 1:
                raise ValueError(f"Expected one number of columns of {name} in {path}, but found {sorted(found)}")
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


def _named(field: str) -> str:
    return "coordinates (pos)" if field == "pos" else field


def _values(data: Data, fields: Sequence[str]) -> dict[str, Tensor]:
    """The fields of a graph."""
    values = {}
    for name in fields:
        value = data.get(name)
        if value is None:
            raise ValueError(f"it has no {_named(name)}, which training needs")
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a tensor, but is a {type(value).__name__}")
        if value.dim() != 2 or not value.is_floating_point() or not bool(value.isfinite().all()):
            shape = f"finite real numbers {'[N, D]' if name == 'pos' else '[rows, columns]'}"
            raise ValueError(f"{name} must be {shape}, but is {value.dtype} {list(value.shape)}")
        values[name] = value
    return values


def _keys(data: Data, split: str | None) -> tuple[str, str]:
    """Key of the split and key of the group; empty where the domain defines none."""
    domain = domain_of(data)
    if split is not None and split not in domain.splits:
        raise ValueError(f"it is one of the {domain.name}, which have no split by {split!r}")
    by = next(iter(domain.splits), None) if split is None else split
    return "" if by is None else resolve(domain.splits[by])(data), resolve(domain.group)(data)


def _without(data: Data, fields: Sequence[str]) -> Data:
    """A copy of a graph without the fields, and without labels and notes, which not all graphs of a batch may have."""
    graph = copy.copy(data)
    graph.num_nodes = data.num_nodes  # PyG infers it from pos or x, which may be removed
    known = attributes()
    for key, value in data.to_dict().items():
        if key in fields or key == NOTES or (key in known and known[key].is_label) or isinstance(value, Mapping):
            del graph[key]
    return graph
