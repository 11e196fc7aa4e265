"""Packing: graphs of files, or any others, are written into a folder from which they are read at random."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from graphscore.data.own_graph import OwnGraph
from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.index import SKIPPED_FILE, is_packed, write_index
from graphscore.data.packed.keys import keys_of
from graphscore.data.packed.shard_writer import ShardWriter, write_sizes
from graphscore.data.packed.shards import ShardInfo
from graphscore.data.packed.tasks import ARRAYS, LARGE, Part, Task, plan
from graphscore.data.preparation import Preparation
from graphscore.data.readers import Failure, extension, iterate, make_graphs, records
from graphscore.data.sources import find_files
from graphscore.data.writers import write_json
from graphscore.runtime.locking import LOCK_FILE, owned
from graphscore.runtime.version import __version__
from graphscore.runtime.workers import Progress, in_workers

UNFINISHED_FILE, TASKS = "unfinished.json", "tasks"


def pack(
    source: str | Path | Iterable[Data],
    out: str | Path,
    preparation: Preparation | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PackedGraphs:
    """Pack graphs into a folder, from which they are read at random without being kept in memory.

    Large files, and many files, are read in several processes. If packing a file or folder is stopped or killed, the
    same call goes on, and the result is the same. Records that cannot be packed are listed in ``skipped.json``.

    Args:
        source: File, folder or pattern, see :func:`~graphscore.data.sources.find_files`; or graphs.
        out: Folder to make.
        preparation: Applied to each graph of a file, for training; by default graphs are packed as they are.
        workers: Number of processes; ``None`` or 0 for one for each CPU core, where they pay.
        progress: Called with the number of graphs done, and the estimated number in all.

    Returns:
        The packed graphs.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the folder holds something else, or no graph can be packed; for graphs given as objects, if one
            of them cannot be stored.
    """
    out = Path(out)
    described = None if preparation is None else preparation.describe()
    if isinstance(source, str | Path):
        files = find_files(Path(source))
        stats = [file.stat() for file in files]
        identity = {
            "files": [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in zip(files, stats, strict=True)],
            "prepared": described,
            "library": __version__,
        }
        with _begun(out, identity):
            tasks = list(plan(files, [stat.st_size for stat in stats]))
            _run(_Packer(out, preparation), tasks, out, workers, progress)
            _finish(out, [number for number, _ in tasks], files, files == [Path(source)], described)
    else:
        with _begun(out, None):
            _write_objects(source, out, preparation, progress)
            _finish(out, [0], [], True, described)
    return PackedGraphs(out)


class _Packer:
    """Work of packing the records of tasks, in this process or a worker; later parts of a file go on where it is."""

    def __init__(self, out: Path, preparation: Preparation | None) -> None:
        self.out, self.preparation = out, preparation
        self._open: tuple[Path, int, Iterator[Any]] | None = None

    def __call__(self, pieces: Sequence[Task], progress: Progress | None = None) -> tuple[int, float]:
        """Pack tasks.

        Returns:
            Number of graphs packed, and the size of their files in bytes, in shares.
        """
        packed, size = 0, 0.0
        for number, parts in pieces:
            writer, skipped = ShardWriter(self.out, number), list[Failure]()
            for part in parts:
                for record, made in enumerate(self._read(part), start=part.start + 1):
                    if isinstance(made, Data):
                        made = self._add(writer, made, part, record)
                    if made is not None:
                        skipped.append(made)
                    if progress is not None:
                        progress(packed + writer.num_graphs, None)
                size += part.share * part.file.stat().st_size
            packed += writer.num_graphs
            content = {"shards": writer.close(), "skipped": list(map(asdict, skipped))}
            write_json(content, _task_file(self.out, number))
        return packed, size

    def _add(self, writer: ShardWriter, graph: Data, part: Part, number: int) -> Failure | None:
        """Add a graph to the shard; the failure if it cannot be stored."""
        try:
            _add(writer, OwnGraph(graph, str(part.file), number, ""), part.place, self.preparation)
        except ValueError as error:
            return Failure(str(part.file), f"graph {number}", str(error))
        return None

    def _read(self, part: Part) -> Iterator[Data | Failure]:
        """The graphs of a part, and what fails; an error of the file as a whole is a failure, too."""
        try:
            if part.start == 0 and part.stop is None:
                yield from iterate(part.file)
                return
            file, position, waiting = self._open or (None, 0, iter(()))
            if file != part.file or position > part.start:
                position, waiting = 0, records(part.file)
            stop = None if part.stop is None else part.stop - position
            self._open = None if part.stop is None else (part.file, part.stop, waiting)
            yield from make_graphs(str(part.file), islice(waiting, part.start - position, stop))
        except ValueError as error:
            yield Failure(str(part.file), "file", str(error))


def _add(writer: ShardWriter, own: OwnGraph, file: int, preparation: Preparation | None) -> None:
    """Prepare a graph and add it to a shard."""
    if preparation is None:
        writer.add(own.graph, keys_of(own, file))
    else:
        writer.add(preparation(own.graph), keys_of(own, file, preparation.fields))


def _run(packer: _Packer, tasks: Sequence[Task], out: Path, workers: int | None, progress: Progress | None) -> None:
    """Do the tasks that have not been done before."""
    before = {number for number, _ in tasks if _is_done(out, number)}
    left = [task for task in tasks if task[0] not in before]
    sizes = {number: sum(part.share * part.file.stat().st_size for part in parts) for number, parts in tasks}
    if not workers:
        parsed = sum(sizes[number] for number, parts in left if extension(parts[0].file) not in ARRAYS)
        workers = (os.cpu_count() or 1) if parsed > LARGE else 1
    packed = sum(shard["graphs"]["graphs"] for number in before for shard in _read_task(out, number)["shards"])
    done, total = sum(sizes[number] for number in before), sum(sizes.values())

    def tell(graphs: int, _: int | None = None) -> None:
        if progress is not None:
            progress(packed + graphs, round((packed + graphs) * total / done) if done else None)

    if min(workers, len(left)) > 1:
        results = (result for _, result in in_workers(packer, ([task] for task in left), min(workers, len(left))))
    else:
        results = (packer([task], tell) for task in left)
    for graphs, size in results:
        packed, done = packed + graphs, done + size
        tell(0)


def _write_objects(
    graphs: Iterable[Data], out: Path, preparation: Preparation | None, progress: Progress | None
) -> None:
    """Write graphs that are given as objects."""
    writer = ShardWriter(out, 0)
    total = len(graphs) if isinstance(graphs, Sequence) else None
    for number, graph in enumerate(graphs):
        try:
            if type(graph) is not Data:
                raise ValueError(f"it is a {type(graph).__name__}, but a PyG Data is expected")
            _add(writer, OwnGraph(graph, "", number + 1, ""), -1, preparation)
        except ValueError as error:
            raise ValueError(f"Cannot pack graph {number}: {error}") from error
        if progress is not None:
            progress(number + 1, total)
    write_json({"shards": writer.close(), "skipped": []}, _task_file(out, 0))


@contextmanager
def _begun(out: Path, identity: dict[str, Any] | None) -> Iterator[None]:
    """Make the folder, or check that it holds the beginning of the same packing, and let nobody else write to it.

    Raises:
        ValueError: If it holds something else.
        OSError: If another process writes to it.
    """
    if is_packed(out):
        raise ValueError(f"{out} already holds packed graphs; choose another folder")
    if out.exists() and not out.is_dir():
        raise ValueError(f"Expected a folder to make, but {out} is a file")
    unfinished = out / UNFINISHED_FILE
    if not unfinished.is_file() and out.is_dir() and any(file.name != LOCK_FILE for file in out.iterdir()):
        raise ValueError(f"{out} holds other files; choose a new or empty folder")
    with owned(out):
        if not unfinished.is_file():
            write_json(identity, unfinished)
        elif identity is None or json.loads(unfinished.read_text(encoding="utf-8")) != identity:
            raise ValueError(
                f"{out} holds an unfinished packing of other data, or of files that changed since; delete it, or "
                "choose another folder"
            )
        yield
    (out / LOCK_FILE).unlink(missing_ok=True)


def _finish(
    out: Path, tasks: Sequence[int], files: Sequence[Path], alone: bool, described: dict[str, Any] | None
) -> None:
    """Write the index, with which the folder is complete."""
    done = [_read_task(out, number) for number in tasks]
    shards = list(chain.from_iterable(task["shards"] for task in done))
    skipped = list(chain.from_iterable(task["skipped"] for task in done))
    if not shards:
        _clean(out)
        first = f"; the first failure: {Failure(**skipped[0])}" if skipped else ""
        raise ValueError(f"There are no graphs to pack{first}")
    content = {
        "num_graphs": sum(shard["graphs"]["graphs"] for shard in shards),
        "num_skipped": len(skipped),
        "files": [str(file) for file in files],
        "alone": alone,
        "prepared": described,
        "sizes": write_sizes(out, [shard["keys"] for shard in shards]),
        "shards": shards,
    }
    if skipped:
        write_json(skipped, out / SKIPPED_FILE)
    write_index(out, content)
    _clean(out)


def _clean(out: Path) -> None:
    """Remove the files of an unfinished packing."""
    for file in (out / TASKS).glob("*.json"):
        file.unlink()
    (out / TASKS).rmdir()
    (out / UNFINISHED_FILE).unlink()


def _task_file(out: Path, number: int) -> Path:
    return out / TASKS / f"{number:06d}.json"


def _is_done(out: Path, number: int) -> bool:
    """Tell whether a task is done, and its shards are whole; after a crash of the machine they may not be."""
    if not _task_file(out, number).is_file():
        return False
    try:
        for shard in _read_task(out, number)["shards"]:
            for info in shard.values():
                ShardInfo.of_json(info).check_size(out)
    except ValueError:
        return False
    return True


def _read_task(out: Path, number: int) -> dict[str, Any]:
    return json.loads(_task_file(out, number).read_text(encoding="utf-8"))
