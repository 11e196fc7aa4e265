"""Cache of prepared graphs of large files, so that only the first start reads them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from graphscore.data.index import VERSION, is_packed
from graphscore.data.packed import PackedGraphs
from graphscore.data.packing import pack
from graphscore.data.preparation import Preparation, UnknownTransformError
from graphscore.data.readers import extension
from graphscore.data.tasks import ARRAYS
from graphscore.runtime.version import __version__
from graphscore.runtime.workers import Progress

VARIABLE = "GRAPHSCORE_DATA_CACHE"
LARGE = 2**22
"""Bytes of files that are cached: reading them takes some seconds."""
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
    other ones, another is made, and those of files that have changed are removed. Its whole content is checked.

    Args:
        source: File, folder or pattern.
        files: Its files.
        preparation: Preparation of the graphs.
        notes: Gets a sentence if a cache is made again, or cannot be made.
        progress: See :func:`~graphscore.data.packing.pack`.

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
        current = place / _hash(stats)
        folder = current / _hash([described, VERSION, __version__, str(source)])
        if is_packed(folder):
            try:
                graphs = PackedGraphs(folder)
                graphs.verify()
            except ValueError as error:
                notes.append(f"The cache of {source} is made again: {error}")
                shutil.rmtree(folder)
            else:
                return graphs
        for old in place.iterdir() if place.is_dir() else ():
            if old != current:
                shutil.rmtree(old)
        alone = any(type(step).__module__ == "__main__" for step in preparation.steps)  # workers could not import it
        return pack(source, folder, preparation, 1 if alone else None, progress)
    except ImportError:
        return None
    except (OSError, UnknownTransformError) as error:
        notes.append(f"The graphs of {source} cannot be cached, and are read at each start: {error}")
        return None


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
