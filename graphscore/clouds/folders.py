"""Data set of shapes in folders by class, as ModelNet, ShapeNet and their samplings come."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from graphscore.clouds.domain import MESHES, POINTS
from graphscore.clouds.meshes import read_mesh
from graphscore.data.dataset import Transform
from graphscore.data.formats.text import read_lines
from graphscore.data.normalization import frame_of
from graphscore.data.own.dataset import OwnDataset
from graphscore.data.own.rules import Rule
from graphscore.data.own_graph import OwnGraph
from graphscore.data.readers import Failure, collect, extension, iterate, make_graphs
from graphscore.data.split import FRACTIONS, PARTS, Part, part_of
from graphscore.experiment.proposal.survey import KnownLayout
from graphscore.runtime.workers import Progress

PART_NAMES: dict[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Parts by the names of their folders and lists."""
READ = (*MESHES, *POINTS, ".npy", ".txt", ".xyz", ".csv")
PROPOSED_POINTS, PROPOSED_METHOD = 1024, "unit-sphere"
CLASS_NAMES = "synsetoffset2category.txt"


class ShapeFolders(OwnDataset):
    """Data set of shapes in folders by class, as ModelNet, ShapeNet and their samplings come.

    The first folder below ``path`` is the class of a shape. Parts are folders, ``chair/train/chair_0001.off`` or
    ``03001627/val/NAME.npy``, or lists of names in files such as ``modelnet40_train.txt``, or ``.json`` in
    ``train_test_split/``; without either, shapes are split by their names. Where a data set has no validation part, a
    tenth of its training part is that.

    A graph has ``pos`` ``[points, 3]`` float32 in the unit of the file, ``category`` ``[1]`` int64, the number of its
    class in :attr:`categories`, and no edges unless ``transform`` adds some. The points of a surface are uniform by
    area; those of a file of points a random selection; both are the same each time. See the transform ``normalize``.

    Args:
        path: Folder.
        points: Points of each shape.
        categories: Classes to take, in their order; by default all, sorted.
        seed: Seed of the split.
        fractions: Expected shares of train, val and test where the data set has no parts.
        transform: Applied once to each graph, before it gets the fields.
        fields: Names of the fields of each graph.
        progress: Called with the number of shapes read, and in all.

    Attributes:
        name: The name of the folder.
        categories: Names of the classes.
        failures: Files that could not be used.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it has no shapes in folders of classes, or lacks a class that was asked for.
    """

    def __init__(
        self,
        path: str | Path,
        points: int = 2048,
        categories: Sequence[str] | None = None,
        seed: int = 0,
        fractions: Sequence[float] = FRACTIONS,
        transform: Transform | None = None,
        fields: Sequence[str] = ("pos",),
        progress: Progress | None = None,
    ) -> None:
        if points < 1:
            raise ValueError(f"points must be at least 1, but is {points}")
        root = Path(path)
        if not root.is_dir():
            raise FileNotFoundError(f"There is no folder {root}")
        found = _classes(root)
        if not found:
            raise ValueError(f"Expected folders of classes with files {' '.join(READ)} in {root}, but there are none")
        if missing := [name for name in categories or () if name not in found]:
            raise ValueError(f"{root} has no class {missing[0]!r}, but {sorted(found)}")
        self.categories = tuple(sorted(found) if categories is None else categories)
        self.files = [file for name in self.categories for file in found[name]]
        rule = _ByFolder(root, self.files, fractions, seed)
        graphs = _read(root, {name: found[name] for name in self.categories}, points, progress)
        super().__init__(root.name, str(root), graphs, rule, fields, transform)


def layout_of(path: Path) -> KnownLayout | None:
    """Recognise a folder of classes with parts of its own, for which :class:`ShapeFolders` is proposed."""
    found = _classes(path) if path.is_dir() else {}
    lists = _lists(path) if found else {}
    names = sorted(found)
    if not any(_part(Path(_place(path, file)), lists) for files in found.values() for file in files):
        return None
    number = {file: k for k, name in enumerate(names) for file in found[name]}

    def read(file: Path) -> Data | Failure:
        made = _shape(file, PROPOSED_POINTS, _place(path, file))
        if isinstance(made, Failure):
            return made
        made.category = torch.tensor([number[file]])
        made.pos = frame_of(made["pos"], PROPOSED_METHOD).inside(made["pos"])
        return made

    normalize = {"name": "normalize", "method": PROPOSED_METHOD}
    return KnownLayout(
        {"name": "shape-folders", "path": str(path), "points": PROPOSED_POINTS},
        [(normalize, "takes the place and size of each shape out: its center is the origin, its radius 1")],
        [*number],
        read,
    )


def _classes(root: Path) -> dict[str, list[Path]]:
    """Files of each class."""
    named, found = _class_names(root), dict[str, list[Path]]()
    for folder in sorted(each for each in root.iterdir() if each.is_dir() and each.name not in PART_NAMES):
        if files := sorted(file for file in folder.rglob("*") if extension(file) in READ and file.is_file()):
            found[named.get(folder.name, folder.name)] = files
    return found


class _ByFolder(Rule):
    """Split by the names of folders, or lists of names, or the hash of the name."""

    def __init__(self, root: Path, files: Sequence[Path], fractions: Sequence[float], seed: int) -> None:
        self.fractions, self.seed, self.lists = fractions, seed, _lists(root)
        parts = {_part(Path(_place(root, file)), self.lists) for file in files} - {None}
        self.has_parts, self.has_val = bool(parts), "val" in parts
        text = "by its folders or lists" if parts else f"by names, fractions {list(fractions)}, seed {seed}"
        self.text = text + ("" if not parts or self.has_val else ", a tenth of train for val")

    def part(self, own: OwnGraph) -> Part | None:
        """Return the part of a shape; ``None`` for one in no list, where there are lists."""
        if not self.has_parts:
            return PARTS[part_of(own.place, self.fractions, self.seed)]
        part = _part(Path(own.place), self.lists)
        if part == "train" and not self.has_val:
            return PARTS[part_of(own.place, (0.9, 0.1), self.seed)]
        return part


def _place(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()


def _part(place: Path, lists: dict[str, Part]) -> Part | None:
    folder = next((name for name in place.parts[:-1] if name in PART_NAMES), None)
    return lists.get(place.stem) if folder is None else PART_NAMES[folder]


def _lists(root: Path) -> dict[str, Part]:
    """Parts of shapes by their names, from lists of a data set."""
    found: dict[str, Part] = {}
    for file in [*sorted(root.glob("*.txt")), *sorted((root / "train_test_split").glob("*.json"))]:
        words = file.stem.lower().replace("-", "_").split("_")
        part: Part | None = next((PART_NAMES[word] for word in words if word in PART_NAMES), None)
        if part is not None:
            text = "".join(read_lines(file))
            entries = json.loads(text) if file.suffix == ".json" else text.split()
            found.update((Path(str(entry)).name, part) for entry in entries)
    return found


def _class_names(root: Path) -> dict[str, str]:
    """Names of classes by their folders, of ShapeNet's parts."""
    file = root / CLASS_NAMES
    rows = (line.split() for line in read_lines(file)) if file.is_file() else ()
    return {row[1]: row[0] for row in rows if len(row) == 2}


def _read(
    root: Path, found: dict[str, list[Path]], points: int, progress: Progress | None
) -> Iterator[OwnGraph | Failure]:
    total, done = sum(map(len, found.values())), 0
    for number, files in enumerate(found.values()):
        for file in files:
            done += 1
            if progress is not None:
                progress(done, total)
            place = _place(root, file)
            made = _shape(file, points, place)
            if isinstance(made, Failure):
                yield made
                continue
            made.category, made.name = torch.tensor([number]), file.stem
            yield OwnGraph(made, str(file), 1, place)


def _shape(file: Path, points: int, place: str) -> Data | Failure:
    """Read a shape with a number of points, drawn by the name of the file."""
    try:
        if extension(file) in MESHES:
            items = [*make_graphs(str(file), read_mesh(file, points))]
        else:
            result = collect(iterate(file, ".points" if extension(file) in (".txt", ".xyz", ".csv") else None))
            items = [*result.items, *result.failures]
    except (ValueError, OSError) as error:
        return Failure(str(file), "file", str(error))
    if len(items) != 1 or isinstance(items[0], Failure):
        return items[0] if items and isinstance(items[0], Failure) else Failure(str(file), "file", "not one shape")
    pos = items[0].pos
    if pos is None or not points <= len(pos):
        return Failure(str(file), "file", f"it has {0 if pos is None else len(pos)} points, fewer than {points}")
    if len(pos) > points:
        pos = pos[np.random.default_rng(zlib.crc32(place.encode())).permutation(len(pos))[:points]]
    return Data(pos=pos, edge_index=torch.empty(2, 0, dtype=torch.long))
