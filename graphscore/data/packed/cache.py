"""Cache of prepared graphs of large files, so that only the first start reads them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from graphscore.data.packed.graphs import PackedGraphs
from graphscore.data.packed.index import INDEX_FILE, VERSION, is_packed
from graphscore.data.packed.packing import pack
from graphscore.data.packed.tasks import ARRAYS
from graphscore.data.preparation import Preparation, UnknownTransformError
from graphscore.data.readers import extension
from graphscore.runtime.locking import owned
from graphscore.runtime.version import __version__
from graphscore.runtime.workers import Progress

VARIABLE = "GRAPHSCORE_DATA_CACHE"
LARGE = 2**22
"""Bytes of files that are cached: reading them takes some seconds."""
UNUSED = 30 * 24 * 3600
"""Seconds since a cache was last opened, after which it may be removed."""
_ARRAYS_ARE_FASTER = 16


def cache_folder() -> Path | None:
    """Find the folder of caches; ``None`` if they are turned off.

    It is ``graphscore/data`` in ``$XDG_CACHE_HOME``, by default ``~/.cache``; the environment variable
    ``GRAPHSCORE_DATA_CACHE`` names another one, or turns caches off if it is empty.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphscore" / "data"


def is_large(files: Sequence[Path]) -> bool:
    """Tell whether files take so long to read that they are worth a cache."""
    sizes = (file.stat().st_size / (_ARRAYS_ARE_FASTER if extension(file) in ARRAYS else 1) for file in files)
    return sum(sizes) >= LARGE


def cached(
    source: Path, files: Sequence[Path], preparation: Preparation, notes: list[str], progress: Progress | None = None
) -> PackedGraphs | None:
    """Open the prepared graphs of files in the cache, and make them if they are not there.

    A cache belongs to the paths, sizes and times of the files, the preparation and the version of this library; with
    other ones, another is made. Its whole content is checked. Caches of the same files as they were before are removed
    if they have not been opened for a month.

    Args:
        source: File, folder or pattern.
        files: Its files.
        preparation: Preparation of the graphs.
        notes: Gets a sentence if a cache is made again, or cannot be made.
        progress: See :func:`~graphscore.data.packed.packing.pack`.

    Returns:
        The graphs; ``None`` if there can be no cache: it is turned off, a transform cannot be told from others, or
        nothing can be written.
    """
    root = cache_folder()
    if root is None:
        return None
    try:
        described = preparation.describe()
        stats = [(str(file.absolute()), stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()]]
        place = root / _hash(str(source.absolute()))
        folder = place / _hash([stats, described, VERSION, __version__, str(source)])
        with owned(place, wait=True):  # the processes of a training start together, and one makes the cache
            if (graphs := _opened(source, folder, notes)) is not None:
                return graphs
            _remove_unused(place)
            # Worker processes could not import what the program itself defines.
            workers = 1 if any(type(step).__module__ == "__main__" for step in preparation.steps) else None
            return pack(source, folder, preparation, workers, progress)
    except ImportError:
        return None
    except (OSError, UnknownTransformError) as error:
        notes.append(f"The graphs of {source} cannot be cached, and are read at each start: {error}")
        return None


def _opened(source: Path, folder: Path, notes: list[str]) -> PackedGraphs | None:
    """Open a cache; a damaged one is removed, with a note."""
    if not is_packed(folder):
        return None
    try:
        graphs = PackedGraphs(folder)
        graphs.verify()
    except ValueError as error:
        notes.append(f"The cache of {source} is made again: {error}")
        shutil.rmtree(folder)
        return None
    os.utime(folder / INDEX_FILE)
    return graphs


def _remove_unused(place: Path) -> None:
    """Remove caches that have not been opened for long; younger ones may be in use by another training."""
    for index in place.glob(f"*/{INDEX_FILE}"):
        if time.time() - index.stat().st_mtime > UNUSED:
            shutil.rmtree(index.parent)


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
