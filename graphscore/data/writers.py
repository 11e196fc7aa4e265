"""Writing of graphs to files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphscore.data.readers import GZ, extension
from graphscore.domains import gather
from graphscore.registry import close_to, resolve
from graphscore.runtime.atomic import replacing

if TYPE_CHECKING:  # a wrong path is reported before PyTorch is loaded
    from torch_geometric.data import Data

PT = ".pt"
GRAPHS = (PT, ".npz", ".graphml", ".graphml.gz", ".graphml.zip")
"""Extensions of formats for any graphs; other formats take the graphs of their domain."""
CSV = ".csv"
"""Extension of the summary of any graphs."""
TRAJECTORIES = (".sdf", ".sdf.gz", ".pt", ".npz")
"""Extensions of files of sampling trajectories."""
OUTPUT = "graphscore.data.outputs:Output"

MAX_NAME = 230
"""Largest length of the name of a file, in bytes: most systems allow 255, of which its unfinished part needs more."""

Skip = Callable[[int, str], None]


def write(items: Sequence[Data], path: str | Path, skip: Skip | None = None) -> None:
    """Write graphs to a file; the extension gives the format.

    The file is written whole or not at all, and replaces an existing one. Any graphs: ``.pt``, a list of PyG ``Data``
    (which ``torch.load`` reads with ``weights_only=False``, and :func:`~graphscore.data.readers.read` without running
    code); ``.npz``, all graphs one after the other, see :mod:`graphscore.data.formats.arrays`; ``.graphml``, all graphs
    in one file, of which ``networkx.read_graphml`` reads the first; ``.graphml.zip``, a file for each, which networkx
    reads one by one. Formats of domains: ``.sdf``: molecules with coordinates, bonds and charges as given, all
    hydrogens. ``.xyz``: atoms with coordinates, one frame each. Text may be compressed: ``.sdf.gz``. ``.csv``: a table
    with a line for each graph, without coordinates.

    Args:
        items: Graphs.
        path: File; its folder is created if necessary.
        skip: Called with number and reason of each graph that does not fit the format. Such graphs are left out, as
            long as others fit; without ``skip`` they are an error.

    Raises:
        ValueError: If the extension is unknown, the path is a folder, or a graph does not fit the format;
            nothing is written then.
    """
    path = check_output(path)
    output = resolve(OUTPUT)(path)
    if output.is_single and len(items) > 1:
        raise ValueError(
            f"{path} takes one graph, but there are {len(items)}: write {output.format}.zip, a file for each"
        )
    records, reasons = [], {}
    for number, item in enumerate(items):
        try:
            records.append(output.record(item))
        except ValueError as error:
            reasons[number] = str(error)
    if reasons and (skip is None or not records):
        number, reason = next(iter(reasons.items()))
        raise ValueError(f"Cannot write graph {number}: {reason}")
    with replacing(path) as temporary:
        output.save(records, temporary)
    for number, reason in reasons.items():
        assert skip is not None
        skip(number, reason)


def write_json(content: Any, path: Path) -> None:
    """Write a JSON file, whole or not at all; all numbers must be finite."""
    with replacing(path) as temporary:
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        temporary.write_text(
            text + "\n", encoding="utf-8", errors="backslashreplace"
        )  # as in JSON, see the names of files


def check_output(path: str | Path, allowed: Collection[str] | None = None) -> Path:
    """Check that an output file can be written, before the work whose results it will hold.

    Args:
        path: File; its folder need not exist yet.
        allowed: Extensions that it may have; by default those of :func:`write`.

    Raises:
        ValueError: If the extension is another one, the path is a folder, or nothing can be written there.
    """
    path, known = Path(path), sorted(extensions() if allowed is None else allowed)
    if extension(path) not in known:
        hint = close_to(extension(path), known)
        raise ValueError(f"Cannot write {path}: expected one of the extensions {' '.join(known)}{hint}")
    if len(os.fsencode(path.name)) > MAX_NAME:
        raise ValueError(f"Cannot write {path}: expected a name of at most {MAX_NAME} bytes, but this has more")
    if path.is_dir():
        raise ValueError(f"Expected a file to write, but {path} is a folder")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ValueError(f"Cannot write {path}: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"Cannot write {path}: there is no permission to write into the folder {folder}")
    return path


def extensions() -> list[str]:
    """List the file extensions of :func:`write`."""
    return sorted(
        [*GRAPHS, CSV, *gather("formats"), *(name + packed for name in gather("writers") for packed in ("", GZ))]
    )
