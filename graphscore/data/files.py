"""Data set from your own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from graphscore.data.dataset import Transform
from graphscore.data.index import digest_of, is_packed
from graphscore.data.own import OwnDataset
from graphscore.data.own_graph import OwnGraph
from graphscore.data.packed import PackedGraphs
from graphscore.data.packed_own import PreparedGraphs, own_graphs, prepared
from graphscore.data.preparation import Preparation
from graphscore.data.readers import Failure
from graphscore.data.rules import Rule, make_rule
from graphscore.data.sources import find_files, iterate_files
from graphscore.data.split import FRACTIONS, PARTS, Part


class FileDataset(OwnDataset):
    """Data set of graphs from your own files, in any format that the library reads, to learn fields such as ``pos``.

    Each part has files of its own, or graphs are split: as their domain says by default, molecules by their SMILES
    without stereo marks; graphs of a domain without splits by their number in the file (and the file's name, if there
    are several). The domain also forms the groups: all conformers of a molecule (same SMILES with stereo marks) in all
    files are a group; any other graph is a group of its own.

    Args:
        path: File; folder, whose files of graphs are read, with subfolders (molecules: those with coordinates, sdf, mol
            and xyz); a pattern such as ``"runs/*.sdf"``, where ``**`` stands for any subfolders; or a folder of packed
            graphs, which are read when they are asked for. Or one of these for each part:
            ``{"train": "a.sdf", "val": "b.sdf", "test": "c.sdf"}``.
        seed: Seed of the split.
        fractions: Expected shares of train, val and test.
        transform: Applied once to each graph, before it gets the fields.
        split: ``"random"``, each graph on its own; ``"group"``, the domain's groups; a name of the domain's ``splits``,
            such as ``"scaffold"``; ``{"group": "series"}``, graphs with the same value of an attribute, or of a
            property of their record, in the same part; or lists of ids, ``{"train": "train.txt", "val": "val.txt",
            "test": "test.txt"}``, see :class:`~graphscore.data.rules.ByIds`.
        fields: Names of the attributes ``[rows, columns]`` that each graph must have; in a configuration by default the
            diffusing fields, and the positions if the network reads them.
        rule: A rule instead of ``split``, ``fractions`` and ``seed``.

    Attributes:
        name: The name of the file or folder, or the pattern's last part; of several, joined by ``+``.
        failures: Records that could not be used, and files that could not be read if there are several.
        notes: What is remarkable about the split: ids of no graph, graphs in no list, graphs that two parts share.
        files: The files, in their order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the only file (of a part) cannot be read, no graph has the fields, they differ in columns, there
            is no such split, or it leaves nothing to train on.
    """

    def __init__(
        self,
        path: str | Path | Mapping[str, str | Path],
        seed: int = 0,
        fractions: Sequence[float] = FRACTIONS,
        transform: Transform | None = None,
        split: str | Mapping[str, str] | None = None,
        fields: Sequence[str] = ("pos",),
        rule: Rule | None = None,
    ) -> None:
        paths = by_part(path)
        rule = rule or make_rule(split, fractions, seed, list(paths))
        found: dict[Part | None, list[Path]] = {part: find_files(each) for part, each in paths.items()}
        self.files = list(dict.fromkeys(file for files in found.values() for file in files))
        names = "+".join(dict.fromkeys(each.name for each in paths.values()))
        origin = " and ".join(map(str, paths.values()))
        packed: dict[Part, PackedGraphs | PreparedGraphs] | None = None
        graphs = read_own(paths, found)
        if all(len(files) == 1 and is_packed(files[0]) for files in found.values()):
            stores: dict[Part | None, PackedGraphs] = {part: PackedGraphs(files[0]) for part, files in found.items()}
            preparation = Preparation(fields, transform)
            ready: dict[Part | None, Any] = {part: prepared(store, preparation) for part, store in stores.items()}
            packed = {part: ready.get(part, next(iter(ready.values()))) for part in PARTS}
            graphs = chain.from_iterable(own_graphs(store, part, str(store.path)) for part, store in stores.items())
        super().__init__(names, origin, graphs, rule, fields, transform, packed)

    def digests(self) -> dict[str, str]:
        """Hash the content of each file."""
        return {str(file): digest_of(file) for file in self.files}


def read_own(
    paths: Mapping[Part | None, Path], files: Mapping[Part | None, Sequence[Path]]
) -> Iterator[OwnGraph | Failure]:
    """Iterate over the graphs of files, with what identifies them.

    Args:
        paths: Paths as given, by :func:`by_part`.
        files: The files that were found there, by part.

    Raises:
        ValueError: If the only file of a part cannot be read as a whole.
    """
    alone = [list(of_part) for of_part in files.values()] == [list(paths.values())]
    for part, of_part in files.items():
        for file, records in groupby(iterate_files(of_part), key=itemgetter(0)):
            for number, (_, _, made) in enumerate(records, start=1):
                # Without the folder: a split must not change when the data are moved.
                place = str(number) if alone else f"{file.name}:{number}"
                yield made if isinstance(made, Failure) else OwnGraph(made, str(file), number, place, part)


def by_part(path: str | Path | Mapping[str, str | Path]) -> dict[Part | None, Path]:
    """Sort the paths of a data set by part; ``None`` stands for all parts.

    Raises:
        ValueError: If there is no path for train, or one for anything but a part.
    """
    if not isinstance(path, Mapping):
        return {None: Path(path)}
    if "train" not in path or not path.keys() <= set(PARTS):
        raise ValueError(f"Expected a path, or paths of train, val and test, but got paths of {sorted(path)}")
    paths: dict[Part | None, Path] = {part: Path(path[part]) for part in PARTS if part in path}
    return paths
