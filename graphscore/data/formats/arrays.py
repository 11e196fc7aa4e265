"""Reading and writing of graphs as numpy files, ``.npy`` and ``.npz``, without running code from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.consistency import check_graph
from graphscore.data.formats.npz import REAL, WHOLE, check_array, described
from graphscore.data.formats.plain import from_text, to_text
from graphscore.data.networkx import level_of
from graphscore.data.readers import Record
from graphscore.domains import attributes

PTR, LEVELS = "ptr", "__levels__"
_ROWS, _SCALAR, _JSON = "rows", "scalar", "json"
_FORMS = {("node", _ROWS), ("edge", _ROWS), ("graph", _ROWS), ("graph", _SCALAR), ("graph", _JSON)}
_MISSING = object()


def read_npy(path: Path) -> Iterator[Record]:
    """Read point clouds from an array: one of the shape ``[N, D]``, or B of them of the shape ``[B, N, D]``.

    Raises:
        ValueError: If the file holds anything else.
    """
    clouds = _load(path)
    if not isinstance(clouds, np.ndarray) or clouds.dtype.kind not in "iuf" or clouds.ndim not in (2, 3):
        got = f"{clouds.dtype} of shape {list(clouds.shape)}" if isinstance(clouds, np.ndarray) else "an archive"
        raise ValueError(f"Expected coordinates [N, D] or [B, N, D] in {path}, but it holds {got}")
    for number, cloud in enumerate(clouds if clouds.ndim == 3 else clouds[None], start=1):
        yield f"array {number}", lambda cloud=cloud: check_graph(Data(pos=_tensor(cloud).float()))


def read_npz_graphs(path: Path) -> Iterator[Record]:
    """Read a graph from an archive of arrays named like its attributes, or many graphs as PyG's ``Batch`` holds them.

    Many graphs are one after the other in each array. ``ptr`` ``[B + 1]`` has the first node of each, and at its end
    the number of all nodes; ``edge_index`` ``[2, E]`` counts nodes from the first graph on. An attribute of an unknown
    name belongs to the nodes, edges or graphs, whichever are as many as its rows, unless ``__levels__`` tells, as in
    files of :func:`save_npz`.

    Raises:
        ValueError: If the file holds anything else.
    """
    archive = _load(path)
    if isinstance(archive, np.ndarray):
        raise ValueError(f"Expected an archive of named arrays in {path}, but it holds a single array")
    with archive:
        try:
            arrays = {name: archive[name] for name in archive.files}
        except Exception as error:  # of a damaged file, numpy and zipfile raise errors of many types
            raise ValueError(f"Cannot read {path} as a numpy archive: {described(error)}") from error
    told = _told_levels(arrays, path)
    wrong = {name: a.dtype for name, a in arrays.items() if a.dtype.kind not in ("biufU" if name in told else "biuf")}
    if wrong:
        raise ValueError(f"Expected numbers in {path}, but it has {', '.join(f'{k} ({v})' for k, v in wrong.items())}")
    if PTR not in arrays:
        yield "graph 1", lambda: check_graph({name: _tensor(array) for name, array in arrays.items()})
        return
    yield from _split(arrays, told, path)


def _told_levels(arrays: dict[str, NDArray[Any]], path: Path) -> dict[str, tuple[str, str]]:
    """Take the level and form of arrays, by name, out of the array that tells them."""
    rows = arrays.pop(LEVELS, np.zeros((0, 3), "U1"))
    if rows.dtype.kind not in "U" or rows.ndim != 2 or rows.shape[1] != 3:
        raise ValueError(f"Expected {LEVELS} in {path} to hold rows of a name, a level and a form, but it does not")
    told = {str(name): (str(level), str(form)) for name, level, form in rows}
    if strange := sorted(name for name in told if name not in arrays or told[name] not in _FORMS):
        raise ValueError(f"{LEVELS} in {path} tells of {strange}, which are not there or of no known level and form")
    return told


def _split(arrays: dict[str, NDArray[Any]], told: dict[str, tuple[str, str]], path: Path) -> Iterator[Record]:
    """The graphs of arrays that hold them one after the other."""
    check_array(PTR, ptr := arrays.pop(PTR), WHOLE, 1, path)
    if len(ptr) < 2 or ptr[0] != 0 or (np.diff(ptr) < 0).any():
        raise ValueError(f"Expected ptr in {path} to rise from 0, but it is {ptr[:5].tolist()}...")
    ptr, edges = ptr.astype(np.int64), arrays.pop("edge_index", np.zeros((2, 0), np.int64))
    check_array("edge_index", edges, REAL, 2, path)
    whole = Data(edge_index=_tensor(edges), num_nodes=int(ptr[-1]))
    edge_index: Tensor = check_graph(whole)["edge_index"]
    graph_of = np.searchsorted(ptr, edge_index.numpy(), side="right") - 1
    if (graph_of[0] != graph_of[1]).any():
        place = int(np.flatnonzero(graph_of[0] != graph_of[1])[0])
        raise ValueError(f"Edge {place} of {path} joins two graphs, {graph_of[0, place]} and {graph_of[1, place]}")
    counts = {"node": int(ptr[-1]), "edge": edge_index.shape[1], "graph": len(ptr) - 1}
    levels = {name: _level(name, array, counts, path, told) for name, array in arrays.items()}
    # Edges in the order of their graphs; those of one graph keep theirs.
    order = np.argsort(graph_of[0], kind="stable")
    edge_ptr = np.searchsorted(graph_of[0][order], np.arange(len(ptr)))

    def make(number: int) -> Data:
        rows = {
            "node": np.arange(ptr[number], ptr[number + 1]),
            "edge": order[edge_ptr[number] : edge_ptr[number + 1]],
            "graph": np.array([number]),
        }
        graph: dict[str, Any] = {
            name: _value(array[rows[levels[name]]], told.get(name, ("", ""))[1]) for name, array in arrays.items()
        }
        graph = {name: value for name, value in graph.items() if value is not _MISSING}
        graph["edge_index"] = edge_index[:, torch.from_numpy(rows["edge"])] - int(ptr[number])
        return check_graph({**graph, "num_nodes": len(rows["node"])})

    for number in range(counts["graph"]):
        yield f"graph {number + 1}", lambda number=number: make(number)


def _value(rows: NDArray[Any], form: str) -> Any:
    """The value of an attribute of one graph, of its rows."""
    if form == _JSON:
        return from_text(str(rows[0])) if rows[0] else _MISSING
    if form == _SCALAR:
        return rows[0].item()
    return rows.tolist() if rows.dtype.kind == "U" else _tensor(rows)


def _level(name: str, array: NDArray[Any], counts: dict[str, int], path: Path, told: dict[str, tuple[str, str]]) -> str:
    """The level of an array, as told, by its name or by its number of rows."""
    if name in told:
        level = told[name][0]
        if not array.ndim or len(array) != counts[level]:
            raise ValueError(
                f"Expected {name} in {path} to have one row for each of the {counts[level]} {level}s, but its shape is "
                f"{list(array.shape)}"
            )
        return level
    known = attributes().get(name)
    if known is not None and known.indices:
        raise ValueError(f"{name} in {path} holds numbers of nodes, which an archive of many graphs cannot have")
    wanted = counts if known is None or known.level not in counts else {known.level: counts[known.level]}
    fitting = [level for level, count in wanted.items() if array.ndim and len(array) == count]
    if len(fitting) == 1:
        return fitting[0]
    choices = " or ".join(f"the {count} {level}s" for level, count in wanted.items())
    raise ValueError(
        f"Expected {name} in {path} to have one row for each of {choices}, but its shape is {list(array.shape)}"
    )


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # of a damaged file, numpy and zipfile raise errors of many types
        # For what is no numpy file, numpy's own message recommends to load it as a pickle, which would run its code.
        reason = "it is none, or holds objects of Python" if "pickle" in str(error) else described(error)
        raise ValueError(f"Cannot read {path} as a numpy file: {reason}") from error


def _tensor(array: NDArray[Any]) -> Tensor:
    """Floating-point numbers in float32, as the networks compute; whole ones in int64."""
    if array.dtype.kind == "f":
        return torch.from_numpy(array.astype(np.float32))
    return torch.from_numpy(array.astype(bool if array.dtype.kind == "b" else np.int64))


def save_npz(records: Callable[[], Iterable[dict[str, Any]]], path: Path, format: str) -> None:
    """Write the records of graphs to an archive as :func:`read_npz_graphs` reads it.

    Attributes that all graphs have, in rows of one shape, become one array, names of nodes and edges an array of
    strings, numbers and strings of graphs one entry for each. Anything else is text in JSON, empty where it is missing.
    ``__levels__`` has the name, level (``node``, ``edge`` or ``graph``) and form (``rows``, ``scalar`` or ``json``) of
    each array.
    """
    graphs = [check_graph(dict(made)) for made in records()]
    ptr = np.cumsum([0, *(graph.num_nodes or 0 for graph in graphs)])
    edges = [graph["edge_index"].numpy() + start for graph, start in zip(graphs, ptr, strict=False)]
    arrays = {PTR: ptr, "edge_index": np.concatenate([np.zeros((2, 0), np.int64), *edges], axis=1)}
    levels = []
    for name in dict.fromkeys(name for graph in graphs for name in graph.to_dict()):
        if name not in ("edge_index", "num_nodes", PTR, "batch"):
            level, form, arrays[name] = _gathered(name, graphs)
            levels.append((name, level, form))
    arrays[LEVELS] = np.array(levels, dtype="U").reshape(-1, 3)
    with ZipFile(path, "w") as archive:  # numpy.savez takes no array of the name "file"
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def _gathered(name: str, graphs: Sequence[Data]) -> tuple[str, str, NDArray[Any]]:
    """Level, form and array of an attribute of many graphs."""
    values = [graph.get(name) for graph in graphs]
    kinds = {type(value) for value in values}
    if kinds in ({int}, {float}, {bool}, {str}):
        return "graph", _SCALAR, np.array(values)
    level = level_of(graphs[0], name) if type(None) not in kinds else ""
    counts = {"node": [graph.num_nodes for graph in graphs], "edge": [graph.num_edges for graph in graphs]}
    known = attributes().get(name)
    fits = level in counts and not (known is not None and known.indices) and [*map(_num_rows, values)] == counts[level]
    if fits and kinds == {list} and all(isinstance(part, str) for value in values for part in value):
        return level, _ROWS, np.array([part for value in values for part in value], dtype="U")
    if kinds == {Tensor} and (fits or (level == "graph" and set(map(_num_rows, values)) == {1})):
        tensors = [value.float() if value.dtype == torch.bfloat16 else value for value in values]
        if len({(tensor.dtype, tensor.shape[1:]) for tensor in tensors}) == 1:
            return level, _ROWS, torch.cat(tensors).numpy()
    return "graph", _JSON, np.array(["" if value is None else to_text(value) for value in values], dtype="U")


def _num_rows(value: Any) -> int:
    return len(value) if isinstance(value, list) or (isinstance(value, Tensor) and value.dim()) else -1
