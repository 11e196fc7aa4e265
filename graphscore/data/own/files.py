"""Data set from your own files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from graphscore.data.dataset import Transform
from graphscore.data.own.dataset import OwnDataset
from graphscore.data.own.packed import own_graphs, prepared
from graphscore.data.own.rules import Rule, make_rule
from graphscore.data.own_graph import OwnGraph
from graphscore.data.packed.cache import cached, is_large
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.index import digest_of, is_packed
from graphscore.data.preparation import Preparation
from graphscore.data.readers import Failure
from graphscore.data.sources import find_files, iterate_files
from graphscore.data.split import FRACTIONS, PARTS, Part
from graphscore.runtime.workers import Progress


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
            "test": "test.txt"}``, see :class:`~graphscore.data.own.rules.ByIds`.
        fields: Names of the attributes ``[rows, columns]`` that each graph must have; in a configuration by default the
            diffusing fields, and the positions if the network reads them.
        rule: A rule instead of ``split``, ``fractions`` and ``seed``.
        cache: Whether to keep the prepared graphs of large files in a cache, see
            :func:`~graphscore.data.packed.cache.cache_folder`; the next start opens it.
        progress: Called with the number of graphs read, and in all, as far as that is known.

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
        cache: bool = True,
        progress: Progress | None = None,
    ) -> None:
        paths = by_part(path)
        rule = rule or make_rule(split, fractions, seed, list(paths))
        found: dict[Part | None, list[Path]] = {part: find_files(each) for part, each in paths.items()}
        self.files = list(dict.fromkeys(file for files in found.values() for file in files))
        names = "+".join(dict.fromkeys(each.name for each in paths.values()))
        origin = " and ".join(map(str, paths.values()))
        stores, notes = self._stores(paths, found, Preparation(fields, transform), cache, progress)
        if stores is None:
            super().__init__(names, origin, _counted(read_own(paths, found), progress), rule, fields, transform)
        else:
            graphs = chain.from_iterable(own_graphs(*store) for store in stores.values())
            ready = {part: prepared(store, Preparation(fields, transform)) for part, (store, *_) in stores.items()}
            packed: dict[Part, Any] = {part: ready.get(part, next(iter(ready.values()))) for part in PARTS}
            super().__init__(names, origin, graphs, rule, fields, transform, packed)
        self.notes += notes

    def _stores(
        self,
        paths: Mapping[Part | None, Path],
        found: Mapping[Part | None, list[Path]],
        preparation: Preparation,
        cache: bool,
        progress: Progress | None,
    ) -> tuple[dict[Any, tuple[PackedGraphs, Part | None, str | None]] | None, list[str]]:
        """The packed graphs of each part, with the part and the name of their source; and notes on their cache.

        ``None`` if graphs are to be read into memory.
        """
        notes: list[str] = []
        if all(len(files) == 1 and is_packed(files[0]) for files in found.values()):
            return {part: (PackedGraphs(files[0]), part, str(files[0])) for part, files in found.items()}, notes
        if not cache or any(map(is_packed, self.files)) or not is_large(self.files):
            return None, notes
        stores = {}
        for part, files in found.items():
            if (graphs := cached(paths[part], files, preparation, notes, progress)) is None:
                return None, notes
            stores[part] = (graphs, part, None)
        return stores, notes

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


def _counted(graphs: Iterable[OwnGraph | Failure], progress: Progress | None) -> Iterator[OwnGraph | Failure]:
    for done, own in enumerate(graphs, start=1):
        if progress is not None:
            progress(done, None)
        yield own


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
