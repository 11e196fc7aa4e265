"""Reading of graphs from numpy files, ``.npy`` and ``.npz``, without running code from a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.consistency import check_graph
from graphscore.data.npz import REAL, WHOLE, check_array, described
from graphscore.data.readers import Record
from graphscore.domains import attributes

PTR = "ptr"


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
    name belongs to the nodes, edges or graphs, whichever are as many as its rows.

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
    wrong = {name: array.dtype for name, array in arrays.items() if array.dtype.kind not in "biuf"}
    if wrong:
        raise ValueError(f"Expected numbers in {path}, but it has {', '.join(f'{k} ({v})' for k, v in wrong.items())}")
    if PTR not in arrays:
        yield "graph 1", lambda: check_graph({name: _tensor(array) for name, array in arrays.items()})
        return
    yield from _split(arrays, path)


def _split(arrays: dict[str, NDArray[Any]], path: Path) -> Iterator[Record]:
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
    levels = {name: _level(name, array, counts, path) for name, array in arrays.items()}
    # Edges in the order of their graphs; those of one graph keep theirs.
    order = np.argsort(graph_of[0], kind="stable")
    edge_ptr = np.searchsorted(graph_of[0][order], np.arange(len(ptr)))

    def make(number: int) -> Data:
        rows = {
            "node": np.arange(ptr[number], ptr[number + 1]),
            "edge": order[edge_ptr[number] : edge_ptr[number + 1]],
            "graph": np.array([number]),
        }
        graph: dict[str, Any] = {name: _tensor(array[rows[levels[name]]]) for name, array in arrays.items()}
        graph["edge_index"] = edge_index[:, torch.from_numpy(rows["edge"])] - int(ptr[number])
        return check_graph({**graph, "num_nodes": len(rows["node"])})

    for number in range(counts["graph"]):
        yield f"graph {number + 1}", lambda number=number: make(number)


def _level(name: str, array: NDArray[Any], counts: dict[str, int], path: Path) -> str:
    """The level of an array, by its name or by its number of rows."""
    known = attributes().get(name)
    if known is not None and known.indices:
        raise ValueError(f"{name} in {path} holds numbers of nodes, which an archive of many graphs cannot have")
    wanted = counts if known is None or known.level not in counts else {known.level: counts[known.level]}
    fitting = [level for level, count in wanted.items() if array.ndim and len(array) == count]
    if len(fitting) == 1:
        return fitting[0]
    told = " or ".join(f"the {count} {level}s" for level, count in wanted.items())
    raise ValueError(
        f"Expected {name} in {path} to have one row for each of {told}, but its shape is {list(array.shape)}"
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
